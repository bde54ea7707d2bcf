import { createHash } from 'node:crypto';
import { Fault } from '#lib/fault.ts';
import { digestOfHex } from './digest.ts';
import type { Digest } from './digest.ts';

/**
 * Sees every byte of a stream once, in order, as it passes. `write` must be done with the chunk when it returns: the
 * buffer may be used again. A reader that throws stops the stream: nobody goes on with bytes that were not seen.
 */
export interface TapReader {
  write(chunk: Uint8Array): void;
  /** The source ended normally; called once, after the last `write`. */
  end(): void;
  /** The source broke or the consumer left; then `end` is not called. */
  abort?(reason: unknown): void;
}

/**
 * One read for all (DESIGN §1a): passes a stream on unchanged while every reader sees it. A chunk reaches the readers
 * before the consumer, and the end reaches them before the consumer sees it, so whoever has the last byte can rely on
 * the readers being finished.
 */
export async function* tap(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  readers: readonly TapReader[],
): AsyncGenerator<Uint8Array> {
  let ended = false;
  let reason: unknown;
  try {
    for await (const chunk of source) {
      for (const reader of readers) reader.write(chunk);
      yield chunk;
    }
    for (const reader of readers) reader.end();
    ended = true;
  } catch (error) {
    reason = error;
    throw error;
  } finally {
    if (!ended)
      for (const reader of readers) reader.abort?.(reason ?? new Error('the stream was left before its end'));
  }
}

/** Drives a source through readers with no other consumer; resolves to the number of bytes. */
export async function readThrough(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  readers: readonly TapReader[],
): Promise<number> {
  let sizeBytes = 0;
  for await (const chunk of tap(source, readers)) sizeBytes += chunk.length;
  return sizeBytes;
}

export interface DigestReader extends TapReader {
  /** After `end`. */
  readonly digest: Digest;
  /** Bytes seen so far. */
  readonly sizeBytes: number;
}

/** SHA-256 of what passes. Asking for `digest` before the end throws. */
export function createDigestReader(): DigestReader {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  let digest: Digest | undefined;
  return {
    write(chunk) {
      hash.update(chunk);
      sizeBytes += chunk.length;
    },
    end() {
      digest = digestOfHex(hash.digest('hex'));
    },
    get digest() {
      if (digest === undefined) throw new Error('the stream has not ended');
      return digest;
    },
    get sizeBytes() {
      return sizeBytes;
    },
  };
}

export interface GitBlobReader extends TapReader {
  /** 40 hex digits, after `end`. */
  readonly oid: string;
}

/**
 * The git blob id of what passes: SHA-1 over `blob <size>\0` and the bytes (gitformat "Object storage format"). Only
 * for holding small files against an upstream's listing; it names nothing here. The size must be known beforehand;
 * another number of bytes is Fault `blob.mismatch` at the end.
 */
export function createGitBlobReader(sizeBytes: number): GitBlobReader {
  const hash = createHash('sha1').update(`blob ${sizeBytes}\0`);
  let seenBytes = 0;
  let oid: string | undefined;
  return {
    write(chunk) {
      hash.update(chunk);
      seenBytes += chunk.length;
    },
    end() {
      if (seenBytes !== sizeBytes) {
        throw new Fault('blob.mismatch', `${seenBytes} bytes came, ${sizeBytes} were declared`);
      }
      oid = hash.digest('hex');
    },
    get oid() {
      if (oid === undefined) throw new Error('the stream has not ended');
      return oid;
    },
  };
}
