import type { ByteSource } from '../../blob-store.ts';
import { ByteCursor, EndOfBytes } from '../cursor.ts';
import type { Flaw } from '../reading.ts';
import { limits } from '#lib/limits.ts';
import { checkGgufData } from './gguf-cover.ts';
import type { GgufFacts, GgufFlawCode, GgufTensor, GgufValue } from './gguf-facts.ts';
import { arrayType, ggmlTypes, textType, valueBytes } from './gguf-types.ts';

export function detectGguf(head: Uint8Array): boolean {
  return head[0] === 0x47 && head[1] === 0x47 && head[2] === 0x55 && head[3] === 0x46;
}

/** A flaw after which nothing more can be read. */
class Broken extends Error {
  readonly code: GgufFlawCode;
  readonly offset: number;

  constructor(code: GgufFlawCode, message: string, offset: number) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}

/** What has been read so far; the reader fills it so that a break keeps what came before. */
interface Draft {
  version: number;
  readonly values: Map<string, GgufValue>;
  readonly tensors: GgufTensor[];
  readonly chatTemplates: { key: string; text: string; offset: number }[];
  readonly flaws: Flaw<GgufFlawCode>[];
  readonly cursor: ByteCursor;
}

/**
 * A GGUF file (ggml `docs/gguf.md`, versions 1 to 3, both byte orders): every key–value pair with nested arrays,
 * every tensor's name, shape, type and place, and whether the data section is covered exactly. Every count and length
 * is held against the bytes that are left before anything is allocated. Reads the header and the padding only.
 */
export async function readGguf(source: ByteSource): Promise<GgufFacts> {
  const draft: Draft = {
    version: 0,
    values: new Map(),
    tensors: [],
    chatTemplates: [],
    flaws: [],
    cursor: new ByteCursor(source),
  };
  const incompleteReasons: string[] = [];
  try {
    await readHeader(draft);
    const alignment = alignmentOf(draft);
    const cover = await checkGgufData(draft.tensors, {
      source,
      headerEnd: draft.cursor.offset,
      alignment,
    });
    draft.flaws.push(...cover.flaws);
    incompleteReasons.push(...cover.incompleteReasons);
  } catch (thrown) {
    if (thrown instanceof Broken) {
      draft.flaws.push({ code: thrown.code, message: thrown.message, offset: thrown.offset });
    } else if (thrown instanceof EndOfBytes) {
      draft.flaws.push({
        code: 'gguf.truncated',
        message: 'the file ends inside its header, or a length in it is false',
        offset: thrown.offset,
      });
    } else throw thrown;
    incompleteReasons.push('the GGUF header cannot be read to its end');
  }
  return {
    version: draft.version,
    bigEndian: draft.cursor.bigEndian,
    values: draft.values,
    tensors: draft.tensors,
    chatTemplates: draft.chatTemplates,
    flaws: draft.flaws,
    incompleteReasons,
  };
}

async function readHeader(draft: Draft): Promise<void> {
  const { cursor } = draft;
  await cursor.ensure(8);
  cursor.skip(4);
  let version = cursor.u32();
  if (version !== 0 && (version & 0xffff) === 0) {
    cursor.bigEndian = true;
    version = new DataView(Uint32Array.of(version).buffer).getUint32(0, false);
  }
  draft.version = version;
  if (version < 1 || version > 3) throw new Broken('gguf.version', `GGUF version ${version} is unknown`, 4);
  const tensorCount = await readCount(draft, 'tensors', { limit: limits.ggufTensors, leastBytes: 20 });
  const valueCount = await readCount(draft, 'key–value pairs', { limit: limits.ggufValues, leastBytes: 9 });
  for (let index = 0; index < valueCount; index += 1) await readPair(draft);
  const names = new Set<string>();
  for (let index = 0; index < tensorCount; index += 1) {
    const offset = cursor.offset;
    const tensor = await readTensor(draft);
    if (names.has(tensor.name)) {
      const message = `tensor \`${tensor.name}\` stands twice in the header`;
      draft.flaws.push({ code: 'gguf.duplicate-tensor', message, offset, pointer: tensor.name });
    }
    names.add(tensor.name);
    draft.tensors.push(tensor);
  }
}

/** Version 1 counts and measures in 32 bits, later versions in 64. */
async function readLength(draft: Draft): Promise<bigint> {
  const { cursor } = draft;
  if (draft.version === 1) {
    await cursor.ensure(4);
    return BigInt(cursor.u32());
  }
  await cursor.ensure(8);
  return cursor.u64();
}

async function readCount(
  draft: Draft,
  what: string,
  bound: { readonly limit: number; readonly leastBytes: number },
): Promise<number> {
  const offset = draft.cursor.offset;
  const count = await readLength(draft);
  const fits = BigInt(Math.floor(draft.cursor.remaining / bound.leastBytes));
  if (count > BigInt(bound.limit) || count > fits + 1n) {
    throw new Broken('gguf.count', `the header says it has ${count} ${what}, more than fit`, offset);
  }
  return Number(count);
}

async function readText(draft: Draft, limitBytes: number): Promise<string> {
  return new TextDecoder('utf-8').decode(await readTextBytes(draft, limitBytes));
}

async function readTextBytes(draft: Draft, limitBytes: number): Promise<Uint8Array> {
  const { cursor } = draft;
  const offset = cursor.offset;
  const length = await readLength(draft);
  if (length > BigInt(cursor.remaining)) {
    throw new Broken(
      'gguf.truncated',
      `a text says it is ${length} bytes long, ${cursor.remaining} are left`,
      offset,
    );
  }
  if (length > BigInt(limitBytes)) {
    throw new Broken('gguf.value-invalid', `a text of ${length} bytes is longer than ${limitBytes}`, offset);
  }
  await cursor.ensure(Number(length));
  return cursor.bytes(Number(length));
}

/** A tensor's name, by which loaders find it: what is not UTF-8 is another name in each of them, or none. */
async function readTensorName(draft: Draft): Promise<string> {
  const { offset } = draft.cursor;
  const bytes = await readTextBytes(draft, limits.ggufKeyBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Broken('gguf.tensor-invalid', 'the name of a tensor is not UTF-8', offset);
  }
}

async function readPair(draft: Draft): Promise<void> {
  const { cursor } = draft;
  const offset = cursor.offset;
  const key = await readText(draft, limits.ggufKeyBytes);
  if (key === '' || !/^[\x21-\x7e]+$/.test(key)) {
    draft.flaws.push({
      code: 'gguf.key-invalid',
      message: `the key \`${key.slice(0, 100)}\` is not plain ASCII`,
      offset,
    });
  }
  if (draft.values.has(key)) {
    const message = `the key \`${key.slice(0, 100)}\` stands twice, so readers disagree about its value`;
    draft.flaws.push({ code: 'gguf.duplicate-key', message, offset, pointer: key });
  }
  await cursor.ensure(4);
  const type = cursor.u32();
  const valueOffset = cursor.offset;
  const value = await readValue(draft, type, 0);
  if (typeof value === 'string' && isTemplateKey(key)) {
    draft.chatTemplates.push({ key, text: value, offset: valueOffset });
  }
  draft.values.set(key, value);
}

function isTemplateKey(key: string): boolean {
  return key === 'tokenizer.chat_template' || key.startsWith('tokenizer.chat_template.');
}

async function readValue(draft: Draft, type: number, depth: number): Promise<GgufValue> {
  const { cursor } = draft;
  if (type === textType) return readText(draft, limits.ggufTextBytes);
  if (type === arrayType) return readArray(draft, depth);
  const size = valueBytes.get(type);
  if (size === undefined) {
    throw new Broken('gguf.value-invalid', `the value type ${type} is unknown`, cursor.offset - 4);
  }
  await cursor.ensure(size);
  const view = cursor.view(size);
  const little = !cursor.bigEndian;
  if (type === 7) {
    const byte = view.getUint8(0);
    if (byte > 1) {
      draft.flaws.push({
        code: 'gguf.value-invalid',
        message: `a truth value is stored as ${byte}`,
        offset: cursor.offset - 1,
      });
    }
    return byte !== 0;
  }
  return scalars[type]?.(view, little) ?? 0;
}

const scalars: Readonly<Record<number, (view: DataView, little: boolean) => number | bigint>> = {
  0: (view) => view.getUint8(0),
  1: (view) => view.getInt8(0),
  2: (view, little) => view.getUint16(0, little),
  3: (view, little) => view.getInt16(0, little),
  4: (view, little) => view.getUint32(0, little),
  5: (view, little) => view.getInt32(0, little),
  6: (view, little) => view.getFloat32(0, little),
  10: (view, little) => view.getBigUint64(0, little),
  11: (view, little) => view.getBigInt64(0, little),
  12: (view, little) => view.getFloat64(0, little),
};

async function readArray(draft: Draft, depth: number): Promise<GgufValue> {
  const { cursor } = draft;
  const offset = cursor.offset;
  if (depth >= limits.ggufArrayDepth) {
    throw new Broken('gguf.value-invalid', `arrays are nested deeper than ${limits.ggufArrayDepth}`, offset);
  }
  await cursor.ensure(4);
  const elementType = cursor.u32();
  const length = await readLength(draft);
  const size = valueBytes.get(elementType);
  const variable = elementType === textType || elementType === arrayType;
  if (size === undefined && !variable) {
    throw new Broken('gguf.value-invalid', `the value type ${elementType} is unknown`, offset);
  }
  const leastBytes = size ?? (elementType === arrayType ? 8 : 4);
  if (length * BigInt(leastBytes) > BigInt(cursor.remaining)) {
    throw new Broken('gguf.count', `an array says it has ${length} elements, more than fit`, offset);
  }
  const count = Number(length);
  if (size !== undefined) cursor.skip(count * size);
  else if (elementType === arrayType) {
    for (let index = 0; index < count; index += 1) await readArray(draft, depth + 1);
  } else {
    for (let index = 0; index < count; index += 1) {
      const textLength = await readLength(draft);
      if (textLength > BigInt(cursor.remaining)) {
        throw new Broken('gguf.truncated', `a text says it is ${textLength} bytes long`, cursor.offset - 8);
      }
      cursor.skip(Number(textLength));
    }
  }
  return { elementType, length: count };
}

async function readTensor(draft: Draft): Promise<GgufTensor> {
  const { cursor } = draft;
  const offset = cursor.offset;
  const name = await readTensorName(draft);
  await cursor.ensure(4);
  const dimensions = cursor.u32();
  const shown = name.slice(0, 100);
  if (dimensions > limits.ggufDimensions) {
    throw new Broken('gguf.tensor-invalid', `tensor \`${shown}\` has ${dimensions} dimensions`, offset);
  }
  const shape: bigint[] = [];
  for (let index = 0; index < dimensions; index += 1) shape.push(await readLength(draft));
  await cursor.ensure(12);
  const typeNumber = cursor.u32();
  const begin = cursor.u64();
  const type = ggmlTypes.get(typeNumber);
  if (type === undefined) {
    throw new Broken('gguf.tensor-invalid', `tensor \`${shown}\` has the unknown type ${typeNumber}`, offset);
  }
  const elements = shape.reduce((product, size) => product * size, 1n);
  const rowElements = shape[0] ?? 1n;
  if (rowElements % BigInt(type.blockElements) !== 0n) {
    throw new Broken(
      'gguf.tensor-invalid',
      `tensor \`${shown}\` has rows of ${rowElements} elements, not whole blocks of ${type.name}`,
      offset,
    );
  }
  const sizeBytes = (elements / BigInt(type.blockElements)) * BigInt(type.blockBytes);
  return { name, type, shape, elements, begin, sizeBytes };
}

function alignmentOf(draft: Draft): number {
  const value = draft.values.get('general.alignment');
  if (value === undefined) return 32;
  if (typeof value === 'number' && value >= 1 && value <= 65_536 && (value & (value - 1)) === 0) return value;
  throw new Broken('gguf.alignment', '`general.alignment` is not a power of two up to 65536', 0);
}
