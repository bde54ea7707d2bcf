import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
const launcher = join(root, 'bin', 'weighbridge');

export interface ServerOptions {
  readonly upstream: URL;
  /** A new temporary directory where absent. */
  readonly data?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Address for clients; a port of the system's choice on loopback where absent. */
  readonly listen?: string;
}

/** The real `weighbridge serve` in a process of its own. */
export interface TestServer {
  readonly data: string;
  /** HF_ENDPOINT. */
  readonly clients: string;
  readonly console: string;
  readonly token: string;
  readonly fingerprint: string;
  readonly process: ChildProcess;
  /** What it has written so far. */
  output(): string;
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

/** Nothing is remembered: what a test changes upstream is seen by its next request. */
const defaultFlags = ['--reference-ttl=0', '--absent-ttl=0'];

export const testToken = 'hf_administratorTokenOfTheTestSuite0001';

/** Starts the server on ports of the system's choice and waits until it serves. Throws with its output where it ends before. */
export async function startTestServer(options: ServerOptions): Promise<TestServer> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'weighbridge-')));
  const given = new Set(options.flags?.map((flag) => flag.split('=', 1)[0] ?? ''));
  const child = spawn(
    process.execPath,
    [
      launcher,
      'serve',
      `--data=${data}`,
      `--listen=${options.listen ?? '127.0.0.1:0'}`,
      '--console-listen=127.0.0.1:0',
      `--upstream=${options.upstream.href}`,
      '--log-level=info',
      ...defaultFlags.filter((flag) => !given.has(flag.split('=', 1)[0] ?? '')),
      ...(options.flags ?? []),
    ],
    {
      cwd: root,
      env: { ...cleanEnvironment(), WEIGHBRIDGE_ADMIN_TOKEN: testToken, ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
  const banner = await waitFor(
    () => /export HF_ENDPOINT=(\S+)/.exec(output)?.[1],
    exited,
    () => output,
  );
  return {
    data,
    clients: banner,
    console: /console\s+(http\S+?)\/console\//.exec(output)?.[1] ?? '',
    token: testToken,
    fingerprint: /trust root\s+(sha256:[0-9a-f]{64})/.exec(output)?.[1] ?? '',
    process: child,
    output: () => output,
    stop: async () => {
      child.kill('SIGTERM');
      return exited;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The environment without anything of ours or of a hub client. */
export function cleanEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^(WEIGHBRIDGE_|HF_|HUGGING|NODE_TEST)/.test(name)) kept[name] = value;
  }
  return kept;
}

async function waitFor(
  look: () => string | undefined,
  exited: Promise<number | null>,
  output: () => string,
): Promise<string> {
  const ended = exited.then((code) => {
    throw new Error(`the server ended with ${code} before it served:\n${output()}`);
  });
  const seen = (async () => {
    for (let tries = 0; tries < 1200; tries++) {
      const found = look();
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the server does not serve:\n${output()}`);
  })();
  return Promise.race([seen, ended]);
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end with bounded output and time. */
export async function runProgram(
  program: string,
  words: readonly string[],
  options: {
    readonly environment?: Readonly<Record<string, string>>;
    readonly directory?: string;
    readonly timeoutMs?: number;
  } = {},
): Promise<CommandResult> {
  const child = spawn(program, words, {
    cwd: options.directory ?? root,
    env: { ...cleanEnvironment(), ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 120_000,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** `weighbridge …` as a person would run it. */
export function runWeighbridge(
  words: readonly string[],
  options: Parameters<typeof runProgram>[2] = {},
): Promise<CommandResult> {
  return runProgram(process.execPath, [launcher, ...words], options);
}

export async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}
