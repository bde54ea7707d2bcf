import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/** One file to hash: a descriptor of this process, open for the whole time. */
export interface HashRequest {
  readonly id: number;
  readonly descriptor: number;
}

export type HashReply =
  | { readonly id: number; readonly hex: string; readonly sizeBytes: number }
  | { readonly id: number; readonly error: string };

const counter: unknown = workerData;
const buffer = Buffer.allocUnsafeSlow(256 * 1024);

parentPort?.on('message', (request: HashRequest) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(reply(request));
});

function reply({ id, descriptor }: HashRequest): HashReply {
  try {
    const hash = createHash('sha256');
    let sizeBytes = 0;
    for (;;) {
      const length = readSync(descriptor, buffer, 0, buffer.length, sizeBytes);
      if (length === 0) return { id, hex: hash.digest('hex'), sizeBytes };
      hash.update(buffer.subarray(0, length));
      sizeBytes += length;
      if (counter instanceof BigInt64Array) Atomics.add(counter, 0, BigInt(length));
    }
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}
