import type { ByteSource } from '../../blob-store.ts';
import { ByteCursor } from '../cursor.ts';
import { ImpossibleCount } from '../store-reading.ts';

/** Reads the pieces that FAISS writes (faiss/impl/index_write.cpp): numbers as they lie in memory, counted vectors. */
export class FaissCursor {
  readonly #cursor: ByteCursor;

  constructor(source: ByteSource) {
    this.#cursor = new ByteCursor(source);
  }

  get offset(): number {
    return this.#cursor.offset;
  }

  async u8(): Promise<number> {
    await this.#cursor.ensure(1);
    return this.#cursor.u8();
  }

  async u32(): Promise<number> {
    await this.#cursor.ensure(4);
    return this.#cursor.u32();
  }

  async fourcc(): Promise<string> {
    await this.#cursor.ensure(4);
    return Buffer.from(this.#cursor.bytes(4)).toString('latin1');
  }

  /** A number of 64 bits that counts something of at least `eachBytes` bytes in the rest of the file. */
  async count(what: string, eachBytes = 0): Promise<number> {
    const at = this.offset;
    await this.#cursor.ensure(8);
    const count = this.#cursor.u64();
    const most = BigInt(Number.MAX_SAFE_INTEGER);
    if (count > most || count * BigInt(eachBytes) > BigInt(this.#cursor.remaining)) {
      throw new ImpossibleCount(what, count, at);
    }
    return Number(count);
  }

  /** Over `count` things of `eachBytes` bytes; `EndOfBytes` beyond the end. */
  skip(count: number, eachBytes = 1): void {
    const bytes = count * eachBytes;
    if (!Number.isSafeInteger(bytes)) throw new ImpossibleCount('bytes', bytes, this.offset);
    this.#cursor.skip(bytes);
  }

  /** A counted vector of elements, of which only the number is wanted. */
  async vector(what: string, eachBytes: number): Promise<number> {
    const count = await this.count(what, eachBytes);
    this.skip(count, eachBytes);
    return count;
  }
}
