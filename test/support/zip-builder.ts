import { crc32, deflateRawSync } from 'node:zlib';

/** One member, with every field that a real writer derives open to a lie. */
export interface ZipPart {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly deflate?: boolean;
  /** The compressed form, where it is not to be made from `bytes`. */
  readonly body?: Uint8Array;
  /** Fields of one header only. */
  readonly local?: Partial<HeaderFields>;
  readonly central?: Partial<HeaderFields>;
  /** Bytes put before the local header. */
  readonly gap?: Uint8Array;
  /** Leave it out of the directory, or list it twice. */
  readonly listed?: 0 | 1 | 2;
}

interface HeaderFields {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressedBytes: number;
  readonly sizeBytes: number;
  readonly offset: number;
  readonly mode: number;
}

function header(kind: 'local' | 'central', fields: HeaderFields): Buffer {
  const name = Buffer.from(fields.name);
  const central = kind === 'central';
  const out = Buffer.alloc(central ? 46 : 30);
  out.writeUInt32LE(central ? 0x02014b50 : 0x04034b50, 0);
  const at = central ? 6 : 4;
  out.writeUInt16LE(20, at);
  out.writeUInt16LE(fields.flags, at + 2);
  out.writeUInt16LE(fields.method, at + 4);
  out.writeUInt32LE(fields.crc >>> 0, at + 10);
  out.writeUInt32LE(fields.compressedBytes, at + 14);
  out.writeUInt32LE(fields.sizeBytes, at + 18);
  out.writeUInt16LE(name.length, at + 22);
  if (central) {
    out.writeUInt32LE((fields.mode << 16) >>> 0, 38);
    out.writeUInt32LE(fields.offset, 42);
  }
  return Buffer.concat([out, name]);
}

/** A zip archive of the parts in order; `comment` and `tail` follow the end record. */
export function buildZip(
  parts: readonly ZipPart[],
  around: { readonly prefix?: Uint8Array; readonly tail?: Uint8Array; readonly entries?: number } = {},
): Buffer {
  const out: Uint8Array[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const part of parts) {
    const body = part.body ?? (part.deflate === true ? deflateRawSync(part.bytes) : part.bytes);
    if (part.gap !== undefined) {
      out.push(part.gap);
      offset += part.gap.length;
    }
    const fields: HeaderFields = {
      name: part.name,
      flags: 0,
      method: part.deflate === true ? 8 : 0,
      crc: crc32(part.bytes),
      compressedBytes: body.length,
      sizeBytes: part.bytes.length,
      offset,
      mode: 0o100644,
    };
    const local = header('local', { ...fields, ...part.local });
    out.push(local, body);
    for (let count = part.listed ?? 1; count > 0; count--) {
      directory.push(header('central', { ...fields, ...part.central }));
    }
    offset += local.length + body.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(around.entries ?? directory.length, 8);
  end.writeUInt16LE(around.entries ?? directory.length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([
    around.prefix ?? Buffer.alloc(0),
    ...out,
    listing,
    end,
    around.tail ?? Buffer.alloc(0),
  ]);
}
