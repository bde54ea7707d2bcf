import { open } from 'node:fs/promises';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { hexOf, type Digest } from '#artifact/digest.ts';
import { buildManifest } from '#artifact/manifest.ts';
import { walkTree, type WalkOptions } from '#artifact/walk.ts';
import { printable } from '#lib/printable.ts';
import { exercise, sandboxIdentity, type Exercise, type Exercised, type ExercisedFile } from './exercise.ts';

/** The answer of `weighbridge sandbox PATH`, and its JSON: the predicate that a server would sign, without an instant. */
export interface SandboxReport extends Exercised {
  readonly artifact: Digest;
  readonly producer: typeof sandboxIdentity;
}

/**
 * Exercises one local file or directory as an artifact of its own. Links are followed only in a snapshot of a hub cache,
 * and only into that cache. Faults as `walkTree` and `exercise`.
 */
export async function sandboxTree(path: string, how: Exercise): Promise<SandboxReport> {
  const root = resolve(path);
  const cache = /^(.*\/(?:models|datasets|spaces)--[^/]+)\/snapshots\/[^/]+$/.exec(root)?.[1];
  const options: WalkOptions = {
    signal: how.signal,
    ...(cache === undefined ? {} : { links: 'inside', linkRoot: cache }),
  };
  const { files } = await walkTree(root, options);
  const folder = (await stat(root)).isDirectory() ? root : dirname(root);
  const exercised = await Promise.all(
    files.map(async (file): Promise<ExercisedFile> => {
      const name = folder === root ? file.path : basename(root);
      const localPath = await realpath(join(folder, name));
      return {
        path: file.path,
        sizeBytes: file.sizeBytes,
        sha256: hexOf(file.digest),
        localPath,
        read: (lengthBytes) => readHead(localPath, lengthBytes),
      };
    }),
  );
  return {
    artifact: buildManifest(files).digest,
    producer: sandboxIdentity,
    ...(await exercise(exercised, how)),
  };
}

/** The first bytes of a file. */
export async function readHead(localPath: string, lengthBytes: number): Promise<Uint8Array> {
  await using handle = await open(localPath, 'r');
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(lengthBytes), 0, lengthBytes, 0);
  return buffer.subarray(0, bytesRead);
}

/** 0 quiet, 2 acted, 1 everything that leaves the question open. */
export function exitOfSandbox({ outcome }: Pick<Exercised, 'outcome'>): 0 | 1 | 2 {
  return outcome === 'quiet' ? 0 : outcome === 'acted' ? 2 : 1;
}

/** The report for people. */
export function renderSandbox(report: Exercised): string {
  const acts = report.events.filter(({ grade }) => grade === 'act');
  const lines = [
    `${report.outcome}: ${report.steps.length} loads in ${report.runner}, Python ${report.python}`,
    ...report.reasons.map((reason) => `  ${reason}`),
    ...acts.map(({ words, times }) => `  ${words}${times > 1 ? ` (${times} times)` : ''}`),
    ...report.steps.map(({ loader, path, outcome, baseline }) => {
      const what = path === '' ? 'the artifact' : printable(path);
      return `  ${outcome} ${what} with ${loader}${baseline === null ? '' : `, baseline ${baseline.slice(0, 16)}`}`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}
