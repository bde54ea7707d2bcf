import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openLoopbackHub } from '../test/support/hub/hub.ts';
import type { LoopbackHub } from '../test/support/hub/hub.ts';
import { cleanEnvironment } from '../test/support/server.ts';
import type { Usage } from './usage.ts';

/** A child that tells what it uses (bench/usage.ts). */
export interface Measured {
  readonly port: number;
  readonly child: ChildProcess;
  usage(): Promise<Usage>;
}

export interface RealServer extends Measured, AsyncDisposable {
  readonly hub: LoopbackHub;
  readonly data: string;
}

/** Forks a Node program with the usage preload and waits until its output says where it listens. */
export async function forkMeasured(
  script: string,
  words: readonly string[],
  address: RegExp,
): Promise<Measured> {
  const child = fork(script, words, {
    execArgv: ['--import', new URL('./usage.ts', import.meta.url).href, ...extraFlags()],
    env: { ...cleanEnvironment(), WEIGHBRIDGE_ADMIN_TOKEN: 'hf_administratorTokenOfTheBenches00001' },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  const found = Promise.withResolvers<number>();
  const hear = (chunk: Buffer): void => {
    // A server logs for as long as it runs; only its beginning is kept.
    if (output.length < 100_000) output += chunk.toString();
    const port = address.exec(output)?.[1];
    if (port !== undefined) found.resolve(Number(port));
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  child.once('exit', (code) => found.reject(new Error(`${script} ended with ${code}:\n${output}`)));
  return {
    port: await found.promise,
    child,
    usage: async () => {
      const answer = once(child, 'message');
      child.send('usage');
      const [usage] = (await answer) as [Usage];
      return usage;
    },
  };
}

/** `WEIGHBRIDGE_BENCH_NODE_FLAGS="--cpu-prof …"` for whoever looks for the reason of a figure. */
function extraFlags(): readonly string[] {
  return process.env['WEIGHBRIDGE_BENCH_NODE_FLAGS']?.split(' ').filter((flag) => flag !== '') ?? [];
}

/**
 * The real server as `weighbridge serve` starts it, with its own PostgreSQL, in front of a loopback hub. It logs nothing
 * but warnings, as the peers do.
 */
export async function openRealServer(flags: readonly string[] = []): Promise<RealServer> {
  const hub = await openLoopbackHub();
  const data = await mkdtemp(join(tmpdir(), 'weighbridge-bench-'));
  const main = fileURLToPath(new URL('../src/app/main.ts', import.meta.url));
  const server = await forkMeasured(
    main,
    [
      'serve',
      '--data',
      data,
      '--listen',
      '127.0.0.1:0',
      '--console-listen',
      '127.0.0.1:0',
      '--upstream',
      hub.url.href,
      '--log-level',
      'warn',
      ...flags,
    ],
    /export HF_ENDPOINT=http:\/\/127\.0\.0\.1:(\d+)/,
  );
  return {
    ...server,
    hub,
    data,
    [Symbol.asyncDispose]: async () => {
      const ended = once(server.child, 'exit');
      server.child.kill('SIGTERM');
      await ended;
      await hub.close();
      await rm(data, { recursive: true, force: true });
    },
  };
}

/** Asks for a file as a hub client does, again while it is being weighed; throws where it is refused. */
export async function headUntilDecided(server: Measured, path: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method: 'HEAD' });
    if (answer.status === 200) return;
    if (answer.status !== 503) {
      throw new Error(`${path}: ${answer.status} ${answer.headers.get('x-error-message') ?? ''}`);
    }
    await pause(50);
  }
}
