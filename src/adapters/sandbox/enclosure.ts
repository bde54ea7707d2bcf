import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { sandboxPlaces } from '#producers/sandbox/runner-port.ts';
import type { SandboxLimits } from '#producers/sandbox/runner-port.ts';

/** A file or directory of this machine and the place inside where it can be read. */
export interface Shown {
  readonly from: string;
  readonly to: string;
}

/** What stands in the sandbox: everything else of the machine does not. */
export interface Scene {
  readonly shown: readonly Shown[];
  /** Links inside: name → target. */
  readonly links: readonly (readonly [name: string, target: string])[];
  readonly limits: SandboxLimits;
  /** Runs inside, with `environment` and nothing else. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** System directories that programs are made of. `/etc`, `/home`, `/root`, `/run`, `/sys` and `/var` are never shown. */
const systemFolders = ['/usr', '/lib', '/lib64', '/lib32', '/bin', '/sbin'];
/** How the dynamic linker finds libraries; holds paths of libraries only. */
const systemFiles = ['/etc/ld.so.cache', '/etc/alternatives'];

/** The operating system's part of a scene, as this machine has it. */
export function systemScene(): Pick<Scene, 'shown' | 'links'> {
  const shown: Shown[] = [];
  const links: (readonly [string, string])[] = [];
  for (const folder of systemFolders) {
    if (!existsSync(folder)) continue;
    if (lstatSync(folder).isSymbolicLink()) links.push([folder, readlinkSync(folder)]);
    else shown.push({ from: folder, to: folder });
  }
  for (const file of systemFiles) if (existsSync(file)) shown.push({ from: file, to: file });
  return { shown, links };
}

/**
 * What the loader finds in its environment. One thread per library, so that outputs and traces repeat; libraries that report
 * home by themselves (onnxruntime does, from a thread of its own) are told not to, so that what is recorded is the artifact's.
 */
export const loaderEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/bin:/bin:/usr/sbin:/sbin',
  HOME: sandboxPlaces.home,
  USER: 'model',
  LOGNAME: 'model',
  TMPDIR: '/tmp',
  LANG: 'C.UTF-8',
  PYTHONHASHSEED: '0',
  PYTHONDONTWRITEBYTECODE: '1',
  OMP_NUM_THREADS: '1',
  MKL_NUM_THREADS: '1',
  OPENBLAS_NUM_THREADS: '1',
  TOKENIZERS_PARALLELISM: 'false',
  HF_HUB_OFFLINE: '1',
  TRANSFORMERS_OFFLINE: '1',
  HF_HUB_DISABLE_TELEMETRY: '1',
  ORT_DISABLE_TELEMETRY: '1',
  DO_NOT_TRACK: '1',
  KERAS_BACKEND: 'torch',
  TF_CPP_MIN_LOG_LEVEL: '3',
  CUDA_VISIBLE_DEVICES: '',
};

/** Limits that the kernel keeps per process, as `prlimit` takes them, in front of `command`. */
export function limited(limits: SandboxLimits, command: readonly string[]): readonly string[] {
  const mebibyte = 1024 * 1024;
  return [
    '/usr/bin/prlimit',
    `--data=${limits.memoryMB * mebibyte}`,
    `--cpu=${limits.cpuSeconds}`,
    `--fsize=${limits.scratchMB * mebibyte}`,
    `--nproc=${limits.tasks}`,
    '--nofile=512',
    '--core=0',
    '--memlock=0',
    '--msgqueue=0',
    '--',
    ...command,
  ];
}
