import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  SandboxEnd,
  SandboxJob,
  SandboxLimits,
  SandboxRun,
  SandboxRunner,
} from '#producers/sandbox/runner-port.ts';
import { sandboxPlaces } from '#producers/sandbox/runner-port.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { bubblewrapCommand } from './bubblewrap.ts';
import { loaderEnvironment, systemScene, type Scene } from './enclosure.ts';
import { describePython, isInside } from './python.ts';
import { residentBytes } from './resident.ts';
import { refusedCalls, tracedCalls } from './trace-events.ts';
import { followTrace, type TraceFollower } from './trace-follower.ts';
import { sceneText, unshareCommand } from './unshare.ts';

export type RunnerKind = SandboxRunner['kind'];

/** Programs by name, as they were found on this machine. */
export interface RunnerPrograms {
  readonly strace: string;
  readonly bubblewrap: string | undefined;
  /** Directories that must not lie in what is shown. */
  readonly hidden: readonly string[];
}

const watchMs = 100;

/**
 * A runner of one kind. `strace` stands outside of every namespace of the sandbox and writes into a file that does not
 * exist inside: nothing in there can see it, signal it or write there. When this process ends, whichever way, so does
 * everything that it started (parent-death signals down to the first process inside).
 */
export function createRunner(kind: RunnerKind, programs: RunnerPrograms): SandboxRunner {
  return {
    kind,
    python: (command) => describePython(command),
    run: async (job) => {
      const { roots, executable } = await describePython(job.python);
      refuseHidden(roots, programs.hidden);
      const folder = await mkdtemp(join(tmpdir(), 'weighbridge-sandbox-'));
      try {
        return await runIn(folder, { kind, programs, roots, executable }, job);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

function refuseHidden(roots: readonly string[], hidden: readonly string[]): void {
  const exposed = hidden.find((path) =>
    [...roots, '/usr'].some((root) => path === root || isInside(path, root)),
  );
  if (exposed === undefined) return;
  throw new Fault('sandbox.unavailable', `what a sandbox shows would hold \`${exposed}\``, {
    hint: 'use an interpreter in a virtual environment of its own, apart from the data directory',
  });
}

interface Means {
  readonly kind: RunnerKind;
  readonly programs: RunnerPrograms;
  readonly roots: readonly string[];
  readonly executable: string;
}

async function runIn(folder: string, means: Means, job: SandboxJob): Promise<SandboxRun> {
  const scene = await makeScene(folder, means, job);
  const trace = join(folder, 'trace');
  await writeFile(trace, '', { mode: 0o600 });
  const root = join(folder, 'root');
  const sceneFile = join(folder, 'scene');
  await mkdir(root);
  await writeFile(sceneFile, means.kind === 'unshare' ? sceneText(scene) : '');
  const enclosed =
    means.kind === 'bubblewrap'
      ? bubblewrapCommand(means.programs.bubblewrap ?? 'bwrap', scene)
      : unshareCommand(scene, { root, sceneFile });
  const [program = '', ...words] = traced(means.programs.strace, trace, enclosed);
  const child = spawn(program, words, {
    cwd: '/',
    env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const follower = followTrace(trace, job.limits.traceMB * 1024 * 1024, job.observe);
  try {
    return await watch(child, follower, job);
  } finally {
    await follower.close();
  }
}

/** Names of calls as strace takes them, where not every architecture has all of them. */
const optional = (names: readonly string[]): string => names.map((name) => `?${name}`).join(',');

/** Everything that is recorded, and the answer to what nobody needs, given without asking the kernel. */
function traced(strace: string, output: string, command: readonly string[]): readonly string[] {
  return [
    '/usr/bin/setpriv',
    '--pdeathsig',
    'KILL',
    '--',
    strace,
    '-f',
    '-y',
    '-q',
    '--seccomp-bpf',
    '-s',
    '1024',
    '-e',
    `trace=${optional(tracedCalls)}`,
    '-e',
    `inject=${optional(refusedCalls)}:error=ENOSYS`,
    '-e',
    'signal=none',
    '-o',
    output,
    '--',
    ...command,
  ];
}

async function makeScene(folder: string, means: Means, job: SandboxJob): Promise<Scene> {
  const system = systemScene();
  const identity = [
    ['passwd', 'model:x:1000:1000::/home/model:/usr/sbin/nologin\nroot:x:0:0::/:/usr/sbin/nologin\n'],
    ['group', 'model:x:1000:\nroot:x:0:\n'],
    ['nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files\n'],
  ] as const;
  const written = await Promise.all(
    identity.map(async ([name, text]) => {
      await writeFile(join(folder, name), text, { mode: 0o644 });
      return { from: join(folder, name), to: `/etc/${name}` };
    }),
  );
  const plan = join(folder, 'plan.json');
  await writeFile(plan, job.plan, { mode: 0o644 });
  return {
    links: system.links,
    shown: [
      ...system.shown,
      ...written,
      ...means.roots.map((path) => ({ from: path, to: path })),
      { from: job.loader, to: sandboxPlaces.loader },
      { from: plan, to: sandboxPlaces.plan },
      ...job.files.map(({ path, localPath }) => ({
        from: localPath,
        to: `${sandboxPlaces.artifact}/${path}`,
      })),
    ],
    limits: job.limits,
    command: [means.executable, '-I', '-B', sandboxPlaces.loader],
    environment: loaderEnvironment,
  };
}

type LimitName = Extract<SandboxEnd, { kind: 'limit' }>['limit'];

/** Waits for the end, and makes one where a limit is reached. */
async function watch(child: ChildProcess, follower: TraceFollower, job: SandboxJob): Promise<SandboxRun> {
  const output = collect(child.stdout, limits.sandboxOutputBytes);
  const complaint = collect(child.stderr, limits.sandboxOutputBytes);
  let stopped: SandboxEnd | undefined;
  const stop = (end: SandboxEnd): void => {
    stopped ??= end;
    child.kill('SIGKILL');
  };
  const exit = new Promise<number>((resolve, reject) => {
    child.on('error', (cause) =>
      reject(new Fault('sandbox.unavailable', 'the sandbox cannot be started', { cause })),
    );
    child.on('close', (code) => resolve(code ?? -1));
  });
  const abort = (): void => stop({ kind: 'stopped' });
  job.signal.addEventListener('abort', abort, { once: true });
  if (job.signal.aborted) abort();
  const startedMs = performance.now();
  const timer = setInterval(() => {
    const limit = reached({ follower, output, complaint }, job.limits, performance.now() - startedMs);
    if (limit !== undefined) stop({ kind: 'limit', limit });
    else if (follower.refused()) stop({ kind: 'stopped' });
  }, watchMs);
  try {
    const code = await exit;
    await follower.finish();
    const late = follower.overflowed() ? ({ kind: 'limit', limit: 'trace' } as const) : undefined;
    return {
      end: stopped ?? late ?? { kind: 'exited', code },
      output: Buffer.concat(output.chunks),
      complaint: Buffer.concat(complaint.chunks).toString('utf8').slice(-4096),
    };
  } finally {
    clearInterval(timer);
    job.signal.removeEventListener('abort', abort);
  }
}

interface Collected {
  readonly chunks: Buffer[];
  readonly overflowed: () => boolean;
}

function reached(
  seen: { readonly follower: TraceFollower; readonly output: Collected; readonly complaint: Collected },
  bounds: SandboxLimits,
  elapsedMs: number,
): LimitName | undefined {
  if (elapsedMs > bounds.wallSeconds * 1000) return 'time';
  if (seen.follower.overflowed()) return 'trace';
  if (seen.follower.tasks() > bounds.tasks) return 'tasks';
  if (seen.output.overflowed() || seen.complaint.overflowed()) return 'output';
  if (residentBytes(seen.follower.alive()) > bounds.memoryMB * 1024 * 1024) return 'memory';
  return undefined;
}

/** Keeps up to `most` bytes and counts the rest, so that the writer is never blocked by a reader that stopped. */
function collect(stream: ChildProcess['stdout'], most: number): Collected {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (chunk: Buffer) => {
    const room = Math.max(0, most - bytes);
    bytes += chunk.byteLength;
    if (room > 0) chunks.push(chunk.subarray(0, room));
  });
  return { chunks, overflowed: () => bytes > most };
}
