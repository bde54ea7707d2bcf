import type { ByteSource } from './blob-store.ts';
import { Coverage } from './coverage.ts';

/** Bytes of a file that is elsewhere, `end` excluded: exactly those, verified to be those that were asked for. */
export type RangeFetch = (range: { readonly start: number; readonly end: number }) => Promise<Uint8Array>;

/** What may still be fetched. A file has an allowance of its own and shares that of the whole. */
export interface Allowance {
  bytes: number;
  requests: number;
}

/** How the message of an error begins that says: these bytes are not here because a bound forbids to fetch them. */
const notRead = 'not read:';

/** Messages cross threads, classes do not. */
export function isNotRead(thrown: unknown): thrown is Error {
  return thrown instanceof Error && thrown.message.startsWith(notRead);
}

interface Extent {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Uint8Array>;
}

/** The least that is asked for at once, and the first request of a file. */
const granuleBytes = 16 * 1024;
const openingBytes = 256 * 1024;
/** A file up to this size comes whole with its first request, so that it can be checked against its digest. */
const wholeBytes = 1024 * 1024;
const mostAheadBytes = 4 * 1024 * 1024;

/**
 * Random access to a file that is elsewhere. Every byte is fetched at most once and kept, so memory is bounded by the
 * allowance; missing stretches are asked for in one request each, with read-ahead that doubles while reading goes
 * forward. Beyond the allowance `read` throws an error that `isNotRead` knows; what is here can still be read.
 */
export class SparseSource implements ByteSource {
  readonly sizeBytes: number;
  readonly #fetch: RangeFetch;
  readonly #allowances: readonly Allowance[];
  /** Disjoint, in order. */
  readonly #extents: Extent[] = [];
  readonly #read = new Coverage();
  #aheadBytes = granuleBytes;
  #lastEnd = -1;
  #failure: { readonly error: unknown } | undefined;

  constructor(sizeBytes: number, fetch: RangeFetch, allowances: readonly Allowance[]) {
    this.sizeBytes = sizeBytes;
    this.#fetch = fetch;
    this.#allowances = allowances;
  }

  /** Bytes that were handed to readers, each counted once. */
  get readBytes(): number {
    return this.#read.bytes;
  }

  /** The first failure of a request; bounds are none. */
  get failure(): unknown {
    return this.#failure?.error;
  }

  async read(offset: number, lengthBytes: number): Promise<Uint8Array> {
    const start = Math.min(this.sizeBytes, offset);
    const end = Math.min(this.sizeBytes, offset + Math.max(0, lengthBytes));
    if (end <= start) return new Uint8Array(0);
    this.#fetchMissing(start, end);
    const parts: Uint8Array[] = [];
    for (const extent of this.#extents.slice(this.#firstEndingAfter(start))) {
      if (extent.start >= end) break;
      const bytes = await extent.bytes;
      parts.push(bytes.subarray(Math.max(0, start - extent.start), Math.min(extent.end, end) - extent.start));
    }
    this.#read.add(start, end);
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  }

  /** All bytes, where every one of them is here; nothing is fetched for it. */
  async whole(): Promise<Uint8Array | undefined> {
    const held = this.#extents.reduce((sum, { start, end }) => sum + end - start, 0);
    if (held < this.sizeBytes) return undefined;
    return Buffer.concat(await Promise.all(this.#extents.map(({ bytes }) => bytes)));
  }

  /** Starts a request for every stretch between `start` and `end` that is neither here nor on its way. */
  #fetchMissing(start: number, end: number): void {
    let at = start;
    for (let index = this.#firstEndingAfter(start); at < end; index += 1) {
      const next = this.#extents[index];
      const stretchEnd = Math.min(end, next?.start ?? end);
      if (at < stretchEnd) {
        this.#request({ start: at, end: stretchEnd }, { index, before: next?.start ?? this.sizeBytes });
        at = this.#extents[index]?.end ?? stretchEnd;
      } else at = next?.end ?? end;
    }
  }

  #request(
    wanted: { readonly start: number; readonly end: number },
    place: { readonly index: number; readonly before: number },
  ): void {
    const { start } = wanted;
    const most = Math.min(...this.#allowances.map(({ bytes }) => bytes));
    if (wanted.end - start > most || this.#allowances.some(({ requests }) => requests < 1)) {
      throw new Error(`${notRead} byte ${start} of ${this.sizeBytes} lies beyond what a triage fetches`);
    }
    const end = Math.min(place.before, start + most, Math.max(wanted.end, this.#aheadOf(wanted)));
    for (const allowance of this.#allowances) {
      allowance.bytes -= end - start;
      allowance.requests -= 1;
    }
    const bytes = this.#fetch({ start, end });
    // Whoever reads sees the rejection; a stretch that was fetched ahead may never be read.
    bytes.catch((error: unknown) => (this.#failure ??= { error }));
    this.#extents.splice(place.index, 0, { start, end, bytes });
    this.#lastEnd = end;
  }

  #aheadOf({ start, end }: { readonly start: number; readonly end: number }): number {
    if (start === 0) return this.sizeBytes <= wholeBytes ? this.sizeBytes : openingBytes;
    if (start !== this.#lastEnd) this.#aheadBytes = granuleBytes;
    else this.#aheadBytes = Math.min(mostAheadBytes, Math.max(openingBytes, this.#aheadBytes * 2));
    return start === this.#lastEnd ? end + this.#aheadBytes : start + granuleBytes;
  }

  /** Index of the first extent that ends after `at`. */
  #firstEndingAfter(at: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#extents[middle]?.end ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
