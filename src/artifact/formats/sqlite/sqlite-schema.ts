import type { ByteSource } from '../../blob-store.ts';
import { decodeUtf8 } from '../json/read-json.ts';
import { limits } from '#lib/limits.ts';

/** One row of `sqlite_schema`: what there is, and the statement that made it. */
export interface SchemaRow {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
}

export interface PageGeometry {
  readonly pageBytes: number;
  /** Bytes of a page that records may use. */
  readonly usableBytes: number;
  readonly pageCount: number;
  readonly encoding: 'utf-8' | 'utf-16le' | 'utf-16be';
}

/** Thrown where the schema breaks the file format (sqlite.org/fileformat2.html); the message says how. */
export class BrokenSchema extends Error {}

const headerBytes = 100;

/** The rows of the table whose root is page 1. Bounded by `limits.sqliteSchema…`; errors are `BrokenSchema`. */
export async function readSchema(source: ByteSource, geometry: PageGeometry): Promise<readonly SchemaRow[]> {
  const rows: SchemaRow[] = [];
  const pending = [1];
  const seen = new Set<number>();
  for (let number = pending.pop(); number !== undefined; number = pending.pop()) {
    if (seen.has(number)) throw new BrokenSchema('a page of the schema is reached twice');
    seen.add(number);
    if (seen.size > limits.sqliteSchemaPages) throw new BrokenSchema('the schema has too many pages');
    const page = await readPage(source, geometry, number);
    const start = number === 1 ? headerBytes : 0;
    const kind = page[start];
    if (kind !== 0x0d && kind !== 0x05) throw new BrokenSchema('a page of the schema is not one of a table');
    const cells = page.readUInt16BE(start + 3);
    const pointers = start + (kind === 0x05 ? 12 : 8);
    if (pointers + 2 * cells > page.length) throw new BrokenSchema('a page has more cells than room');
    for (let index = 0; index < cells; index += 1) {
      const at = page.readUInt16BE(pointers + 2 * index);
      if (at + 4 > page.length) throw new BrokenSchema('a cell lies outside its page');
      if (kind === 0x05) pending.push(page.readUInt32BE(at));
      else rows.push(parseRow(await readPayload(source, geometry, { page, at }), geometry));
      if (rows.length > limits.sqliteSchemaRows) throw new BrokenSchema('the schema has too many rows');
    }
    if (kind === 0x05) pending.push(page.readUInt32BE(start + 8));
  }
  return rows;
}

async function readPage(
  source: ByteSource,
  { pageBytes, pageCount }: PageGeometry,
  number: number,
): Promise<Buffer> {
  if (number < 1 || number > pageCount)
    throw new BrokenSchema('the schema leads to a page that is not there');
  const page = Buffer.from(await source.read((number - 1) * pageBytes, pageBytes));
  if (page.length < pageBytes) throw new BrokenSchema('the schema leads beyond the end of the file');
  return page;
}

/** A table leaf cell: payload size, row id, payload; what does not fit goes on in a chain of pages (§1.6). */
async function readPayload(
  source: ByteSource,
  geometry: PageGeometry,
  { page, at }: { readonly page: Buffer; readonly at: number },
): Promise<Buffer> {
  const [size, afterSize] = varint(page, at);
  const [, from] = varint(page, afterSize);
  const { usableBytes } = geometry;
  if (size > limits.sqliteSchemaBytes) throw new BrokenSchema('a row of the schema is too long');
  const most = usableBytes - 35;
  if (size <= most) return slice(page, from, size);
  const least = Math.floor(((usableBytes - 12) * 32) / 255) - 23;
  const fitting = least + ((size - least) % (usableBytes - 4));
  const local = fitting <= most ? fitting : least;
  const parts = [slice(page, from, local)];
  let next = slice(page, from + local, 4).readUInt32BE(0);
  for (let left = size - local; left > 0;) {
    const more = await readPage(source, geometry, next);
    const part = more.subarray(4, 4 + Math.min(left, usableBytes - 4));
    parts.push(part);
    left -= part.length;
    next = more.readUInt32BE(0);
  }
  return Buffer.concat(parts);
}

function slice(bytes: Buffer, from: number, length: number): Buffer {
  if (from + length > bytes.length) throw new BrokenSchema('a row of the schema ends outside its page');
  return bytes.subarray(from, from + length);
}

/** `type, name, tbl_name, rootpage, sql` (§2.6); other shapes than text where text belongs are broken. */
function parseRow(payload: Buffer, { encoding }: PageGeometry): SchemaRow {
  const [headerEnd, first] = varint(payload, 0);
  const types: number[] = [];
  for (let at = first; at < headerEnd && types.length < 16;) {
    const [type, next] = varint(payload, at);
    types.push(type);
    at = next;
  }
  let at = headerEnd;
  const values = types.map((type) => {
    const length = lengthOf(type);
    const bytes = slice(payload, at, length);
    at += length;
    return type >= 13 && type % 2 === 1 ? textOf(bytes, encoding) : undefined;
  });
  const [type, name] = values;
  if (type === undefined || name === undefined || types.length !== 5) {
    throw new BrokenSchema('a row of the schema is not one');
  }
  return { type, name, sql: values[4] ?? '' };
}

/** Bytes of a value by its serial type (§2.1). */
function lengthOf(type: number): number {
  if (type >= 12) return Math.floor((type - 12) / 2);
  return [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0][type] ?? 0;
}

function textOf(bytes: Buffer, encoding: PageGeometry['encoding']): string {
  if (encoding === 'utf-8') {
    const text = decodeUtf8(bytes);
    if (text === undefined) throw new BrokenSchema('a text of the schema is not UTF-8');
    return text;
  }
  const even = bytes.length % 2 === 0;
  if (!even) throw new BrokenSchema('a text of the schema is not UTF-16');
  return (encoding === 'utf-16le' ? bytes : Buffer.from(bytes).swap16()).toString('utf16le');
}

/** A big-endian number of up to nine bytes; only values that can be sizes here are exact. */
function varint(bytes: Buffer, from: number): readonly [value: number, next: number] {
  let value = 0;
  for (let index = 0; index < 9; index += 1) {
    const byte = bytes[from + index];
    if (byte === undefined) throw new BrokenSchema('a number of the schema ends outside its page');
    value = index === 8 ? value * 256 + byte : value * 128 + (byte & 0x7f);
    if (byte < 0x80 || index === 8) return [value, from + index + 1];
  }
  return [value, from + 9];
}
