import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { bytesOf, u32, u64 } from './model-bytes.ts';

/** The header of a FAISS index of kind `code`. */
export function faissHeader(code: string, dimensions: number, vectors: number): Uint8Array {
  return bytesOf(code, u32(dimensions), u64(vectors), u64(1 << 20), u64(1 << 20), [1], u32(1));
}

/** A flat index; `numbers` is how many floats it says that it holds. */
export function flatFaiss(dimensions: number, vectors: number, numbers = dimensions * vectors): Uint8Array {
  return bytesOf(
    faissHeader('IxF2', dimensions, vectors),
    u64(numbers),
    new Uint8Array(dimensions * vectors * 4).fill(63),
  );
}

/** A database file that SQLite itself writes. */
export function sqliteBytes(...statements: readonly string[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'sqlite-'));
  try {
    const database = new DatabaseSync(join(folder, 'a.db'));
    for (const statement of statements) database.exec(statement);
    database.close();
    return readFileSync(join(folder, 'a.db'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
