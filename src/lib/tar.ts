import { Fault } from './fault.ts';
import { limits } from './limits.ts';
import { parsePathName } from './path-name.ts';

/** A regular file of an archive. */
export interface TarEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const blockBytes = 512;
const endBytes = 2 * blockBytes;
const nameBytes = 100;
const mostHeaderSize = 0o77777777777;
const zeros = new Uint8Array(endBytes);
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const refuseArchive = (why: string): Fault =>
  new Fault('bundle.invalid', `this is not an archive that can be read here: ${why}`);

/**
 * Files to one archive (POSIX.1-2001 ustar, a pax `path` record for names above 100 bytes), in the order given. The same
 * files give the same bytes: mode 0644, owner 0, time 0, no names of people. Faults `path.invalid` for a name that
 * `parsePathName` refuses, `bundle.invalid` for a repeated name, `limit.exceeded`.
 */
export function encodeTar(entries: readonly TarEntry[]): Uint8Array {
  if (entries.length > limits.tarEntries) throw new Fault('limit.exceeded', 'an archive has too many files');
  const parts: Uint8Array[] = [];
  const names = new Set<string>();
  let total = endBytes;
  const push = (bytes: Uint8Array): void => {
    const rest = bytes.length % blockBytes;
    parts.push(bytes);
    if (rest > 0) parts.push(zeros.subarray(0, blockBytes - rest));
    total += bytes.length + blockBytes;
    if (total > limits.tarBytes) throw new Fault('limit.exceeded', 'an archive is too large');
  };
  for (const { name, bytes } of entries) {
    parsePathName(name);
    if (names.has(name)) throw refuseArchive(`two files are called \`${name.slice(0, 200)}\``);
    names.add(name);
    const encoded = encoder.encode(name);
    if (encoded.length > nameBytes) {
      const record = paxRecord('path', name);
      push(encodeHeader(encoder.encode('pax'), record.length, 'x'));
      push(record);
    }
    push(encodeHeader(encoded.subarray(0, nameBytes), bytes.length, '0'));
    push(bytes);
  }
  parts.push(zeros);
  return Buffer.concat(parts);
}

/** `<length> <key>=<value>\n`, where the length counts itself (POSIX.1-2001 "pax Extended Header"). */
function paxRecord(key: string, value: string): Uint8Array {
  const body = encoder.encode(` ${key}=${value}\n`);
  let length = body.length;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([encoder.encode(String(length)), body]);
}

function encodeHeader(name: Uint8Array, sizeBytes: number, type: '0' | 'x'): Uint8Array {
  if (sizeBytes > mostHeaderSize) throw new Fault('limit.exceeded', 'a file of an archive is too large');
  const header = Buffer.alloc(blockBytes);
  header.set(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write('ustar\x0000', 257);
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** Sum of the header's bytes with the checksum field taken as spaces. */
export function checksum(header: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < blockBytes; index++)
    sum += index >= 148 && index < 156 ? 32 : (header[index] ?? 0);
  return sum;
}

/**
 * An archive to its files: regular files of ustar and pax (`path` and `size` records; others are passed over). Views
 * into `bytes`, not copies. Links, devices, directories, unsafe or repeated names, wrong checksums, a missing end and
 * bytes after it are Fault `bundle.invalid`; too many or too large is `limit.exceeded`.
 */
export function parseTar(bytes: Uint8Array): readonly TarEntry[] {
  if (bytes.length > limits.tarBytes) throw new Fault('limit.exceeded', 'the archive is too large');
  if (bytes.length % blockBytes !== 0) throw refuseArchive('it is cut off');
  const entries: TarEntry[] = [];
  const names = new Set<string>();
  let offset = 0;
  let pax: ReadonlyMap<string, string> = new Map();
  for (;;) {
    const header = bytes.subarray(offset, offset + blockBytes);
    if (header.length < blockBytes) throw refuseArchive('its end is missing');
    if (header.every((byte) => byte === 0)) break;
    if (octal(header, 148, 8) !== checksum(header)) throw refuseArchive('a header has a wrong checksum');
    const type = String.fromCharCode(header[156] ?? 0);
    const sizeBytes = sizeOf(header, pax);
    const content = bytes.subarray(offset + blockBytes, offset + blockBytes + sizeBytes);
    if (content.length !== sizeBytes) throw refuseArchive('a file is cut off');
    offset += blockBytes * (1 + Math.ceil(sizeBytes / blockBytes));
    if (type === 'x') {
      if (pax.size > 0) throw refuseArchive('two extended headers follow each other');
      pax = parsePax(content);
      continue;
    }
    if (type !== '0' && type !== '\0') throw refuseArchive('it holds something that is not a regular file');
    const name = safeName(pax.get('path') ?? headerName(header));
    if (names.has(name)) throw refuseArchive(`two files are called \`${name.slice(0, 200)}\``);
    if (names.size >= limits.tarEntries) throw new Fault('limit.exceeded', 'the archive has too many files');
    names.add(name);
    entries.push({ name, bytes: content });
    pax = new Map();
  }
  if (pax.size > 0 || bytes.length - offset < endBytes) throw refuseArchive('its end is missing');
  if (bytes.subarray(offset).some((byte) => byte !== 0)) throw refuseArchive('there are bytes after its end');
  return entries;
}

function sizeOf(header: Uint8Array, pax: ReadonlyMap<string, string>): number {
  const written = pax.get('size');
  if (written !== undefined && !/^\d{1,15}$/.test(written)) throw refuseArchive('a size is not a number');
  return written === undefined ? octal(header, 124, 12) : Number(written);
}

export function octal(header: Uint8Array, start: number, length: number): number {
  const text = /^ *([0-7]{1,11})[\0 ]*$/.exec(
    Buffer.from(header.subarray(start, start + length)).toString('latin1'),
  )?.[1];
  if (text === undefined) throw refuseArchive('a number in a header is not octal');
  return Number.parseInt(text, 8);
}

function textField(header: Uint8Array, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return decode(end === -1 ? field : field.subarray(0, end));
}

export function headerName(header: Uint8Array): string {
  const prefix = textField(header, 257, 5) === 'ustar' ? textField(header, 345, 155) : '';
  const name = textField(header, 0, nameBytes);
  return prefix === '' ? name : `${prefix}/${name}`;
}

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw refuseArchive('a name is not UTF-8');
  }
}

export function parsePax(content: Uint8Array): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  let offset = 0;
  while (offset < content.length) {
    const space = content.indexOf(0x20, offset);
    const digits = space === -1 || space - offset > 9 ? '' : decode(content.subarray(offset, space));
    const length = /^[1-9]\d*$/.test(digits) ? Number(digits) : 0;
    const record = content.subarray(space + 1, offset + length);
    if (length <= digits.length + 1 || offset + length > content.length || record.at(-1) !== 0x0a)
      throw refuseArchive('an extended header is malformed');
    const text = decode(record.subarray(0, -1));
    const equals = text.indexOf('=');
    if (equals < 1) throw refuseArchive('an extended header is malformed');
    records.set(text.slice(0, equals), text.slice(equals + 1));
    offset += length;
  }
  return records;
}

export function safeName(name: string): string {
  try {
    return parsePathName(name);
  } catch {
    throw refuseArchive('a file has an unsafe name');
  }
}
