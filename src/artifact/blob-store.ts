import type { Readable } from 'node:stream';
import type { Digest } from './digest.ts';

export interface BlobDescriptor {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** What the writer knows beforehand; a difference is Fault `blob.mismatch` and nothing becomes visible. */
export interface BlobExpectation {
  readonly digest?: Digest;
  readonly sizeBytes?: number;
}

/** Random access to bytes that do not change while open. Shared by blobs, local files and members of archives. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** Exactly `lengthBytes` bytes from `offset`, fewer only at the end of the source. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
}

export interface OpenBlob extends ByteSource, AsyncDisposable {
  readonly digest: Digest;
  /** A local path that a worker may open read-only, where the store has one. */
  readonly localPath: string | undefined;
  /** Reads into `target` from `offset` until it is full or the blob ends; how many bytes that were. */
  readInto(target: Uint8Array, offset: number): Promise<number>;
  /** Bytes `start` up to, not including, `end`; the whole blob by default. Reads in steps of 1 MiB. */
  stream(range?: { readonly start: number; readonly end: number }): Readable;
  close(): Promise<void>;
}

/**
 * Content-addressed bytes. A blob is visible under its digest completely or not at all, whatever happens to the
 * process or the machine: `put` resolves only after bytes and directory entry are durable. Putting what exists
 * already succeeds without writing. Concurrent puts of the same bytes are safe. Who may see a blob is decided by
 * links in the database, never here. Errors: `blob.mismatch`, `disk.full`.
 */
export interface BlobStore {
  put(source: AsyncIterable<Uint8Array> | Uint8Array, expected?: BlobExpectation): Promise<BlobDescriptor>;
  /** Undefined where the store has no such blob. */
  open(digest: Digest): Promise<OpenBlob | undefined>;
  stat(digest: Digest): Promise<BlobDescriptor | undefined>;
  /** Every visible blob, in any order. */
  list(): AsyncIterable<Digest>;
}
