const encoder = new TextEncoder();

/** Bytes in a row; texts in UTF-8. */
export function bytesOf(...parts: readonly (Uint8Array | string | readonly number[])[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === 'string'
        ? encoder.encode(part)
        : part instanceof Uint8Array
          ? part
          : Uint8Array.from(part),
    ),
  );
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

export function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  return bytes;
}

/** A safetensors file from a header (an object, or its exact text) and as many data bytes; `length` may lie. */
export function safetensors(header: object | string, dataBytes = 0, length?: bigint): Uint8Array {
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  const encoded = encoder.encode(text);
  return bytesOf(u64(length ?? encoded.byteLength), encoded, new Uint8Array(dataBytes).fill(1));
}

export function tensor(
  begin: number,
  end: number,
  dtype = 'U8',
  shape: readonly number[] = [end - begin],
): object {
  return { dtype, shape, data_offsets: [begin, end] };
}

export function ggufText(text: string): Uint8Array {
  const encoded = encoder.encode(text);
  return bytesOf(u64(encoded.byteLength), encoded);
}

/** A key–value pair: the value's type number and its bytes. */
export function ggufPair(key: string, type: number, value: Uint8Array): Uint8Array {
  return bytesOf(ggufText(key), u32(type), value);
}

export interface GgufParts {
  readonly version?: number;
  readonly pairs?: readonly Uint8Array[];
  readonly tensors?: readonly Uint8Array[];
  readonly pairCount?: bigint;
  readonly tensorCount?: bigint;
  /** After the header is padded to 32 bytes. */
  readonly data?: Uint8Array;
  readonly padding?: number;
}

export function gguf(parts: GgufParts = {}): Uint8Array {
  const { version = 3, pairs = [], tensors = [], data = new Uint8Array(0) } = parts;
  const header = bytesOf(
    'GGUF',
    u32(version),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.pairCount ?? pairs.length),
    ...pairs,
    ...tensors,
  );
  const pad = (32 - (header.byteLength % 32)) % 32;
  return bytesOf(header, new Uint8Array(pad).fill(parts.padding ?? 0), data);
}

export function ggufTensor(
  name: string,
  shape: readonly (number | bigint)[],
  offset: number | bigint,
  type = 24,
): Uint8Array {
  return bytesOf(ggufText(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset));
}
