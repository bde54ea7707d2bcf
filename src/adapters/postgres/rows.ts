import { type Digest, digestOfHex, hexOf } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';

/** One row as the driver gives it; every value is parsed here before it is believed. */
export type Row = Readonly<Record<string, unknown>>;

export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw unexpected(column, 'text', value);
  return value;
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : textOf(row, column);
}

/** `bigint` arrives as text; an index or an instant beyond 2^53 is a broken database, not a number. */
export function wholeOf(row: Row, column: string): number {
  const value = row[column];
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number))
    throw unexpected(column, 'whole number', value);
  return number;
}

export function wholeOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : wholeOf(row, column);
}

export function flagOf(row: Row, column: string): boolean {
  const value = row[column];
  if (typeof value !== 'boolean') throw unexpected(column, 'boolean', value);
  return value;
}

export function bytesOf(row: Row, column: string): Buffer {
  const value = row[column];
  if (!Buffer.isBuffer(value)) throw unexpected(column, 'bytes', value);
  return value;
}

export function digestColumn(row: Row, column: string): Digest {
  return digestOfHex(bytesOf(row, column).toString('hex'));
}

/** One of the words of a closed list. */
export function wordOf<W extends string>(row: Row, column: string, words: readonly W[]): W {
  const value = row[column];
  const found = words.find((word) => word === value);
  if (found === undefined) throw unexpected(column, words.join(' or '), value);
  return found;
}

export function oneRow(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined || rows.length !== 1) throw unexpected('row', 'exactly one', rows.length);
  return row;
}

export function digestBytes(digest: Digest): Buffer {
  return Buffer.from(hexOf(digest), 'hex');
}

/** Many byte strings as two parameters: PostgreSQL cuts `joined` at `offsets` (1-based, as substr counts). */
export function joinBytes(parts: readonly Uint8Array[]): {
  readonly joined: Buffer;
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
} {
  let offset = 1;
  const offsets = parts.map((part) => {
    const start = offset;
    offset += part.byteLength;
    return start;
  });
  return { joined: Buffer.concat(parts), offsets, lengths: parts.map((part) => part.byteLength) };
}

export function splitBytes(bytes: Uint8Array, partBytes: number): readonly Uint8Array[] {
  if (bytes.byteLength % partBytes !== 0)
    throw unexpected('frontier', `a multiple of ${partBytes} bytes`, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / partBytes }, (_, index) =>
    bytes.subarray(index * partBytes, (index + 1) * partBytes),
  );
}

function unexpected(column: string, wanted: string, value: unknown): Fault {
  return new Fault('internal.unexpected', `database column \`${column}\` is not ${wanted}`, {
    details: { type: typeof value },
  });
}
