import type { Reference, RepositoryName, Snapshot, SnapshotFile } from '#artifact/catalog.ts';
import { digestOfHex, hexOf } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { digestColumn, flagOf, type Row, textOf, wholeOf, wordOf } from './rows.ts';

export const repositoryTypes = ['models', 'datasets', 'spaces'] as const;

export function parseRepository(row: Row): RepositoryName {
  return { type: wordOf(row, 'repository_type', repositoryTypes), id: textOf(row, 'repository') };
}

export function parseReference(row: Row): Reference {
  return {
    namespace: textOf(row, 'namespace'),
    repository: parseRepository(row),
    name: textOf(row, 'name'),
    commit: textOf(row, 'commit_id'),
    checkedAtMs: wholeOf(row, 'checked_at_ms'),
  };
}

export function parseSnapshot(row: Row): Snapshot {
  return {
    namespace: textOf(row, 'namespace'),
    repository: parseRepository(row),
    commit: textOf(row, 'commit_id'),
    artifact: digestColumn(row, 'artifact'),
    provisional: flagOf(row, 'provisional'),
    files: parseFiles(row['files']),
  };
}

/** `[path, sha256 hex, size in bytes, git object id, lfs 0|1]` per file: a third of the size of named members. */
export function encodeFiles(files: readonly SnapshotFile[]): string {
  return JSON.stringify(
    files.map(({ path, digest, sizeBytes, gitOid, lfs }) => [
      path,
      hexOf(digest),
      sizeBytes,
      gitOid,
      lfs ? 1 : 0,
    ]),
  );
}

function parseFiles(value: unknown): readonly SnapshotFile[] {
  if (!Array.isArray(value)) throw unexpected();
  return value.map((file: unknown) => {
    if (!Array.isArray(file) || file.length !== 5) throw unexpected();
    const [path, hex, sizeBytes, gitOid, lfs]: readonly unknown[] = file;
    if (typeof path !== 'string' || typeof hex !== 'string' || typeof gitOid !== 'string') throw unexpected();
    if (typeof sizeBytes !== 'number' || (lfs !== 0 && lfs !== 1)) throw unexpected();
    return { path, digest: digestOfHex(hex), sizeBytes, gitOid, lfs: lfs === 1 };
  });
}

function unexpected(): Fault {
  return new Fault('internal.unexpected', 'database column `files` is not a list of files');
}

/**
 * May both be the same commit? Complete ones must be equal. Against a provisional one, whatever both name must be
 * equal, and the complete one must name everything that the provisional one named.
 */
export function sameSnapshot(stored: Snapshot, offered: Snapshot): boolean {
  if (!stored.provisional && !offered.provisional) {
    return stored.artifact === offered.artifact && encodeFiles(stored.files) === encodeFiles(offered.files);
  }
  const [fewer, more] = stored.files.length <= offered.files.length ? [stored, offered] : [offered, stored];
  if (!fewer.provisional) return false;
  const known = new Map(more.files.map((file) => [file.path, encodeFiles([file])]));
  return fewer.files.every((file) => known.get(file.path) === encodeFiles([file]));
}
