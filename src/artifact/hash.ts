import { createHash } from 'node:crypto';
import { read } from 'node:fs';
import { open } from 'node:fs/promises';
import { Fault } from '#lib/fault.ts';
import type { BlobDescriptor } from './blob-store.ts';
import { digestOfHex } from './digest.ts';
import type { TapReader } from './tap.ts';

/** One read: measured best between 256 KiB and 4 MiB for overlapping reads with hashing. */
const stepBytes = 1024 * 1024;

/**
 * SHA-256 and size of an open file (a descriptor number) or of the file at a path, from its first byte to its end.
 * While one MiB is hashed the next is being read, so the time is that of hashing alone (bench/hash.bench.ts).
 * `readers` see the same bytes. The position of the descriptor is neither used nor moved.
 */
export async function hashFile(
  target: string | number,
  readers: readonly TapReader[] = [],
): Promise<BlobDescriptor> {
  if (typeof target === 'number') return hashDescriptor(target, readers);
  const handle = await open(target, 'r');
  try {
    return await hashDescriptor(handle.fd, readers);
  } finally {
    await handle.close();
  }
}

async function hashDescriptor(descriptor: number, readers: readonly TapReader[]): Promise<BlobDescriptor> {
  const hash = createHash('sha256');
  let current = Buffer.allocUnsafeSlow(stepBytes);
  let next = Buffer.allocUnsafeSlow(stepBytes);
  let sizeBytes = 0;
  let length = await readAt(descriptor, current, 0);
  try {
    while (length > 0) {
      sizeBytes += length;
      const reading = readAt(descriptor, next, sizeBytes);
      // Should a reader throw, the read that is under way still has an owner.
      reading.catch(() => {});
      const chunk = current.subarray(0, length);
      hash.update(chunk);
      for (const reader of readers) reader.write(chunk);
      length = await reading;
      [current, next] = [next, current];
    }
    for (const reader of readers) reader.end();
  } catch (error) {
    for (const reader of readers) reader.abort?.(error);
    throw error;
  }
  return { digest: digestOfHex(hash.digest('hex')), sizeBytes };
}

function readAt(descriptor: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, buffer, 0, buffer.length, position, (error, bytesRead) => {
      if (error === null) resolve(bytesRead);
      else
        reject(new Fault('file.unreadable', `reading failed: ${error.code ?? 'unknown'}`, { cause: error }));
    });
  });
}
