import { get } from 'node:http';
import { safetensorsHead } from './model.ts';
import { openRealServer } from './real-server.ts';
import type { RealServer } from './real-server.ts';
import { benchmark, runAsProgram, type Bench, type BenchRow } from './support.ts';

const MiB = 1024 * 1024;
const agent = 'unknown/None; hf_hub/1.33.0; python/3.11';

interface Arrived {
  readonly firstByteMs: number;
  readonly wholeMs: number;
}

/** One GET that follows a redirect, as clients do. */
function fetchFile(url: URL, hops = 3): Promise<Arrived> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const follow = (target: URL, left: number): void => {
      const request = get(target, { headers: { 'user-agent': agent }, agent: false }, (response) => {
        const { location } = response.headers;
        if (location !== undefined && left > 0) {
          response.resume();
          return follow(new URL(location, target), left - 1);
        }
        if (response.statusCode !== 200)
          reject(
            new Error(
              `${target.href} answered ${response.statusCode}: ${String(response.headers['x-error-message'] ?? '')}`,
            ),
          );
        let firstByteMs = 0;
        response.on('data', () => {
          if (firstByteMs === 0) firstByteMs = performance.now() - started;
        });
        response.on('end', () => resolve({ firstByteMs, wholeMs: performance.now() - started }));
        response.on('error', reject);
      });
      request.on('error', reject);
    };
    follow(url, hops);
  });
}

let made = 0;

/** A repository that nobody has asked for, with one file. */
async function coldPath(server: RealServer, sizeBytes: number): Promise<string> {
  made += 1;
  const id = `org/cold-${made}`;
  const head = safetensorsHead(sizeBytes);
  const commit = await server.hub.commit(id, {
    'config.json': '{"model_type":"bert"}',
    'model.safetensors': Buffer.concat([head, Buffer.alloc(sizeBytes, made % 251)]),
  });
  return `/${id}/resolve/${commit}/model.safetensors`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** What the gate adds to the first byte of a file that nobody has asked for, from resolve to sniff, in ms. */
async function firstByte(name: string): Promise<BenchRow> {
  await using server = await openRealServer();
  const ours = async (): Promise<number> => {
    const differences: number[] = [];
    for (let index = 0; index < 9; index += 1) {
      const path = await coldPath(server, 16 * MiB);
      const direct = await fetchFile(new URL(path, server.hub.url));
      const through = await fetchFile(new URL(`http://127.0.0.1:${server.port}${path}`));
      differences.push(through.firstByteMs - direct.firstByteMs);
    }
    return median(differences);
  };
  await ours();
  return await benchmark(name, {
    ours,
    peer: async () => {
      const direct = await Promise.all(
        Array.from({ length: 5 }, async () =>
          fetchFile(new URL(await coldPath(server, MiB), server.hub.url)),
        ),
      );
      return median(direct.map(({ firstByteMs }) => firstByteMs));
    },
    peerName: 'the first byte from upstream itself',
    unit: 'ms more',
    goal: { atMost: 50, of: 'ours' },
  });
}

/** A cold file from the first request to the last byte, its verdict included, against the same file from upstream. */
async function wholeFile(name: string): Promise<BenchRow> {
  await using server = await openRealServer();
  const sizeBytes = 256 * MiB;
  return await benchmark(name, {
    ours: async () => {
      const path = await coldPath(server, sizeBytes);
      return (await fetchFile(new URL(`http://127.0.0.1:${server.port}${path}`))).wholeMs / 1000;
    },
    peer: async () =>
      (await fetchFile(new URL(await coldPath(server, sizeBytes), server.hub.url))).wholeMs / 1000,
    peerName: 'the same file from upstream itself',
    unit: 's',
    goal: { atMost: 6, guard: true },
  });
}

export const benches: readonly Bench[] = [
  {
    name: 'cold: first byte in `tail`, more than from upstream itself',
    run: () => firstByte('cold: first byte in `tail`, more than from upstream itself'),
  },
  {
    name: 'cold: 256 MiB hashed, scanned, decided and served',
    run: () => wholeFile('cold: 256 MiB hashed, scanned, decided and served'),
  },
];

await runAsProgram(import.meta, benches);
