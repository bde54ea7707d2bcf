import { openByteReader } from './byte-reader.ts';
import { Fault } from './fault.ts';
import { limits } from './limits.ts';
import { checksum, headerName, octal, parsePax, refuseArchive, safeName } from './tar.ts';

/** A regular file of an archive whose bytes are still to come. */
export interface StreamedEntry {
  readonly name: string;
  readonly sizeBytes: number;
  /** Must be read to its end before the next entry is asked for. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

const blockBytes = 512;
/** Names and attributes in front of one entry. */
const extendedBytes = 1024 * 1024;
/** Zeros behind the end: `tar` fills its last record, `dd` its last block. */
const paddingBytes = 16 * 1024 * 1024;

/**
 * The regular files of an archive too large for memory: ustar, pax (`path`, `size`) and GNU (long names, sizes beyond
 * 8 GiB). Directories are passed over; a leading `./` of a name falls away. Links, devices, sparse files, unsafe or repeated
 * names, wrong checksums, a missing end and anything but zeros after it are Fault `bundle.invalid`.
 */
export async function* readTarStream(source: AsyncIterable<Uint8Array>): AsyncGenerator<StreamedEntry> {
  const reader = openByteReader(source);
  const names = new Set<string>();
  let pax: ReadonlyMap<string, string> = new Map();
  let longName: string | undefined;
  try {
    for (;;) {
      const header = await reader.exactly(blockBytes);
      if (header.every((byte) => byte === 0)) break;
      if (octal(header, 148, 8) !== checksum(header)) throw refuseArchive('a header has a wrong checksum');
      const type = String.fromCharCode(header[156] ?? 0);
      const sizeBytes = sizeOf(header, pax);
      const padding = (blockBytes - (sizeBytes % blockBytes)) % blockBytes;
      if (type === 'x' || type === 'L') {
        if (sizeBytes > extendedBytes) throw refuseArchive('an extended header is too large');
        const content = await reader.exactly(sizeBytes);
        await reader.exactly(padding);
        if (type === 'x') pax = parsePax(content);
        else longName = decodeName(content);
        continue;
      }
      const name = pax.get('path') ?? longName ?? headerName(header);
      [pax, longName] = [new Map(), undefined];
      if (type === '5' || name === './') {
        if (sizeBytes !== 0) throw refuseArchive('a directory has bytes');
        continue;
      }
      if (type !== '0' && type !== '\0') throw refuseArchive('it holds something that is not a regular file');
      yield { name: takeName(names, name), sizeBytes, bytes: reader.stream(sizeBytes) };
      await reader.exactly(padding);
    }
    await drain(reader);
  } finally {
    await reader.close();
  }
}

function takeName(names: Set<string>, written: string): string {
  const name = safeName(written.replace(/^(?:\.\/)+/, ''));
  if (names.has(name)) throw refuseArchive(`two files are called \`${name.slice(0, 200)}\``);
  if (names.size >= limits.tarEntries) throw new Fault('limit.exceeded', 'the archive has too many files');
  names.add(name);
  return name;
}

async function drain(reader: ReturnType<typeof openByteReader>): Promise<void> {
  for (let read = 0; !(await reader.ended()); read += 1) {
    if (read > paddingBytes) throw refuseArchive('it does not end');
    const [byte] = await reader.exactly(1);
    if (byte !== 0) throw refuseArchive('there are bytes after its end');
  }
}

/** A size in octal, in a pax record, or in GNU's base 256 where the first bit is set. */
function sizeOf(header: Buffer, pax: ReadonlyMap<string, string>): number {
  const written = pax.get('size');
  if (written !== undefined) {
    if (!/^\d{1,15}$/.test(written)) throw refuseArchive('a size is not a number');
    return Number(written);
  }
  if ((header[124] ?? 0) < 0x80) return octal(header, 124, 12);
  const high = header.readUInt32BE(124) & 0x7f_ff_ff_ff;
  const size = header.readBigUInt64BE(128);
  if (high !== 0 || size > BigInt(Number.MAX_SAFE_INTEGER)) throw refuseArchive('a size is not a number');
  return Number(size);
}

function decodeName(content: Buffer): string {
  const end = content.indexOf(0);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      end === -1 ? content : content.subarray(0, end),
    );
  } catch {
    throw refuseArchive('a name is not UTF-8');
  }
}
