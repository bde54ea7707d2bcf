import { limits } from './limits.ts';

/** Random access to bytes that do not change while they are read. */
export interface RandomAccess {
  readonly sizeBytes: number;
  /** Exactly `lengthBytes` bytes from `offset`, fewer only at the end. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
}

export type ZipAnomalyKind =
  | 'bad-checksum'
  | 'bad-size'
  | 'bomb'
  | 'broken-directory'
  | 'broken-header'
  | 'duplicate-name'
  | 'encrypted'
  | 'gap'
  | 'hidden-member'
  | 'link'
  | 'mismatch'
  | 'name-mismatch'
  | 'overlap'
  | 'prefix'
  | 'several-directories'
  | 'trailing'
  | 'unknown-method'
  | 'unsafe-name';

/** A place where two readers of the archive could part, or that no writer produces. */
export interface ZipAnomaly {
  readonly kind: ZipAnomalyKind;
  /** Byte offset in the archive. */
  readonly offset: number;
  readonly member: string | undefined;
  /** Lower case, no full stop; names are escaped. */
  readonly message: string;
}

/** One header, central (APPNOTE 4.3.12) or local (4.3.7). */
export interface ZipHeader {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedBytes: number;
  readonly sizeBytes: number;
  /** Offset of the local header in the archive. */
  readonly headerOffset: number;
  /** Bytes of this header itself. */
  readonly headerBytes: number;
  readonly unixMode: number;
  /** The name in a 0x7075 extra field, which some readers prefer. */
  readonly unicodeName: string | undefined;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface ZipDirectory {
  readonly headers: readonly ZipHeader[];
  /** Directory, end records and comment. */
  readonly spans: readonly Span[];
  readonly anomalies: readonly ZipAnomaly[];
  readonly incomplete: readonly string[];
}

const endBytes = 22;
const endSignature = 0x06054b50;
const centralSignature = 0x02014b50;
export const localSignature = 0x04034b50;
const maxComment = 0xffff;
const endsRead = 8;
const windowBytes = 1 << 20;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A name for messages: control and formatting characters as escapes. */
export function showName(name: string): string {
  return name
    .slice(0, 300)
    .replace(/[\p{C}\p{Zl}\p{Zp}`]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

function decodeName(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return Buffer.from(bytes).toString('latin1');
  }
}

interface Extra {
  readonly zip64: Buffer | undefined;
  readonly unicodeName: string | undefined;
}

function parseExtra(extra: Buffer): Extra {
  let zip64: Buffer | undefined;
  let unicodeName: string | undefined;
  for (let at = 0; at + 4 <= extra.length;) {
    const id = extra.readUInt16LE(at);
    const body = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    if (id === 1) zip64 ??= body;
    if (id === 0x7075 && body.length > 5) unicodeName = decodeName(body.subarray(5));
    at += 4 + extra.readUInt16LE(at + 2);
  }
  return { zip64, unicodeName };
}

/** Values of 0xffffffff are replaced from the zip64 field in its fixed order (APPNOTE 4.5.3). */
function widen(zip64: Buffer | undefined, values: readonly number[]): readonly number[] {
  let at = 0;
  return values.map((value) => {
    if (value !== 0xffff_ffff || zip64 === undefined || at + 8 > zip64.length) return value;
    const wide = Number(zip64.readBigUInt64LE(at));
    at += 8;
    return wide;
  });
}

/** The local header at `offset`, or undefined where there is none. */
export async function readLocalHeader(source: RandomAccess, offset: number): Promise<ZipHeader | undefined> {
  if (offset < 0 || offset + 30 > source.sizeBytes) return undefined;
  const fixed = Buffer.from(await source.read(offset, 30));
  if (fixed.length < 30 || fixed.readUInt32LE(0) !== localSignature) return undefined;
  const nameBytes = fixed.readUInt16LE(26);
  const extraBytes = fixed.readUInt16LE(28);
  const rest = Buffer.from(await source.read(offset + 30, nameBytes + extraBytes));
  if (rest.length < nameBytes + extraBytes) return undefined;
  const extra = parseExtra(rest.subarray(nameBytes));
  const [sizeBytes = 0, compressedBytes = 0] = widen(extra.zip64, [
    fixed.readUInt32LE(22),
    fixed.readUInt32LE(18),
  ]);
  return {
    name: decodeName(rest.subarray(0, nameBytes)),
    flags: fixed.readUInt16LE(6),
    method: fixed.readUInt16LE(8),
    crc32: fixed.readUInt32LE(14),
    compressedBytes,
    sizeBytes,
    headerOffset: offset,
    headerBytes: 30 + nameBytes + extraBytes,
    unixMode: 0,
    unicodeName: extra.unicodeName,
  };
}

function parseCentral(bytes: Buffer, at: number): ZipHeader | undefined {
  if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== centralSignature) return undefined;
  const nameBytes = bytes.readUInt16LE(at + 28);
  const extraBytes = bytes.readUInt16LE(at + 30);
  const headerBytes = 46 + nameBytes + extraBytes + bytes.readUInt16LE(at + 32);
  if (at + headerBytes > bytes.length) return undefined;
  const extra = parseExtra(bytes.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes));
  const [sizeBytes = 0, compressedBytes = 0, headerOffset = 0] = widen(extra.zip64, [
    bytes.readUInt32LE(at + 24),
    bytes.readUInt32LE(at + 20),
    bytes.readUInt32LE(at + 42),
  ]);
  return {
    name: decodeName(bytes.subarray(at + 46, at + 46 + nameBytes)),
    flags: bytes.readUInt16LE(at + 8),
    method: bytes.readUInt16LE(at + 10),
    crc32: bytes.readUInt32LE(at + 16),
    compressedBytes,
    sizeBytes,
    headerOffset,
    headerBytes,
    unixMode: bytes.readUInt32LE(at + 38) >>> 16,
    unicodeName: extra.unicodeName,
  };
}

interface EndRecord {
  readonly span: Span;
  readonly entries: number;
  readonly directoryBytes: number;
  readonly directoryOffset: number;
  /** Where the directory must end: the first of the end records. */
  readonly directoryEnd: number;
}

async function readEnd(source: RandomAccess, offset: number): Promise<EndRecord | undefined> {
  const end = Buffer.from(await source.read(offset, endBytes));
  if (end.length < endBytes) return undefined;
  const record = {
    span: { start: offset, end: Math.min(source.sizeBytes, offset + endBytes + end.readUInt16LE(20)) },
    entries: end.readUInt16LE(10),
    directoryBytes: end.readUInt32LE(12),
    directoryOffset: end.readUInt32LE(16),
    directoryEnd: offset,
  };
  if (offset < 20) return record;
  const locator = Buffer.from(await source.read(offset - 20, 20));
  if (locator.readUInt32LE(0) !== 0x07064b50) return record;
  const declared = Number(locator.readBigUInt64LE(8));
  for (const at of new Set([declared, offset - 76])) {
    if (at < 0 || at + 56 > source.sizeBytes) continue;
    const wide = Buffer.from(await source.read(at, 56));
    if (wide.length < 56 || wide.readUInt32LE(0) !== 0x06064b50) continue;
    return {
      span: { start: at, end: record.span.end },
      entries: Number(wide.readBigUInt64LE(32)),
      directoryBytes: Number(wide.readBigUInt64LE(40)),
      directoryOffset: Number(wide.readBigUInt64LE(48)),
      directoryEnd: at,
    };
  }
  return record;
}

async function findEnds(source: RandomAccess): Promise<readonly number[]> {
  const start = Math.max(0, source.sizeBytes - endBytes - maxComment);
  const tail = Buffer.from(await source.read(start, source.sizeBytes - start));
  const ends: number[] = [];
  for (let at = tail.lastIndexOf('PK\x05\x06', tail.length, 'latin1'); at >= 0 && ends.length < endsRead;) {
    if (at + endBytes <= tail.length && tail.readUInt32LE(at) === endSignature) ends.push(start + at);
    at = at === 0 ? -1 : tail.lastIndexOf('PK\x05\x06', at - 1, 'latin1');
  }
  return ends;
}

interface Found {
  readonly headers: ZipHeader[];
  readonly spans: Span[];
  readonly anomalies: ZipAnomaly[];
  readonly incomplete: string[];
}

function report(found: Found, kind: ZipAnomalyKind, offset: number, message: string): void {
  found.anomalies.push({ kind, offset, member: undefined, message });
}

/** The directory that begins at `start`; offsets in it are shifted by `shift` (bytes before the archive). */
async function readDirectory(
  source: RandomAccess,
  end: EndRecord,
  where: { readonly start: number; readonly shift: number },
  found: Found,
): Promise<void> {
  const stop = where.start + end.directoryBytes;
  if (where.start < 0 || stop > source.sizeBytes) {
    report(found, 'broken-directory', end.span.start, 'the directory lies outside the archive');
    return;
  }
  let count = 0;
  let at = where.start;
  let base = at;
  let bytes = Buffer.alloc(0);
  while (at < stop) {
    if (at + 256 * 1024 > base + bytes.length && base + bytes.length < stop) {
      base = at;
      bytes = Buffer.from(await source.read(at, Math.min(windowBytes, stop - at)));
    }
    const header = parseCentral(bytes, at - base);
    if (header === undefined) {
      report(found, 'broken-directory', at, 'an entry of the directory cannot be read');
      break;
    }
    if (found.headers.length >= limits.zipEntries) {
      found.incomplete.push(`the archive has more than ${limits.zipEntries} entries`);
      break;
    }
    found.headers.push({ ...header, headerOffset: header.headerOffset + where.shift });
    count += 1;
    at += header.headerBytes;
  }
  if (count !== end.entries) {
    report(
      found,
      'broken-directory',
      end.span.start,
      `the end record counts ${end.entries} entries, not ${count}`,
    );
  }
  found.spans.push({ start: where.start, end: at });
}

/**
 * Every central directory that a reader could find (APPNOTE 6.3.10, 4.3.12–4.3.16): of each end record in the tail,
 * where the record says it is and where it must be if bytes stand before the archive. Undefined without any end record.
 */
export async function readZipDirectory(source: RandomAccess): Promise<ZipDirectory | undefined> {
  const ends = await findEnds(source);
  if (ends.length === 0) return undefined;
  const found: Found = { headers: [], spans: [], anomalies: [], incomplete: [] };
  if (ends.length > 1) {
    report(found, 'several-directories', ends[1] ?? 0, 'the archive has more than one end record');
  }
  for (const [index, offset] of ends.entries()) {
    const end = await readEnd(source, offset);
    if (end === undefined) continue;
    found.spans.push(end.span);
    if (index === 0 && end.span.end < source.sizeBytes) {
      report(found, 'trailing', end.span.end, `${source.sizeBytes - end.span.end} bytes follow the archive`);
    }
    const shift = end.directoryEnd - end.directoryBytes - end.directoryOffset;
    if (shift !== 0) {
      report(
        found,
        'prefix',
        0,
        `the directory is ${Math.abs(shift)} bytes away from where the end record says`,
      );
      await readDirectory(source, end, { start: end.directoryOffset, shift: 0 }, found);
    }
    await readDirectory(source, end, { start: end.directoryOffset + shift, shift }, found);
  }
  return found;
}
