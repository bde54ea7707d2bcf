import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { safetensorsHead } from './model.ts';
import { headUntilDecided, openRealServer } from './real-server.ts';
import { benchmark, runAsProgram, type Bench, type BenchRow } from './support.ts';

/** The other mirror of the hub protocol that people run; it decides nothing. Installed by tools/olah-env.sh. */
const program = fileURLToPath(new URL('../.cache/olah/bin/olah-cli', import.meta.url));
const GiB = 1024 ** 3;
const bodyBytes = 256 * 1024 * 1024;
const clockTicksPerSecond = 100;
const headCount = 40;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

interface Mirror extends AsyncDisposable {
  readonly port: number;
  cpuSeconds(): number;
}

/** olah in front of a hub that answers `paths-info`, which it needs; only its own CPU time is counted. */
async function openOlah(upstreamPort: number): Promise<Mirror> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-bench-'));
  const port = await freePort();
  const [own, upstream] = [`127.0.0.1:${port}`, `127.0.0.1:${upstreamPort}`];
  const words = ['--host', '127.0.0.1', '--port', String(port)];
  words.push('--hf-scheme', 'http', '--hf-netloc', upstream, '--hf-lfs-netloc', upstream);
  words.push('--mirror-scheme', 'http', '--mirror-netloc', own, '--mirror-lfs-netloc', own);
  words.push('--repos-path', join(folder, 'repos'), '--log-path', join(folder, 'logs'));
  const child = spawn(program, words, { cwd: folder, stdio: 'ignore' });
  const ended = once(child, 'exit');
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(`http://${own}/`).catch(() => undefined);
    if (answer !== undefined) break;
    if (tries === 300) throw new Error('olah does not listen');
    await pause(100);
  }
  return {
    port,
    cpuSeconds: () => {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / clockTicksPerSecond;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** CPU seconds of either side for the same requests about one file that both have. */
async function compare(
  name: string,
  work: { readonly ask: (url: string) => Promise<void>; readonly perUnit: number; readonly unit: string },
): Promise<BenchRow> {
  await using server = await openRealServer();
  const commit = await server.hub.commit('org/m', {
    'model.safetensors': Buffer.concat([safetensorsHead(bodyBytes), Buffer.alloc(bodyBytes)]),
  });
  const path = `/org/m/resolve/${commit}/model.safetensors`;
  await headUntilDecided(server, path);
  await using olah = await openOlah(server.port);
  const urlOf = (port: number): string => `http://127.0.0.1:${port}${path}`;
  for (const { port } of [server, olah]) {
    await receive(urlOf(port));
    await work.ask(urlOf(port));
  }
  return await benchmark(name, {
    ours: async () => {
      const before = await server.usage();
      await work.ask(urlOf(server.port));
      return ((await server.usage()).cpuSeconds - before.cpuSeconds) * work.perUnit;
    },
    peer: async () => {
      const before = olah.cpuSeconds();
      await work.ask(urlOf(olah.port));
      return (olah.cpuSeconds() - before) * work.perUnit;
    },
    peerName: 'olah 0.5.4 from its own cache',
    unit: work.unit,
    goal: { atMost: 1 },
  });
}

async function receive(url: string): Promise<void> {
  const answer = await fetch(url);
  let received = 0;
  for await (const chunk of answer.body ?? []) received += chunk.length;
  if (!answer.ok || received < bodyBytes) throw new Error(`${url}: ${answer.status}, ${received} bytes`);
}

async function heads(url: string): Promise<void> {
  for (let count = 0; count < headCount; count += 1) {
    const answer = await fetch(url, { method: 'HEAD' });
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  }
}

const rows: readonly Bench[] = [
  {
    name: 'CPU for one warm GiB against olah',
    run: () =>
      compare('CPU for one warm GiB against olah', {
        ask: receive,
        perUnit: GiB / bodyBytes,
        unit: 'CPU s/GiB',
      }),
  },
  {
    name: 'CPU for one HEAD of a warm file against olah',
    run: () =>
      compare('CPU for one HEAD of a warm file against olah', {
        ask: heads,
        perUnit: 1_000 / headCount,
        unit: 'CPU ms',
      }),
  },
];

if (!existsSync(program))
  process.stderr.write('olah is not here: run tools/olah-env.sh to compare with it\n');
export const benches: readonly Bench[] = existsSync(program) ? rows : [];

await runAsProgram(import.meta, benches);
