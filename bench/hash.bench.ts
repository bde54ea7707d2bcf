import { createHash, hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { hashFile } from '#artifact/hash.ts';
import { walkTree } from '#artifact/walk.ts';
import { benchmark, runAsProgram, timeSeconds } from './support.ts';
import type { Bench, BenchRow } from './support.ts';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

async function inTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-bench-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Random bytes; after writing they are in the page cache, so that the disk is not what is measured. */
function writeFile(path: string, sizeBytes: number): void {
  const block = randomBytes(16 * MiB);
  const descriptor = openSync(path, 'w');
  for (let written = 0; written < sizeBytes; written += block.length) {
    block.writeUInt32LE(written / MiB, 0);
    writeSync(descriptor, block, 0, Math.min(block.length, sizeBytes - written));
  }
  closeSync(descriptor);
}

/** `crypto` over memory that is too large for the caches: nothing on one core can be faster. */
function hashMemory(memory: Buffer, sizeBytes: number): string {
  const sha256 = createHash('sha256');
  for (let offset = 0; offset < sizeBytes; offset += MiB) {
    const start = offset % memory.length;
    sha256.update(memory.subarray(start, start + MiB));
  }
  return sha256.digest('hex');
}

function hashOneFile(): Promise<BenchRow> {
  return inTemporaryFolder(async (folder) => {
    const path = join(folder, 'model.safetensors');
    writeFile(path, 2 * GiB);
    const memory = randomBytes(256 * MiB);
    return benchmark('hash one file of 2 GiB', {
      ours: async () => 2 / (await timeSeconds(() => hashFile(path))),
      peer: async () => 2 / (await timeSeconds(() => hashMemory(memory, 2 * GiB))),
      peerName: 'crypto update over memory',
      unit: 'GiB/s',
      goal: { atLeast: 0.93 },
    });
  });
}

/** Hashes as many MiB of its own memory as it is told, with nothing to read and nobody to ask. */
const memoryHasher = `
  const { createHash, randomBytes } = require('node:crypto');
  const { parentPort } = require('node:worker_threads');
  const memory = randomBytes(64 * 1024 * 1024);
  parentPort.on('message', (count) => {
    const sha256 = createHash('sha256');
    for (let index = 0; index < count; index += 1) {
      const start = (index % 64) * 1024 * 1024;
      sha256.update(memory.subarray(start, start + 1024 * 1024));
    }
    parentPort.postMessage(sha256.digest('hex'));
  });
`;

function hashLargeTree(): Promise<BenchRow> {
  return inTemporaryFolder(async (folder) => {
    for (let shard = 0; shard < 4; shard += 1)
      writeFile(join(folder, `model-${shard}.safetensors`), 256 * MiB);
    const threads = Array.from(
      { length: availableParallelism() },
      () => new Worker(memoryHasher, { eval: true }),
    );
    const hashInThreads = async (sizeMiB: number): Promise<void> => {
      const answers = threads.map((thread) => once(thread, 'message'));
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      for (const thread of threads) thread.postMessage(sizeMiB / threads.length);
      await Promise.all(answers);
    };
    await hashInThreads(threads.length);
    try {
      return await benchmark('hash a tree of 4 × 256 MiB', {
        ours: async () => 1 / (await timeSeconds(() => walkTree(folder))),
        peer: async () => 1 / (await timeSeconds(() => hashInThreads(1024))),
        peerName: 'crypto update over memory on all cores',
        unit: 'GiB/s',
        goal: { atLeast: 0.8 },
        budgetMs: 10_000,
      });
    } finally {
      await Promise.all(threads.map((thread) => thread.terminate()));
    }
  });
}

function hashSmallFiles(): Promise<BenchRow> {
  const count = 20_000;
  return inTemporaryFolder(async (folder) => {
    const bytes = randomBytes(4096);
    for (let index = 0; index < count; index += 1) {
      const directory = join(folder, `${index % 100}`);
      if (index < 100) mkdirSync(directory);
      bytes.writeUInt32LE(index);
      writeFileSync(join(directory, `${index}`), bytes);
    }
    const naive = (): void => {
      for (const directory of readdirSync(folder)) {
        for (const name of readdirSync(join(folder, directory))) {
          hash('sha256', readFileSync(join(folder, directory, name)));
        }
      }
    };
    return benchmark('walk 20 000 files of 4 KiB', {
      ours: async () => count / (await timeSeconds(() => walkTree(folder))),
      peer: async () => count / (await timeSeconds(naive)),
      peerName: 'readFileSync and crypto.hash without any check',
      unit: 'files/s',
      goal: { atLeast: 0.5 },
      budgetMs: 8_000,
    });
  });
}

export const benches: readonly Bench[] = [
  { name: 'hash one file of 2 GiB', run: hashOneFile },
  { name: 'hash a tree of 4 × 256 MiB', run: hashLargeTree },
  { name: 'walk 20 000 files of 4 KiB', run: hashSmallFiles },
];

await runAsProgram(import.meta, benches);
