import { Readable } from 'node:stream';
import type { BlobDescriptor, BlobStore, OpenBlob } from '#artifact/blob-store.ts';
import { digestOf, type Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';

/** A blob store in memory for tests of what stands above it. Reads every source to its end. */
export function memoryBlobs(): BlobStore & { readonly held: Map<Digest, Buffer> } {
  const held = new Map<Digest, Buffer>();
  return {
    held,
    put: async (source, expected = {}) => {
      const bytes = source instanceof Uint8Array ? Buffer.from(source) : await collect(source);
      const digest = digestOf(bytes);
      if (
        (expected.digest !== undefined && expected.digest !== digest) ||
        (expected.sizeBytes !== undefined && expected.sizeBytes !== bytes.length)
      ) {
        throw new Fault('blob.mismatch', `the bytes are \`${digest}\``);
      }
      held.set(digest, bytes);
      return { digest, sizeBytes: bytes.length };
    },
    open: async (digest) => {
      const bytes = held.get(digest);
      return bytes === undefined ? undefined : openBytes(digest, bytes);
    },
    stat: async (digest): Promise<BlobDescriptor | undefined> => {
      const bytes = held.get(digest);
      return bytes === undefined ? undefined : { digest, sizeBytes: bytes.length };
    },
    list: async function* () {
      yield* held.keys();
    },
  };
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function openBytes(digest: Digest, bytes: Buffer): OpenBlob {
  return {
    digest,
    sizeBytes: bytes.length,
    localPath: undefined,
    read: async (offset, lengthBytes) => bytes.subarray(offset, offset + lengthBytes),
    readInto: async (target, offset) => bytes.copy(target, 0, offset),
    stream: (range = { start: 0, end: bytes.length }) =>
      Readable.from(steps(bytes, range), { objectMode: false }),
    close: nothing,
    [Symbol.asyncDispose]: nothing,
  };
}

async function nothing(): Promise<void> {}

const stepBytes = 1024 * 1024;

function* steps(
  bytes: Buffer,
  { start, end }: { readonly start: number; readonly end: number },
): Generator<Buffer> {
  for (let at = start; at < end; at += stepBytes) yield bytes.subarray(at, Math.min(at + stepBytes, end));
}
