/** Whole numbers; docs/reference/sandbox.md describes each. */
export interface SandboxLimits {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** Of one process by the kernel, of all of them together by watching. */
  readonly memoryMB: number;
  /** Processes and threads that may be started in all. */
  readonly tasks: number;
  /** Each of the places that can be written. */
  readonly scratchMB: number;
  /** Of recorded calls; a run that reaches it is stopped and says nothing. */
  readonly traceMB: number;
}

/** Where things lie inside; the same in every runner. */
export const sandboxPlaces = {
  artifact: '/artifact',
  loader: '/weighbridge/loader.py',
  plan: '/weighbridge/plan.json',
  /** Opening a name in here (there is none) is how the loader marks where a phase begins. */
  phases: '/weighbridge/phase/',
  home: '/home/model',
  scratch: ['/tmp', '/home/model', '/dev/shm'],
} as const;

/** One thing that a process inside did or tried, in the order of the trace. `failed` is the error's name, e.g. `EROFS`. */
export type SandboxEvent = { readonly failed: string | undefined } & (
  | { readonly kind: 'exec'; readonly path: string; readonly words: readonly string[] }
  | { readonly kind: 'process' }
  /** `path` as it was asked for, made absolute; `opened` is what it led to, where it succeeded. */
  | {
      readonly kind: 'open';
      readonly path: string;
      readonly opened: string | undefined;
      readonly write: boolean;
    }
  | { readonly kind: 'network'; readonly call: string; readonly address: string }
  | { readonly kind: 'change'; readonly call: string; readonly paths: readonly string[] }
  /** A system call that no loader needs; `refused` where the runner answered instead of the kernel. */
  | { readonly kind: 'reach'; readonly call: string; readonly refused: boolean }
  | { readonly kind: 'signal'; readonly signal: string }
  /** A line of the trace that could not be read: nothing may be concluded from its absence. */
  | { readonly kind: 'unreadable' }
);

export interface SandboxFile {
  /** Relative to the artifact. */
  readonly path: string;
  /** An absolute path of this machine; the file is not changed while the sandbox runs. */
  readonly localPath: string;
}

export interface SandboxJob {
  readonly python: string;
  readonly files: readonly SandboxFile[];
  readonly loader: string;
  readonly plan: string;
  readonly limits: SandboxLimits;
  readonly signal: AbortSignal;
  /** Told of every event as it happens; the run is stopped when it answers false. */
  readonly observe: (event: SandboxEvent) => boolean;
}

/** How a run ended. `limit`: the runner stopped it because it went beyond one. */
export type SandboxEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'limit'; readonly limit: 'time' | 'memory' | 'tasks' | 'trace' | 'output' }
  | { readonly kind: 'stopped' };

export interface SandboxRun {
  readonly end: SandboxEnd;
  /** Standard output of the loader: what the process says of itself, which code of the artifact can forge. */
  readonly output: Uint8Array;
  /** The tail of standard error, for people; never evidence. */
  readonly complaint: string;
}

/** The interpreter that loads: what a run shows of it. */
export interface SandboxPython {
  readonly version: string;
  /** Directories of this machine that the interpreter is made of; shown inside, read only. */
  readonly roots: readonly string[];
}

/**
 * Runs a program of ours over files of others, isolated: own user, mount, process, network, IPC and host-name namespace,
 * files read only, no capability, no new privileges, empty environment, limits. Everything it does is recorded outside of
 * its reach. Fault `sandbox.unavailable` where this machine cannot do all of that; it never runs with less.
 */
export interface SandboxRunner {
  readonly kind: 'bubblewrap' | 'unshare';
  /** Fault `sandbox.unavailable` where the interpreter does not start. */
  python(command: string): Promise<SandboxPython>;
  run(job: SandboxJob): Promise<SandboxRun>;
}
