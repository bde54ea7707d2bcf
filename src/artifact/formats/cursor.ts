import type { ByteSource } from '../blob-store.ts';

const windowBytes = 256 * 1024;

/** Thrown by `ByteCursor` where the source ends before what is asked for; readers turn it into a flaw. */
export class EndOfBytes extends Error {
  readonly offset: number;

  constructor(offset: number) {
    super('end of bytes');
    this.offset = offset;
  }
}

/**
 * Reads forward through a source in windows of 256 KiB. `ensure(n)` makes the next `n` bytes available (n at most
 * what the caller's own bound allows) or throws `EndOfBytes`; the getters then take them without waiting.
 * Integers are little-endian unless `bigEndian` is set.
 */
export class ByteCursor {
  readonly #source: ByteSource;
  #window: DataView = new DataView(new ArrayBuffer(0));
  #windowStart = 0;
  #at = 0;
  bigEndian = false;

  constructor(source: ByteSource, offset = 0) {
    this.#source = source;
    this.#windowStart = offset;
  }

  /** Absolute position. */
  get offset(): number {
    return this.#windowStart + this.#at;
  }

  get remaining(): number {
    return this.#source.sizeBytes - this.offset;
  }

  /** True where the next `count` bytes need no waiting. */
  has(count: number): boolean {
    return this.#window.byteLength - this.#at >= count;
  }

  async ensure(count: number): Promise<void> {
    if (this.has(count)) return;
    const start = this.offset;
    if (count > this.remaining) throw new EndOfBytes(start);
    const bytes = await this.#source.read(start, Math.min(this.remaining, Math.max(count, windowBytes)));
    if (bytes.byteLength < count) throw new EndOfBytes(start);
    this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#windowStart = start;
    this.#at = 0;
  }

  /** Moves forward; throws `EndOfBytes` past the end of the source. */
  skip(count: number): void {
    if (count > this.remaining) throw new EndOfBytes(this.offset);
    if (this.has(count)) this.#at += count;
    else {
      this.#windowStart = this.offset + count;
      this.#window = new DataView(new ArrayBuffer(0));
      this.#at = 0;
    }
  }

  u8(): number {
    return this.#window.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#window.getUint32(this.#take(4), !this.bigEndian);
  }

  u64(): bigint {
    return this.#window.getBigUint64(this.#take(8), !this.bigEndian);
  }

  view(count: number): DataView {
    const at = this.#take(count);
    return new DataView(this.#window.buffer, this.#window.byteOffset + at, count);
  }

  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return new Uint8Array(this.#window.buffer, this.#window.byteOffset + at, count);
  }

  #take(count: number): number {
    const at = this.#at;
    if (this.#window.byteLength - at < count) throw new EndOfBytes(this.offset);
    this.#at += count;
    return at;
  }
}
