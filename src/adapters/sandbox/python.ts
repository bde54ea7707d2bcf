import { execFile } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, relative } from 'node:path';
import { promisify } from 'node:util';
import { Fault } from '#lib/fault.ts';
import { isJsonObject, parseJson } from '#lib/json.ts';
import type { SandboxPython } from '#producers/sandbox/runner-port.ts';

const run = promisify(execFile);

const question = `
import json, os, platform, sys, sysconfig
print(json.dumps({
    'executable': sys.executable,
    'version': platform.python_version(),
    'roots': [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix,
              sysconfig.get_path('purelib'), sysconfig.get_path('platlib'),
              os.path.dirname(os.path.realpath(sys.executable))],
}))
`;

const startTimeMs = 20_000;

export interface LocatedPython extends SandboxPython {
  readonly executable: string;
}

/**
 * Asks the configured interpreter, which the operator trusts, where it lives; isolated from the environment and from the
 * working directory. Fault `sandbox.unavailable` where it does not start, or lives where showing it would show much more.
 */
export async function describePython(command: string): Promise<LocatedPython> {
  const { stdout } = await run(command, ['-I', '-c', question], {
    cwd: '/',
    timeout: startTimeMs,
    encoding: 'utf8',
  }).catch((cause: unknown) => {
    throw new Fault('sandbox.unavailable', `the interpreter \`${command}\` does not start`, {
      hint: 'set `sandbox-python` (or `--python`) to a Python that has the libraries of your models',
      cause,
    });
  });
  const answer = parseJson(Buffer.from(stdout));
  const { executable, version, roots } = isJsonObject(answer) ? answer : {};
  if (typeof executable !== 'string' || typeof version !== 'string' || !Array.isArray(roots))
    throw new Fault('sandbox.unavailable', `\`${command}\` does not answer as a Python does`);
  const folders = roots.filter((root) => typeof root === 'string').filter((root) => existsSync(root));
  return {
    executable,
    version,
    roots: outermost([...folders, ...folders.map((root) => realpathSync(root))]),
  };
}

const tooWide = ['/', '/home', '/root', '/etc', '/var', '/opt', '/srv', '/tmp'];

/** Without those that lie inside of others. */
function outermost(folders: readonly string[]): readonly string[] {
  // What lies below /usr is shown anyway.
  const all = [...new Set(folders)].filter((folder) => folder !== '/usr' && !isInside(folder, '/usr'));
  const wide = all.find((folder) => tooWide.includes(folder) || dirname(folder) === '/home');
  if (wide !== undefined)
    throw new Fault('sandbox.unavailable', `the interpreter lives in \`${wide}\`, which may hold anything`, {
      hint: 'use an interpreter in a virtual environment of its own',
    });
  return all.filter((folder) => !all.some((other) => other !== folder && isInside(folder, other)));
}

/** Is `path` below `folder`? */
export function isInside(path: string, folder: string): boolean {
  const between = relative(folder, path);
  return between !== '' && !between.startsWith('..') && !isAbsolute(between);
}
