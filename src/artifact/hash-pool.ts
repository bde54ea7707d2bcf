import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Fault } from '#lib/fault.ts';
import type { BlobDescriptor } from './blob-store.ts';
import { digestOfHex } from './digest.ts';
import type { HashReply, HashRequest } from './hash-worker.ts';

export interface HashPool extends AsyncDisposable {
  readonly width: number;
  /** SHA-256 and size of an open file, whose descriptor stays open until this settles. */
  hash(descriptor: number): Promise<BlobDescriptor>;
}

interface Waiting {
  readonly resolve: (blob: BlobDescriptor) => void;
  readonly reject: (reason: Fault) => void;
}

interface Lane {
  readonly worker: Worker;
  readonly waiting: Map<number, Waiting>;
}

/**
 * Threads that hash, one per core up to eight: a second core doubles the rate of many large files and does nothing
 * for one. Starting takes 20 to 70 ms, so open it when some hundred MiB are to be hashed. Fault `worker.failed` for
 * what a dead thread was doing, `file.unreadable` for a read that failed. `passed` hears four times a second how many
 * bytes were hashed since, and of the rest when a file is done: for progress.
 */
export function openHashPool(
  width = Math.min(8, availableParallelism()),
  passed?: (bytes: number) => void,
): HashPool {
  const meter = passed === undefined ? undefined : startMeter(passed);
  const lanes = Array.from({ length: width }, () => startLane(meter?.counter));
  let nextId = 0;
  return {
    width,
    hash(descriptor) {
      const lane = lanes.reduce((least, other) => (other.waiting.size < least.waiting.size ? other : least));
      const request: HashRequest = { id: (nextId += 1), descriptor };
      return new Promise((resolve, reject) => {
        lane.waiting.set(request.id, {
          resolve: (blob) => {
            meter?.read();
            resolve(blob);
          },
          reject,
        });
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
        lane.worker.postMessage(request);
      });
    },
    async [Symbol.asyncDispose]() {
      meter?.stop();
      await Promise.all(lanes.map((lane) => lane.worker.terminate()));
    },
  };
}

interface Meter {
  /** Bytes that all threads have hashed. */
  readonly counter: BigInt64Array;
  read(): void;
  stop(): void;
}

function startMeter(passed: (bytes: number) => void): Meter {
  const counter = new BigInt64Array(new SharedArrayBuffer(8));
  let told = 0n;
  const read = (): void => {
    const now = Atomics.load(counter, 0);
    if (now > told) passed(Number(now - told));
    told = now;
  };
  const timer = setInterval(read, 250);
  timer.unref();
  return { counter, read, stop: () => clearInterval(timer) };
}

function startLane(counter: BigInt64Array | undefined): Lane {
  // The worker lies beside this file, as source in development and compiled in the package.
  const url = new URL(`./hash-worker${extname(import.meta.filename)}`, import.meta.url);
  const worker = new Worker(url, { workerData: counter });
  const waiting = new Map<number, Waiting>();
  const failAll = (cause: unknown): void => {
    for (const { reject } of waiting.values()) {
      reject(new Fault('worker.failed', 'a hashing thread ended', { cause }));
    }
    waiting.clear();
  };
  worker.on('message', (reply: HashReply) => {
    settle(waiting.get(reply.id), reply);
    waiting.delete(reply.id);
  });
  worker.on('error', failAll);
  worker.on('exit', failAll);
  return { worker, waiting };
}

function settle(waiting: Waiting | undefined, reply: HashReply): void {
  if ('hex' in reply) {
    waiting?.resolve({ digest: digestOfHex(reply.hex), sizeBytes: reply.sizeBytes });
  } else {
    waiting?.reject(new Fault('file.unreadable', `reading failed: ${reply.error}`));
  }
}
