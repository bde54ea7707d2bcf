import { posix } from 'node:path';
import type { SandboxEvent } from '#producers/sandbox/runner-port.ts';
import { pathOfDescriptor, splitParameters, textOf, type TracedCall } from './trace-line.ts';

/** Where the names stand in the parameters: pairs of directory descriptor (or none) and path. */
type Names = readonly (readonly [directory: number | undefined, path: number])[];

const opens: Readonly<Record<string, { readonly names: Names; readonly flags: number }>> = {
  open: { names: [[undefined, 0]], flags: 1 },
  creat: { names: [[undefined, 0]], flags: -1 },
  openat: { names: [[0, 1]], flags: 2 },
  openat2: { names: [[0, 1]], flags: 2 },
};

const one: Names = [[undefined, 0]];
const at: Names = [[0, 1]];
const changes: Readonly<Record<string, Names>> = {
  unlink: one,
  unlinkat: at,
  rmdir: one,
  mkdir: one,
  mkdirat: at,
  mknod: one,
  mknodat: at,
  truncate: one,
  chmod: one,
  fchmodat: at,
  chown: one,
  lchown: one,
  fchownat: at,
  setxattr: one,
  lsetxattr: one,
  rename: [[undefined, 0], [undefined, 1]], // prettier-ignore
  renameat: [[0, 1], [2, 3]], // prettier-ignore
  renameat2: [[0, 1], [2, 3]], // prettier-ignore
  link: [[undefined, 0], [undefined, 1]], // prettier-ignore
  linkat: [[0, 1], [2, 3]], // prettier-ignore
  symlink: [[undefined, 1]],
  symlinkat: [[1, 2]],
};

const executions: Readonly<Record<string, readonly [path: number, words: number]>> = {
  execve: [0, 1],
  execveat: [1, 2],
};
const births = ['fork', 'vfork', 'clone', 'clone3'];
/** Which parameter holds the address. */
const addressed: Readonly<Record<string, number>> = {
  connect: 1,
  bind: 1,
  sendto: 4,
  sendmsg: 1,
  sendmmsg: 1,
};

/**
 * Calls that no loader needs and that the runner answers with "no such call": they would work around the recording
 * (io_uring), hold memory that no limit counts (memfd, System V segments), or only widen what of the kernel can be reached.
 */
export const refusedCalls = [
  'add_key',
  'bpf',
  'fanotify_init',
  'io_uring_enter',
  'io_uring_register',
  'io_uring_setup',
  'kcmp',
  'keyctl',
  'memfd_create',
  'memfd_secret',
  'mq_open',
  'msgget',
  'open_by_handle_at',
  'perf_event_open',
  'pidfd_getfd',
  'process_vm_readv',
  'process_vm_writev',
  'ptrace',
  'request_key',
  'semget',
  'shmget',
  'userfaultfd',
  'vmsplice',
] as const;

/** What building the sandbox itself needs; inside, the kernel refuses them for want of a capability. */
const privilegedCalls = [
  'chroot',
  'delete_module',
  'finit_module',
  'fsopen',
  'init_module',
  'kexec_load',
  'kill',
  'mount',
  'move_mount',
  'open_tree',
  'pidfd_open',
  'pidfd_send_signal',
  'pivot_root',
  'reboot',
  'rt_sigqueueinfo',
  'setdomainname',
  'sethostname',
  'setns',
  'swapon',
  'tkill',
  'umount2',
  'unshare',
] as const;

/** Every call that is recorded. Names that an architecture does not have are marked optional for strace (`?`). */
export const tracedCalls: readonly string[] = [
  ...Object.keys(opens),
  ...Object.keys(changes),
  ...Object.keys(executions),
  ...births,
  'socket',
  ...Object.keys(addressed),
  ...refusedCalls,
  ...privilegedCalls,
];

/** What one call means; undefined where it means nothing (a thread was started, an address family asked about). */
export function eventOf(call: TracedCall): SandboxEvent | undefined {
  const { name, parameters, result } = call;
  const failed = failureOf(result);
  const execution = executions[name];
  if (execution !== undefined) {
    const path = textOf(parameters[execution[0]]) ?? '?';
    return { kind: 'exec', failed, path, words: wordsOf(parameters[execution[1]]) };
  }
  if (births.includes(name))
    return parameters.some((text) => /\bCLONE_THREAD\b/.test(text)) ? undefined : { kind: 'process', failed };
  const opening = opens[name];
  if (opening !== undefined) {
    const flags = parameters[opening.flags] ?? 'O_CREAT';
    return {
      kind: 'open',
      failed,
      path: pathsOf(parameters, opening.names)[0] ?? '?',
      opened: pathOfDescriptor(result),
      write: /\bO_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)\b/.test(flags),
    };
  }
  const change = changes[name];
  if (change !== undefined) return { kind: 'change', failed, call: name, paths: pathsOf(parameters, change) };
  if (name === 'socket') return { kind: 'network', failed, call: name, address: parameters[0] ?? '?' };
  const address = addressed[name];
  if (address !== undefined) {
    const text = addressOf(parameters[address] ?? '');
    return text === undefined ? undefined : { kind: 'network', failed, call: name, address: text };
  }
  return { kind: 'reach', failed, call: name, refused: result.endsWith('(INJECTED)') };
}

function failureOf(result: string): string | undefined {
  return /^-1 (E\w+)/.exec(result)?.[1];
}

function pathsOf(parameters: readonly string[], names: Names): readonly string[] {
  return names.map(([directory, index]) => {
    const path = textOf(parameters[index]) ?? '?';
    const base = directory === undefined ? undefined : pathOfDescriptor(parameters[directory] ?? '');
    // Without a descriptor the path is relative to a directory that the trace does not show: it stays as it is.
    return path.startsWith('/') || base === undefined ? posix.normalize(path) : posix.join(base, path);
  });
}

function wordsOf(parameter: string | undefined): readonly string[] {
  if (parameter === undefined || !parameter.startsWith('[')) return [];
  const list = splitParameters(`${parameter.slice(1).replace(/\](?:\.\.\.)?$/s, '')})`, 0);
  return (list?.parameters ?? []).map((word) => textOf(word) ?? '…');
}

/** An address in words: `192.0.2.1 port 80`, `unix /run/x`. Undefined where the call names none. */
function addressOf(parameter: string): string | undefined {
  const family = /sa_family=(\w+)/.exec(parameter)?.[1];
  if (family === undefined) return undefined;
  const port = /sin6?_port=htons\((\d+)\)/.exec(parameter)?.[1];
  const host = /inet_(?:addr|pton)\((?:AF_INET6?, )?"([0-9a-fA-F.:]+)"/.exec(parameter)?.[1];
  if (host !== undefined) return port === undefined ? host : `${host} port ${port}`;
  const unix = /sun_path=(@?)("(?:[^"\\]|\\.)*"(?:\.\.\.)?)/s.exec(parameter);
  if (unix !== null) return `unix ${unix[1] ?? ''}${textOf(unix[2]) ?? ''}`;
  return family;
}
