import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { find } from '../test/support/foreign.ts';
import { startFrontNginx } from '../test/support/nginx.ts';
import { forkMeasured, headUntilDecided, openRealServer } from './real-server.ts';
import type { Measured } from './real-server.ts';
import { safetensorsHead } from './model.ts';
import { benchmark, runAsProgram, type Bench, type BenchRow } from './support.ts';

const GiB = 1024 ** 3;
/** Enough that the caller is never asleep: waking it would be paid by the server. */
const connections = 64;
/** The head watch and the queue ask the database now and then; a statement per request would make this 1 or more. */
const queriesPerRequest = 0.05;

const modelPath = (revision: string): string => `/org/m/resolve/${revision}/model.safetensors`;

/** HEAD requests per CPU second of the server, all its threads together: what one core carries. */
async function headsPerCpuSecond(server: Measured, path: string, durationMs = 2_500): Promise<number> {
  const before = await server.usage();
  const until = performance.now() + durationMs;
  const request = `HEAD ${path} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nUser-Agent: bench\r\n\r\n`;
  let answered = 0;
  const one = async (): Promise<void> => {
    const socket = connect(server.port, '127.0.0.1');
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
  const after = await server.usage();
  if (after.queries - before.queries > answered * queriesPerRequest) {
    throw new Error(`${after.queries - before.queries} statements for ${answered} HEADs of a warm file`);
  }
  return answered / (after.cpuSeconds - before.cpuSeconds);
}

/** Authenticate, resolve, look at the intake, decide, answer: the whole way of a HEAD through the real server. */
async function heads(name: string, byCommit: boolean): Promise<BenchRow> {
  await using server = await openRealServer();
  const head = safetensorsHead(4096);
  const commit = await server.hub.commit('org/m', {
    'config.json': '{"model_type":"bert"}',
    'model.safetensors': Buffer.concat([head, Buffer.alloc(4096)]),
  });
  const path = modelPath(byCommit ? commit : 'main');
  await headUntilDecided(server, path);
  const script = fileURLToPath(new URL('./bare-server.ts', import.meta.url));
  const bare = await forkMeasured(script, [], /listening on (\d+)/);
  try {
    await headsPerCpuSecond(bare, path);
    await headsPerCpuSecond(server, path);
    return await benchmark(name, {
      ours: () => headsPerCpuSecond(server, path),
      peer: () => headsPerCpuSecond(bare, path),
      peerName: 'bare node:http that writes the same headers',
      unit: 'HEAD per CPU second',
      goal: { atLeast: 10_000, of: 'ours' },
    });
  } finally {
    bare.child.kill('SIGKILL');
  }
}

/** One whole body out of the page cache over one connection. The reader reuses one buffer, to stay out of the way. */
async function receiveBody(port: number, path: string, sizeBytes: number): Promise<void> {
  let received = 0;
  const socket = connect({
    port,
    host: '127.0.0.1',
    onread: {
      buffer: Buffer.allocUnsafeSlow(1024 * 1024),
      callback: (length) => ((received += length), true),
    },
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  if (received < sizeBytes) throw new Error(`only ${received} bytes came`);
}

/** nginx as it is recommended for files: one worker, sendfile; or copying as every program in user space has to. */
async function startNginx(folder: string, sendfile: 'on' | 'off') {
  const nginx = find('nginx');
  if (nginx === undefined) throw new Error('`nginx` is not installed: it is the peer of this bench');
  const port = await freePort();
  const configuration = join(folder, `nginx-${sendfile}.conf`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  writeFileSync(
    configuration,
    `daemon off; master_process off; pid ${folder}/nginx-${sendfile}.pid; error_log ${folder}/error.log; events {}
     http { access_log off; sendfile ${sendfile}; tcp_nopush ${sendfile}; output_buffers 2 256k; ${temporary.join(' ')}
     server { listen 127.0.0.1:${port}; root ${folder}; } }`,
  );
  const child = spawn(nginx, ['-c', configuration, '-p', folder], { stdio: 'ignore' });
  await pause(300);
  return { port, child, cpuSeconds: () => nanosecondsOf(child.pid ?? 0) / 1e9 };
}

/** Exact CPU time of a process with one thread (Linux, `/proc/<pid>/schedstat`). */
function nanosecondsOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A model of exactly one GiB, of zeros behind its header. */
function writeModel(path: string): void {
  const descriptor = openSync(path, 'w');
  writeSync(descriptor, safetensorsHead(GiB - 1024, 1024));
  ftruncateSync(descriptor, GiB);
  closeSync(descriptor);
}

async function warmBody(name: string, peer: 'on' | 'off'): Promise<BenchRow> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-bench-'));
  await using server = await openRealServer();
  writeModel(join(folder, 'model.safetensors'));
  const commit = await server.hub.commit('org/m', {
    'model.safetensors': { file: join(folder, 'model.safetensors') },
  });
  await headUntilDecided(server, modelPath(commit));
  const nginx = await startNginx(folder, peer);
  try {
    await receiveBody(server.port, modelPath(commit), GiB);
    await receiveBody(nginx.port, '/model.safetensors', GiB);
    return await benchmark(name, {
      ours: async () => {
        const before = await server.usage();
        await receiveBody(server.port, modelPath(commit), GiB);
        return (await server.usage()).cpuSeconds - before.cpuSeconds;
      },
      peer: async () => {
        const before = nginx.cpuSeconds();
        await receiveBody(nginx.port, '/model.safetensors', GiB);
        return nginx.cpuSeconds() - before;
      },
      peerName:
        peer === 'on'
          ? 'nginx with sendfile, which copies nothing'
          : 'nginx without sendfile, which copies as we do',
      unit: 'CPU s/GiB',
      goal: { atMost: 0.45, of: 'ours' },
      rounds: 5,
    });
  } finally {
    nginx.child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The decision here, the bytes by sendfile: what both processes use together. */
async function handedOver(name: string): Promise<BenchRow> {
  const program = find('nginx');
  if (program === undefined) throw new Error('`nginx` is not installed: this bench needs it');
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-bench-'));
  await using server = await openRealServer(['--accel-prefix=/protected/']);
  writeModel(join(folder, 'model.safetensors'));
  const commit = await server.hub.commit('org/m', {
    'model.safetensors': { file: join(folder, 'model.safetensors') },
  });
  await headUntilDecided(server, modelPath(commit));
  await using front = await startFrontNginx(program, {
    clients: `http://127.0.0.1:${server.port}`,
    blobs: join(server.data, 'blobs'),
  });
  const bare = await startNginx(folder, 'on');
  try {
    await receiveBody(front.port, modelPath(commit), GiB);
    await receiveBody(bare.port, '/model.safetensors', GiB);
    return await benchmark(name, {
      ours: async () => {
        const [before, beforeFront] = [await server.usage(), nanosecondsOf(front.pid)];
        await receiveBody(front.port, modelPath(commit), GiB);
        const node = (await server.usage()).cpuSeconds - before.cpuSeconds;
        return node + (nanosecondsOf(front.pid) - beforeFront) / 1e9;
      },
      peer: async () => {
        const before = bare.cpuSeconds();
        await receiveBody(bare.port, '/model.safetensors', GiB);
        return bare.cpuSeconds() - before;
      },
      peerName: 'nginx with sendfile alone, without a decision',
      unit: 'CPU s/GiB',
      goal: { atMost: 0.2, of: 'ours' },
      rounds: 5,
    });
  } finally {
    bare.child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

const downloads = 1_000;

/** Largest resident set since the start (Linux). */
function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** A caller who reads the beginning of a body and then nothing until he is told to go on. */
function receiveSlowly(port: number, path: string) {
  const socket = connect(port, '127.0.0.1');
  const begun = Promise.withResolvers<void>();
  const ended = once(socket, 'close');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
  socket.once('data', () => (socket.pause(), begun.resolve()));
  return { begun: begun.promise, finish: () => (socket.resume(), ended) };
}

/** What the server holds at most while a thousand callers are in the middle of a warm file. */
async function peakMemory(name: string): Promise<BenchRow> {
  await using server = await openRealServer();
  const sizeBytes = 8 * 1024 * 1024;
  const commit = await server.hub.commit('org/m', {
    'model.safetensors': Buffer.concat([safetensorsHead(sizeBytes), Buffer.alloc(sizeBytes)]),
  });
  await headUntilDecided(server, modelPath(commit));
  const idleBytes = peakBytes(server.child.pid ?? 0);
  const callers = Array.from({ length: downloads }, () => receiveSlowly(server.port, modelPath(commit)));
  await Promise.all(callers.map(({ begun }) => begun));
  await pause(1_000);
  await Promise.all(callers.map(({ finish }) => finish()));
  return await benchmark(name, {
    ours: () => peakBytes(server.child.pid ?? 0) / 1e6,
    peer: () => idleBytes / 1e6,
    peerName: 'the same server before anybody downloads',
    unit: 'MB',
    goal: { atMost: 600, of: 'ours' },
    rounds: 1,
  });
}

const bench = (name: string, run: (name: string) => Promise<BenchRow>): Bench => ({
  name,
  run: () => run(name),
});

export const benches: readonly Bench[] = [
  bench('HEAD of a warm file by branch', (name) => heads(name, false)),
  bench('HEAD of a warm file by commit', (name) => heads(name, true)),
  bench('server CPU for one warm GiB', (name) => warmBody(name, 'on')),
  bench('server CPU for one warm GiB, both copying', (name) => warmBody(name, 'off')),
  bench('CPU for one warm GiB that nginx in front sends, both processes', handedOver),
  bench('peak memory with 1 000 downloads at once', peakMemory),
];

await runAsProgram(import.meta, benches);
