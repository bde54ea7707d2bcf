import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { find } from '../test/support/foreign.ts';
import { benchmark, runAsProgram, type Bench, type BenchRow } from './support.ts';

const bodyBytes = 256 * 1024 * 1024;
const connections = 16;
const ticksPerSecond = 100;

interface Target {
  readonly port: number;
  readonly pid: number;
  readonly path: string;
}

async function withFolder<T>(work: (folder: string, stops: ChildProcess[]) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-bench-'));
  const stops: ChildProcess[] = [];
  try {
    return await work(folder, stops);
  } finally {
    for (const child of stops) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startServer(kind: 'gate' | 'bare', folder: string, stops: ChildProcess[]): Promise<Target> {
  const script = fileURLToPath(new URL('./pull-server.ts', import.meta.url));
  const child = spawn(process.execPath, [script, kind, join(folder, 'blobs'), join(folder, 'model.bin')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  stops.push(child);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { port: Number(line), pid: child.pid ?? 0, path: '/org/m/resolve/main/model.bin' };
}

/** nginx as it is recommended for files: one worker, sendfile, page cache warm. */
async function startNginx(folder: string, stops: ChildProcess[]): Promise<Target> {
  const nginx = find('nginx');
  if (nginx === undefined) throw new Error('`nginx` is not installed: it is the peer of this bench');
  const port = await freePort();
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log; events {}
     http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path ${folder}/t1; proxy_temp_path ${folder}/t2;
     fastcgi_temp_path ${folder}/t3; uwsgi_temp_path ${folder}/t4; scgi_temp_path ${folder}/t5;
     server { listen 127.0.0.1:${port}; root ${folder}; } }`,
  );
  const child = spawn(nginx, ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' });
  stops.push(child);
  await pause(300);
  return { port, pid: child.pid ?? 0, path: '/model.bin' };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** HEAD requests per second over keep-alive sockets, one under way per socket. */
async function headsPerSecond({ port, path }: Target): Promise<number> {
  const request = `HEAD ${path} HTTP/1.1\r\nHost: h\r\nUser-Agent: bench\r\n\r\n`;
  let answered = 0;
  const durationMs = 3_000;
  const until = performance.now() + durationMs;
  const one = async (): Promise<void> => {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    let pending = '';
    socket.on('data', (chunk: Buffer) => {
      pending += chunk.toString('latin1');
      if (!pending.endsWith('\r\n\r\n')) return;
      if (!pending.startsWith('HTTP/1.1 200')) throw new Error(pending);
      pending = '';
      answered += 1;
      if (performance.now() < until) socket.write(request);
      else socket.destroy();
    });
    socket.write(request);
    await once(socket, 'close');
  };
  await Promise.all(Array.from({ length: connections }, one));
  return answered / (durationMs / 1000);
}

/** CPU seconds that the server spends for one GiB of body out of the page cache, over one connection. */
async function cpuPerGiB({ port, pid, path }: Target): Promise<number> {
  const before = cpuSeconds(pid);
  const socket = connect(port, '127.0.0.1');
  let received = 0;
  socket.on('data', (chunk: Buffer) => (received += chunk.length));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  if (received < bodyBytes) throw new Error(`only ${received} bytes came`);
  return ((cpuSeconds(pid) - before) * 1024 ** 3) / bodyBytes;
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function heads(): Promise<BenchRow> {
  return withFolder(async (folder, stops) => {
    writeFileSync(join(folder, 'model.bin'), 'x');
    const [gate, bare] = [await startServer('gate', folder, stops), await startServer('bare', folder, stops)];
    return benchmark('HEAD of a decided file', {
      ours: () => headsPerSecond(gate),
      peer: () => headsPerSecond(bare),
      peerName: 'bare node:http answering the same headers',
      unit: 'requests/s',
      goal: { atLeast: 0.35 },
      rounds: 2,
    });
  });
}

function warmBody(): Promise<BenchRow> {
  return withFolder(async (folder, stops) => {
    writeFileSync(join(folder, 'model.bin'), Buffer.alloc(bodyBytes, 'warm body '));
    const [gate, nginx] = [await startServer('gate', folder, stops), await startNginx(folder, stops)];
    return benchmark('server CPU for one warm GiB', {
      ours: () => cpuPerGiB(gate),
      peer: () => cpuPerGiB(nginx),
      peerName: 'nginx with sendfile',
      unit: 'CPU s/GiB',
      goal: { atMost: 8 },
      rounds: 4,
    });
  });
}

export const benches: readonly Bench[] = [
  { name: 'HEAD of a decided file', run: heads },
  { name: 'server CPU for one warm GiB', run: warmBody },
];

await runAsProgram(import.meta, benches);
