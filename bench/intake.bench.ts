import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, open, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoopbackHub } from '../test/support/hub/hub.ts';
import { safetensorsHead } from './model.ts';
import { headUntilDecided, openRealServer } from './real-server.ts';
import { benchmark, runAsProgram, timeSeconds, type Bench, type BenchRow } from './support.ts';

const manyFiles = 10_000;
const coldRepositories = 12;
/** As wide as the intake fetches. */
const width = 8;

/** What nobody can leave out: every file from the hub, hashed, written, synced and named. */
async function fetchDurably(hub: LoopbackHub, prefix: string, paths: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-bench-'));
  const directory = await open(folder);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
      const answer = await fetch(new URL(`${prefix}${path}`, hub.url));
      if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      const name = createHash('sha256').update(bytes).digest('hex');
      const temporary = join(folder, `${randomUUID()}.part`);
      const file = await open(temporary, 'w');
      await file.writeFile(bytes);
      await file.sync();
      await file.close();
      await rename(temporary, join(folder, name));
      await directory.sync();
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  await directory.close();
  await rm(folder, { recursive: true, force: true });
}

function smallRepository(index: number): Record<string, string | Uint8Array> {
  return {
    'README.md': `# Model ${index}`,
    'config.json': `{"model_type":"bert","number":${index}}`,
    'tokenizer.json': `{"number":${index}}`,
    'tokenizer_config.json': `{"number":${index}}`,
    'model.safetensors': Buffer.concat([safetensorsHead(4096), Buffer.alloc(4096, index)]),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** First HEAD of a repository nobody has asked for: listed, fetched, scanned, inventoried, logged, decided. */
async function cold(name: string): Promise<BenchRow> {
  await using server = await openRealServer();
  let made = 0;
  const eachMs = async (
    work: (prefix: string, paths: readonly string[]) => Promise<void>,
  ): Promise<number> => {
    const times: number[] = [];
    for (let count = 0; count < coldRepositories; count += 1) {
      const files = smallRepository((made += 1));
      await server.hub.commit(`org/m${made}`, files);
      const prefix = `/org/m${made}/resolve/main/`;
      times.push(1_000 * (await timeSeconds(() => work(prefix, Object.keys(files)))));
    }
    return median(times);
  };
  return await benchmark(name, {
    ours: () => eachMs((prefix) => headUntilDecided(server, `${prefix}model.safetensors`)),
    peer: () => eachMs((prefix, paths) => fetchDurably(server.hub, prefix, paths)),
    peerName: 'fetch, hash, write and sync of the same files by a bare program',
    unit: 'ms',
    goal: { atMost: 12, guard: true },
  });
}

interface Many {
  readonly seconds: number;
  readonly floorSeconds: number;
  readonly stallMs: number;
}

let many: Promise<Many> | undefined;

async function takeMany(): Promise<Many> {
  await using server = await openRealServer();
  const files: Record<string, string> = { 'config.json': '{"model_type":"bert"}' };
  for (let index = 0; index < manyFiles; index += 1) {
    files[`part-${index % 100}/${index}.json`] = `{"number":${index},"padding":"${'x'.repeat(index % 700)}"}`;
  }
  await server.hub.commit('org/many', files);
  const prefix = '/org/many/resolve/main/';
  const floorSeconds = await timeSeconds(() => fetchDurably(server.hub, prefix, Object.keys(files)));
  await server.usage();
  const seconds = await timeSeconds(() => headUntilDecided(server, `${prefix}config.json`));
  return { seconds, floorSeconds, stallMs: (await server.usage()).stallMs };
}

async function manySmall(name: string): Promise<BenchRow> {
  const { seconds, floorSeconds } = await (many ??= takeMany());
  return benchmark(name, {
    ours: () => seconds,
    peer: () => floorSeconds,
    peerName: 'fetch, hash, write and sync of the same files by a bare program, 8 wide',
    unit: 's',
    goal: { atMost: 60, of: 'ours' },
    rounds: 1,
  });
}

/** How long other callers wait at worst while a repository of 10 000 files comes in. */
async function longestStall(name: string): Promise<BenchRow> {
  const { stallMs } = await (many ??= takeMany());
  return benchmark(name, {
    ours: () => stallMs,
    peer: () => 200,
    peerName: 'the bound that was set, no measurement',
    unit: 'ms',
    goal: { atMost: 1 },
    rounds: 1,
  });
}

const bench = (name: string, run: (name: string) => Promise<BenchRow>): Bench => ({
  name,
  run: () => run(name),
});

export const benches: readonly Bench[] = [
  bench('first HEAD of a cold repository of 5 files', cold),
  bench('intake of 10 000 small files', manySmall),
  bench('longest stall of the event loop meanwhile', longestStall),
];

await runAsProgram(import.meta, benches);
