import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '#artifact/digest.ts';
import { hashFile } from '#artifact/hash.ts';
import { buildManifest } from '#artifact/manifest.ts';
import type { ProducerInput } from '#producers/producer.ts';
import { openProducers, type ProducerTable } from '#producers/producers.ts';
import { benchmark, runAsProgram, timeSeconds, type Bench } from './support.ts';

const MiB = 1024 * 1024;
const folder = new URL('../.cache/bench/', import.meta.url).pathname;
const tensorCount = 290;
const rows = 3616;
const columns = 1024;

/**
 * A model of 2 GiB as a real one is laid out: 290 half-precision tensors. Its bytes are pseudo-random, made once and
 * kept under .cache/bench.
 */
function makeModel(): string {
  const path = join(folder, 'model-2gib.safetensors');
  const tensorBytes = rows * columns * 2;
  const header: Record<string, object> = { __metadata__: { format: 'pt' } };
  for (let index = 0; index < tensorCount; index += 1) {
    const begin = index * tensorBytes;
    header[`model.layers.${index}.weight`] = {
      dtype: 'F16',
      shape: [rows, columns],
      data_offsets: [begin, begin + tensorBytes],
    };
  }
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  const dataBytes = tensorCount * tensorBytes;
  if (existsSync(path) && statSync(path).size === 8 + text.length + dataBytes) return path;
  mkdirSync(folder, { recursive: true });
  const descriptor = openSync(`${path}.part`, 'w');
  writeSync(descriptor, Buffer.concat([prefix, text]));
  const seed = createHash('shake256', { outputLength: 16 * MiB })
    .update('bench')
    .digest();
  for (let written = 0; written < dataBytes; written += seed.length) {
    seed.writeUInt32LE(written / MiB, 0);
    writeSync(descriptor, seed, 0, Math.min(seed.length, dataBytes - written));
  }
  closeSync(descriptor);
  renameSync(`${path}.part`, path);
  return path;
}

function inputFor(path: string, digest: Digest, sizeBytes: number): ProducerInput {
  const file = {
    path: 'model.safetensors',
    digest,
    sizeBytes,
    gitOid: '0'.repeat(40),
    lfs: true,
    present: true,
  };
  const commit = '0'.repeat(40);
  return {
    artifact: buildManifest([file]).digest,
    files: [file],
    source: {
      uri: `hf://models/bench/model@${commit}`,
      repositoryType: 'models',
      repository: 'bench/model',
      commit,
      references: ['main'],
    },
    at: '2026-11-21T09:00:00Z',
    signal: new AbortController().signal,
    async open() {
      const handle = await open(path, 'r');
      return {
        sizeBytes,
        localPath: path,
        async read(offset: number, lengthBytes: number) {
          const { buffer, bytesRead } = await handle.read(Buffer.alloc(lengthBytes), 0, lengthBytes, offset);
          return buffer.subarray(0, bytesRead);
        },
        [Symbol.asyncDispose]: () => handle.close(),
      };
    },
    known: () => Promise.resolve(new Map()),
  };
}

async function hashScanBom(path: string, table: ProducerTable): Promise<void> {
  const { digest, sizeBytes } = await hashFile(path);
  for (const producer of table.producers) {
    const statements = await producer.produce(inputFor(path, digest, sizeBytes));
    if (JSON.stringify(statements).includes('inconclusive')) throw new Error('the model was not read whole');
  }
}

/** Hash, scan and bill of materials of one file, as a running server makes them, against hashing alone. */
export const benches: readonly Bench[] = [
  {
    name: 'hash, scan and BOM of 2 GiB',
    async run() {
      const path = makeModel();
      await hashFile(path);
      await using table = openProducers();
      return await benchmark('hash, scan and BOM of 2 GiB', {
        ours: () => timeSeconds(() => hashScanBom(path, table)),
        peer: () => timeSeconds(() => hashFile(path)),
        peerName: 'hash alone',
        unit: 's',
        goal: { atMost: 1.15 },
      });
    },
  },
];

await runAsProgram(import.meta, benches);
