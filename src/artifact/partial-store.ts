import type { Span } from '#lib/spans.ts';
import type { BlobDescriptor } from './blob-store.ts';
import type { Digest } from './digest.ts';

/** A blob on its way: what it will be if its source tells the truth. */
export interface PartialKey {
  /** Partials of one namespace are never continued, read or seen by another. */
  readonly namespace: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Bytes of a blob while they arrive. Reads and writes may run side by side; one writer at a time. */
export interface Partial {
  /** The place where the bytes are: another one, whenever the transfer began anew. A published blob keeps it. */
  readonly identity: string;
  /** What is written, ascending. Nothing of it is verified before `publish`. */
  readonly spans: readonly Span[];
  /** How far the written bytes reach from `offset` on; `offset` where it is not written. */
  reach(offset: number): number;
  /** The first span that is missing at or after `from`; undefined where there is none. */
  gap(from: number): Span | undefined;
  /** Writes at `offset`. Fault `disk.full`; `limit.exceeded` past the declared size. */
  write(chunk: Uint8Array, offset: number): Promise<void>;
  /** Fills `target` with written bytes from `offset`; how many that were, 0 where none is written there. */
  readInto(target: Uint8Array, offset: number): Promise<number>;
  /**
   * Complete, durable and hashed: makes it the blob. Fault `blob.mismatch` where the bytes are others than declared, and
   * then the partial is gone. May be read on until `close`.
   */
  publish(): Promise<BlobDescriptor>;
  /** Keeps what is written for the next one who opens it. */
  close(): Promise<void>;
}

/** What another process is writing, for reading along. */
export interface WatchedPartial {
  /** As in `Partial`. */
  readonly identity: string;
  /** Reads the writer's progress anew. False when there is nothing to watch any more: it was published or thrown away. */
  refresh(): Promise<boolean>;
  reach(offset: number): number;
  readInto(target: Uint8Array, offset: number): Promise<number>;
  close(): Promise<void>;
}

/** Where transfers are kept until they are complete, also over the end of the process. Whoever writes must hold a lease. */
export interface PartialStore {
  /** Continues what an earlier writer left, or begins. Fault `disk.full` where it cannot fit. */
  open(key: PartialKey): Promise<Partial>;
  /** Undefined where nobody has begun. */
  watch(key: PartialKey): Promise<WatchedPartial | undefined>;
  /** Where the bytes of a stored blob are, to be compared with where they came from. */
  identityOf(digest: Digest): Promise<string | undefined>;
  /**
   * Remembers durably that unverified bytes of the transfer that is under way leave the house; before this resolves none
   * may. A mark of an earlier transfer stays: somebody may hold bytes of that one.
   */
  mark(key: PartialKey): Promise<void>;
  /** Did bytes leave that may not be those of the blob, or of the transfer under way? A rest must not be joined to them. */
  isMixed(key: PartialKey): Promise<boolean>;
}
