import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSandboxRunner } from '#adapters/sandbox/open-runner.ts';
import { sandboxLimits } from '#producers/sandbox/exercise.ts';
import type { SandboxLimits, SandboxRunner } from '#producers/sandbox/runner-port.ts';
import { sandboxTree, type SandboxReport } from '#producers/sandbox/sandbox-tree.ts';
import { have, missing } from './foreign.ts';

export const systemPython = '/usr/bin/python3';

/** The reason to skip a test that needs the sandbox, or false. */
export function missingSandbox(kind: SandboxRunner['kind'] = 'bubblewrap'): string | false {
  const programs = ['strace', kind === 'bubblewrap' ? 'bwrap' : 'unshare', systemPython];
  return (
    programs.map((program) => missing(program, have(program))).find((reason) => reason !== false) ?? false
  );
}

/** A pickle (protocol 0) that executes Python source when it is loaded: one import of `exec`, one call. */
export function executingPickle(source: string): Buffer {
  const encoded = Buffer.from(source).toString('base64');
  return Buffer.from(
    `cbuiltins\nexec\n(S'exec(__import__("base64").b64decode("${encoded}").decode(),{})'\ntR.`,
  );
}

/** Loads files, given by name, in a sandbox; by default with an interpreter that has no libraries. */
export async function runSandbox(
  files: Readonly<Record<string, Uint8Array>>,
  options: {
    readonly kind?: SandboxRunner['kind'];
    readonly python?: string;
    readonly limits?: Partial<SandboxLimits>;
  } = {},
): Promise<SandboxReport> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-sandboxed-'));
  try {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    return await sandboxTree(folder, {
      runner: await openSandboxRunner(options.kind === undefined ? {} : { kind: options.kind }),
      python: options.python ?? systemPython,
      limits: { ...sandboxLimits, wallSeconds: 120, ...options.limits },
      trustRemoteCode: false,
      signal: new AbortController().signal,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The acts of a report, in words. */
export function actsOf(report: SandboxReport): readonly string[] {
  return report.events.filter(({ grade }) => grade === 'act').map(({ words }) => words);
}
