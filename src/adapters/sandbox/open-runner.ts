import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { promisify } from 'node:util';
import type { SandboxRunner } from '#producers/sandbox/runner-port.ts';
import { Fault } from '#lib/fault.ts';
import { createRunner, type RunnerKind } from './runner.ts';

const run = promisify(execFile);
const probeTimeMs = 10_000;
const folders = ['/usr/bin', '/bin', '/usr/local/bin'];

/**
 * The best runner that this machine allows: bubblewrap where it is installed, programs of util-linux otherwise; `kind`
 * insists on one. `hidden` are directories that must not be shown, such as the server's data. Fault `sandbox.unavailable`
 * with the way out where it cannot isolate, or nothing can be recorded.
 */
export async function openSandboxRunner(
  options: { readonly kind?: RunnerKind; readonly hidden?: readonly string[] } = {},
): Promise<SandboxRunner> {
  if (process.platform !== 'linux')
    throw new Fault('sandbox.unavailable', 'the sandbox needs Linux', {
      hint: 'run it in a Linux machine or container',
    });
  const strace = find('strace');
  if (strace === undefined)
    throw new Fault('sandbox.unavailable', '`strace` is not installed', {
      hint: 'install the package `strace`; what cannot be recorded is not run',
    });
  const bubblewrap = find('bwrap');
  const kind = options.kind ?? (bubblewrap === undefined ? 'unshare' : 'bubblewrap');
  if (kind === 'bubblewrap' && bubblewrap === undefined)
    throw new Fault('sandbox.unavailable', '`bwrap` is not installed', {
      hint: 'install the package `bubblewrap`',
    });
  await probe(strace, kind === 'bubblewrap' ? (bubblewrap ?? '') : undefined);
  return createRunner(kind, { strace, bubblewrap, hidden: options.hidden ?? [] });
}

/** The two things that a kernel or a container may forbid. */
async function probe(strace: string, bubblewrap: string | undefined): Promise<void> {
  const [program, ...words] =
    bubblewrap === undefined
      ? [
          '/usr/bin/unshare',
          '--user',
          '--map-root-user',
          '--mount',
          '--pid',
          '--net',
          '--ipc',
          '--fork',
          '--',
        ]
      : [bubblewrap, '--unshare-all', '--unshare-user', '--disable-userns', '--ro-bind', '/', '/', '--'];
  await run(program ?? '', [...words, '/bin/true'], { timeout: probeTimeMs }).catch((cause: unknown) => {
    throw new Fault('sandbox.unavailable', 'this kernel or container forbids user namespaces', {
      hint: 'allow them: `user.max_user_namespaces`, `kernel.unprivileged_userns_clone`, AppArmor, the seccomp profile of the container',
      cause,
    });
  });
  await run(strace, ['-f', '--seccomp-bpf', '-e', 'trace=execve', '-o', '/dev/null', '--', '/bin/true'], {
    timeout: probeTimeMs,
  }).catch((cause: unknown) => {
    throw new Fault('sandbox.unavailable', 'this kernel or container forbids tracing of processes', {
      hint: 'allow `ptrace` (capability or seccomp profile of the container), with strace 5.3 or later',
      cause,
    });
  });
}

function find(program: string): string | undefined {
  return folders
    .map((folder) => `${folder}/${program}`)
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
