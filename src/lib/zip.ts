import { crc32, inflateRawSync } from 'node:zlib';
import { Fault } from './fault.ts';
import { limits } from './limits.ts';
import {
  type RandomAccess,
  readLocalHeader,
  readZipDirectory,
  showName,
  type Span,
  type ZipAnomaly,
  type ZipAnomalyKind,
  type ZipHeader,
} from './zip-directory.ts';

export type { RandomAccess, ZipAnomaly, ZipAnomalyKind } from './zip-directory.ts';

/** One reading of one member. Where headers disagree, the same bytes appear once per reading. */
export interface ZipMember {
  readonly name: string;
  readonly headerOffset: number;
  readonly dataOffset: number;
  readonly compressedBytes: number;
  readonly sizeBytes: number;
  /** 0 stored, 8 deflated; others cannot be opened. */
  readonly method: number;
  readonly crc32: number;
  readonly encrypted: boolean;
  /** Which header says so; `both` when they agree. */
  readonly according: 'both' | 'central' | 'local';
}

export interface ZipReading {
  /** Order of the directory, then what only local headers name. */
  readonly members: readonly ZipMember[];
  readonly anomalies: readonly ZipAnomaly[];
  readonly incomplete: readonly string[];
}

interface Draft {
  readonly source: RandomAccess;
  readonly members: ZipMember[];
  /** Offsets of the local headers that are known. */
  readonly known: Set<number>;
  readonly anomalies: ZipAnomaly[];
  readonly spans: Span[];
  readonly incomplete: string[];
}

const descriptorFlag = 0x8;
const anomaliesKept = 1_000;
const windowBytes = 1 << 20;
const zeros = Buffer.alloc(windowBytes + 3);

function report(
  draft: Draft,
  kind: ZipAnomalyKind,
  where: Pick<ZipHeader, 'headerOffset' | 'name'>,
  text: string,
): void {
  if (draft.anomalies.length >= anomaliesKept) return;
  draft.anomalies.push({ kind, offset: where.headerOffset, member: where.name, message: text });
}

function toMember(header: ZipHeader, local: ZipHeader, according: ZipMember['according']): ZipMember {
  return {
    name: header.name,
    headerOffset: local.headerOffset,
    dataOffset: local.headerOffset + local.headerBytes,
    compressedBytes: header.compressedBytes,
    sizeBytes: header.sizeBytes,
    method: header.method,
    crc32: header.crc32,
    encrypted: (header.flags & 0x41) !== 0,
    according,
  };
}

/** Local headers of streamed members leave CRC and sizes to the descriptor behind the data. */
function leavesToDescriptor(local: ZipHeader): boolean {
  return (local.flags & descriptorFlag) !== 0 && local.crc32 === 0 && local.compressedBytes === 0;
}

function differences(central: ZipHeader, local: ZipHeader): readonly string[] {
  const found: string[] = [];
  if (central.method !== local.method) found.push('method');
  if (((central.flags ^ local.flags) & 0x69) !== 0) found.push('flags');
  if (!leavesToDescriptor(local)) {
    if (central.crc32 !== local.crc32) found.push('CRC');
    if (central.compressedBytes !== local.compressedBytes) found.push('compressed size');
    if (central.sizeBytes !== local.sizeBytes) found.push('size');
  }
  return found;
}

function checkHeader(draft: Draft, header: ZipHeader): void {
  const { name } = header;
  const shown = showName(name);
  if ((header.flags & 0x41) !== 0) report(draft, 'encrypted', header, `\`${shown}\` is marked as encrypted`);
  if ((header.flags & 0x20) !== 0) report(draft, 'mismatch', header, `\`${shown}\` is marked as a patch`);
  if (header.method !== 0 && header.method !== 8) {
    report(draft, 'unknown-method', header, `\`${shown}\` uses the compression method ${header.method}`);
  }
  if (isUnsafeName(name))
    report(draft, 'unsafe-name', header, `the name \`${shown}\` leaves the archive's folder`);
  if (header.unicodeName !== undefined && header.unicodeName !== name) {
    report(
      draft,
      'name-mismatch',
      header,
      `\`${shown}\` has the second name \`${showName(header.unicodeName)}\``,
    );
  }
  if ((header.unixMode & 0o170000) === 0o120000)
    report(draft, 'link', header, `\`${shown}\` is a symbolic link`);
  if (header.sizeBytes > limits.zipMemberBytes && header.method !== 0) {
    report(draft, 'bomb', header, `\`${shown}\` would inflate to ${header.sizeBytes} bytes`);
  } else if (header.sizeBytes > limits.zipRatio * (header.compressedBytes + 1)) {
    report(draft, 'bomb', header, `\`${shown}\` claims to inflate beyond what deflate can`);
  }
}

/** Absolute, with `..`, a drive, a backslash, a NUL, empty or longer than the bound. */
function isUnsafeName(name: string): boolean {
  return (
    name === '' ||
    name.length > limits.zipNameBytes ||
    /^[/\\]|^[A-Za-z]:|\\|\0/.test(name) ||
    name.split('/').includes('..')
  );
}

async function addCentral(draft: Draft, central: ZipHeader): Promise<void> {
  checkHeader(draft, central);
  const local = await readLocalHeader(draft.source, central.headerOffset);
  const shown = showName(central.name);
  if (local === undefined) {
    report(draft, 'broken-header', central, `\`${shown}\` has no local header where the directory says`);
    return;
  }
  draft.known.add(local.headerOffset);
  const different = differences(central, local);
  const renamed = central.name !== local.name;
  draft.members.push(toMember(central, local, different.length === 0 && !renamed ? 'both' : 'central'));
  if (renamed) {
    report(
      draft,
      'name-mismatch',
      central,
      `\`${shown}\` is called \`${showName(local.name)}\` by its local header`,
    );
  }
  if (different.length > 0) {
    report(draft, 'mismatch', central, `the two headers of \`${shown}\` differ in ${different.join(', ')}`);
  }
  if (local.unicodeName !== undefined && local.unicodeName !== local.name) checkHeader(draft, local);
  const streamed = leavesToDescriptor(local);
  if (different.length > 0 || renamed) {
    const sizes = streamed
      ? {
          ...local,
          compressedBytes: central.compressedBytes,
          sizeBytes: central.sizeBytes,
          crc32: central.crc32,
        }
      : local;
    draft.members.push(toMember(sizes, local, 'local'));
  }
  const end = local.headerOffset + local.headerBytes + central.compressedBytes;
  if (end > draft.source.sizeBytes) {
    report(draft, 'broken-header', central, `\`${shown}\` ends beyond the archive`);
    return;
  }
  const descriptor =
    (local.flags & descriptorFlag) === 0 ? 0 : await descriptorBytes(draft.source, end, central);
  draft.spans.push({ start: local.headerOffset, end: end + descriptor });
}

/** Length of the data descriptor at `offset` (APPNOTE 4.3.9): signature optional, sizes of 4 or 8 bytes. */
async function descriptorBytes(source: RandomAccess, offset: number, central: ZipHeader): Promise<number> {
  const bytes = Buffer.from(await source.read(offset, 24));
  const signed = bytes.length >= 4 && bytes.readUInt32LE(0) === 0x08074b50 ? 4 : 0;
  const body = bytes.subarray(signed);
  if (body.length >= 12 && body.readUInt32LE(0) === central.crc32) {
    if (body.readUInt32LE(4) === central.compressedBytes && body.readUInt32LE(8) === central.sizeBytes) {
      return signed + 12;
    }
    const wide = body.length >= 20 && body.readBigUInt64LE(4) === BigInt(central.compressedBytes);
    if (wide && body.readBigUInt64LE(12) === BigInt(central.sizeBytes)) return signed + 20;
  }
  return 0;
}

/** Duplicate names, overlapping members. */
function compareMembers(draft: Draft): void {
  const names = new Map<string, number>();
  for (const member of draft.members) {
    const key = member.name.split('\0')[0] ?? '';
    const earlier = names.get(key);
    if (earlier !== undefined && earlier !== member.headerOffset) {
      report(
        draft,
        'duplicate-name',
        member,
        `there are several members called \`${showName(member.name)}\``,
      );
    }
    names.set(key, member.headerOffset);
  }
}

async function checkCoverage(draft: Draft): Promise<void> {
  const spans = draft.spans.toSorted((left, right) => left.start - right.start || left.end - right.end);
  let covered = 0;
  for (const { start, end } of spans) {
    if (start < covered && end > start) {
      report(
        draft,
        'overlap',
        { headerOffset: start, name: '' },
        `bytes ${start} to ${Math.min(end, covered)} belong to two parts`,
      );
    }
    if (start > covered) await checkGap(draft, { start: covered, end: start });
    covered = Math.max(covered, end);
  }
  if (covered < draft.source.sizeBytes)
    await checkGap(draft, { start: covered, end: draft.source.sizeBytes });
}

/** Bytes that no part of the archive claims: members that only streaming readers see, or anything at all. */
async function checkGap(draft: Draft, gap: Span): Promise<void> {
  let zero = true;
  for (let at = gap.start; at < gap.end; at += windowBytes) {
    const bytes = Buffer.from(await draft.source.read(at, Math.min(windowBytes + 3, gap.end - at)));
    zero &&= bytes.equals(zeros.subarray(0, bytes.length));
    for (let index = bytes.indexOf('PK\x03\x04', 0, 'latin1'); index >= 0;) {
      await addHidden(draft, at + index);
      index = bytes.indexOf('PK\x03\x04', index + 1, 'latin1');
    }
  }
  if (!zero) {
    const where = { headerOffset: gap.start, name: '' };
    report(draft, 'gap', where, `${gap.end - gap.start} bytes belong to no member`);
  }
}

async function addHidden(draft: Draft, offset: number): Promise<void> {
  const local = await readLocalHeader(draft.source, offset);
  if (local === undefined || draft.known.has(offset)) return;
  draft.known.add(offset);
  if (draft.members.length >= limits.zipEntries) {
    draft.incomplete.push(`the archive has more than ${limits.zipEntries} entries`);
    return;
  }
  report(draft, 'hidden-member', local, `\`${showName(local.name)}\` is not in the directory`);
  checkHeader(draft, local);
  const rest = draft.source.sizeBytes - offset - local.headerBytes;
  const compressedBytes = leavesToDescriptor(local) ? rest : Math.min(local.compressedBytes, rest);
  draft.members.push(toMember({ ...local, compressedBytes }, local, 'local'));
}

/**
 * Every member that any reader of the archive could see: by central directory, by local headers where the two differ,
 * and by local headers in bytes that the directory does not claim. Reads headers and unclaimed bytes only, never the
 * data of members. Every disagreement is an anomaly; what limits cut off is in `incomplete`. Undefined where the bytes
 * have no end record and so are no zip archive. Never throws for content.
 */
export async function readZip(source: RandomAccess): Promise<ZipReading | undefined> {
  const directory = await readZipDirectory(source);
  if (directory === undefined) return undefined;
  const draft: Draft = {
    source,
    members: [],
    known: new Set(),
    anomalies: [...directory.anomalies],
    spans: [...directory.spans],
    incomplete: [...directory.incomplete],
  };
  const seen = new Set<string>();
  for (const header of directory.headers) {
    const key = `${header.headerOffset}\n${header.compressedBytes}\n${header.method}\n${header.name}`;
    if (seen.has(key))
      report(draft, 'duplicate-name', header, `\`${showName(header.name)}\` is listed twice`);
    else await addCentral(draft, header);
    seen.add(key);
  }
  compareMembers(draft);
  await checkCoverage(draft);
  return { members: draft.members, anomalies: draft.anomalies, incomplete: draft.incomplete };
}

/**
 * The bytes of a member. Stored ones are a view of the archive; deflated ones are inflated into memory, at most
 * `limits.zipMemberBytes`. Faults: `limit.exceeded` beyond that, `bundle.invalid` for an encrypted member, an unknown
 * method, data outside the archive or a broken deflate stream.
 */
export async function openZipMember(source: RandomAccess, member: ZipMember): Promise<RandomAccess> {
  const { dataOffset, compressedBytes } = member;
  const shown = showName(member.name);
  if (member.encrypted) throw new Fault('bundle.invalid', `the member \`${shown}\` is encrypted`);
  if (dataOffset + compressedBytes > source.sizeBytes) {
    throw new Fault('bundle.invalid', `the member \`${shown}\` ends beyond the archive`);
  }
  if (member.method === 0) {
    return {
      sizeBytes: compressedBytes,
      read: async (offset, lengthBytes) =>
        await source.read(dataOffset + offset, Math.max(0, Math.min(lengthBytes, compressedBytes - offset))),
    };
  }
  if (member.method !== 8)
    throw new Fault('bundle.invalid', `the member \`${shown}\` uses method ${member.method}`);
  if (compressedBytes > limits.zipMemberBytes) {
    throw new Fault(
      'limit.exceeded',
      `the member \`${shown}\` is larger than ${limits.zipMemberBytes} bytes`,
    );
  }
  const bytes = inflate(await source.read(dataOffset, compressedBytes), shown);
  return {
    sizeBytes: bytes.length,
    read: (offset, lengthBytes) => Promise.resolve(bytes.subarray(offset, offset + Math.max(0, lengthBytes))),
  };
}

function inflate(compressed: Uint8Array, shown: string): Uint8Array {
  try {
    return inflateRawSync(compressed, { maxOutputLength: limits.zipMemberBytes });
  } catch (cause) {
    const tooLarge = cause instanceof RangeError;
    throw new Fault(
      tooLarge ? 'limit.exceeded' : 'bundle.invalid',
      tooLarge
        ? `the member \`${shown}\` inflates to more than ${limits.zipMemberBytes} bytes`
        : `the member \`${shown}\` is not a valid deflate stream`,
      { cause },
    );
  }
}

/** What an opened member must be: its size and CRC-32 as declared. */
export async function checkZipMember(
  member: ZipMember,
  opened: RandomAccess,
): Promise<readonly ZipAnomaly[]> {
  const place = { offset: member.headerOffset, member: member.name };
  const shown = showName(member.name);
  const found: ZipAnomaly[] = [];
  if (opened.sizeBytes !== member.sizeBytes) {
    found.push({
      ...place,
      kind: 'bad-size',
      message: `\`${shown}\` has ${opened.sizeBytes} bytes, not ${member.sizeBytes}`,
    });
  }
  let checksum = 0;
  for (let at = 0; at < opened.sizeBytes; at += windowBytes) {
    checksum = crc32(await opened.read(at, windowBytes), checksum);
  }
  if (checksum !== member.crc32) {
    found.push({ ...place, kind: 'bad-checksum', message: `the bytes of \`${shown}\` do not have its CRC` });
  }
  return found;
}
