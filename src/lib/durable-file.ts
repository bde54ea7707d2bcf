import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno } from './fault.ts';
import { durably, faultPoint } from './fault-point.ts';
import type { FaultSite } from './fault-point.ts';

export interface DurableFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface DurableWriteOptions {
  /** Permission bits of the new file, 0o644 by default, set whatever the umask. */
  readonly mode?: number;
  /** The caller's own fault site, passed before the first and after the last step. */
  readonly site?: FaultSite;
}

/**
 * Replaces or creates one small file so that after a crash at any instant the path holds the old bytes or the new
 * ones, whole; when the promise resolves, the new ones, also after a power failure. Missing directories are made.
 * A link at `path` is replaced, not followed. Errors are those of the operating system.
 */
export async function writeFileDurably(
  path: string,
  bytes: Uint8Array,
  options: DurableWriteOptions = {},
): Promise<void> {
  await writeFilesDurably([{ path, bytes }], options);
}

/** Files that are written and synced at once: disks take several syncs in the time of one. */
const syncWidth = 8;

/**
 * `writeFileDurably` for many files with one sync per directory instead of one per file. Each file is whole or
 * absent; among themselves they become visible in the order given, but a crash may leave any prefix visible, and a
 * power failure before the promise resolves any subset.
 */
export async function writeFilesDurably(
  files: readonly DurableFile[],
  options: DurableWriteOptions = {},
): Promise<void> {
  if (options.site !== undefined) faultPoint(options.site, 'before');
  const directories = new Set(files.map((file) => dirname(file.path)));
  for (const directory of directories) await createDirectoryDurably(directory);
  const staged = files.map((file) => ({ ...file, temporary: temporaryPath(file.path) }));
  try {
    await writeStaged(staged, options.mode ?? 0o644);
    for (const { temporary, path } of staged) {
      // The bytes are on the disk before the name points at them, so no crash shows the name with partial bytes.
      await durably('durable-file.rename', () => rename(temporary, path));
    }
  } catch (error) {
    await Promise.all(staged.map(({ temporary }) => unlink(temporary).catch(() => {})));
    throw error;
  }
  // Stopping here: the names may be old or new after a power failure, each with whole bytes; nobody was told yet.
  for (const directory of directories) {
    await durably('durable-file.sync-directory', () => syncDirectory(directory));
  }
  if (options.site !== undefined) faultPoint(options.site, 'after');
}

interface StagedFile extends DurableFile {
  readonly temporary: string;
}

function temporaryPath(path: string): string {
  const name = `.${basename(path)}.${process.pid}-${randomBytes(6).toString('hex')}${temporarySuffix}`;
  return join(dirname(path), name);
}

/** Makes every temporary file whole and durable. All writes have ended, well or badly, when this settles. */
async function writeStaged(staged: readonly StagedFile[], mode: number): Promise<void> {
  const waiting = staged.values();
  const lane = async (): Promise<void> => {
    for (const file of waiting) await writeTemporary(file, mode);
  };
  const lanes = Array.from({ length: Math.min(syncWidth, staged.length) }, lane);
  const failed = (await Promise.allSettled(lanes)).find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function writeTemporary(file: StagedFile, mode: number): Promise<void> {
  faultPoint('durable-file.create-temporary');
  const handle = await open(
    file.temporary,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  );
  try {
    faultPoint('durable-file.create-temporary', 'after');
    await durably('durable-file.write', () => handle.writeFile(file.bytes));
    await handle.chmod(mode);
    // Stopping before the sync: only a temporary name exists, which readers never look at.
    await durably('durable-file.sync', () => handle.sync());
  } finally {
    await handle.close();
  }
}

/** Ends the name of every unfinished file; whoever lists a directory of durable files skips it. */
export const temporarySuffix = '.tmp';

const durableDirectories = new Set<string>();

/**
 * A directory that is there and whose name is durable, all parents that had to be made included. Links are followed:
 * the directory belongs to the operator.
 */
export async function createDirectoryDurably(path: string, mode = 0o755): Promise<void> {
  if (durableDirectories.has(path) && (await exists(path))) return;
  let existed = false;
  try {
    await durably('durable-file.create-directory', () => mkdir(path, { mode }));
  } catch (error) {
    if (isErrno(error) && error.code === 'ENOENT') {
      await createDirectoryDurably(dirname(path), mode);
      return createDirectoryDurably(path, mode);
    }
    if (!isErrno(error) || error.code !== 'EEXIST') throw error;
    existed = true;
  }
  try {
    // Also where it existed: a process that was killed between mkdir and sync left a name that a power failure takes.
    await durably('durable-file.sync-parent', () => syncDirectory(dirname(path)));
  } catch (error) {
    // A parent that we may not read is one in which others made the directory for us.
    if (!existed || !isErrno(error) || error.code !== 'EACCES') throw error;
  }
  durableDirectories.add(path);
}

/** Makes the names inside a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    await handle.close();
    return true;
  } catch {
    return false;
  }
}
