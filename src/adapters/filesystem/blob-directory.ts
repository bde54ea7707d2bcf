import { lstat, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault, isErrno } from '#lib/fault.ts';
import { durably } from '#lib/fault-point.ts';
import { createDirectoryDurably, syncDirectory } from '#lib/durable-file.ts';

/** Directories that this process has made durable. What is removed behind its back is seen by `lstat`. */
const durable = new Set<string>();

/**
 * The directory `root/names…`, made where missing, each new name durable in its parent, owner only. `root` itself may
 * be reached through links; inside it a link or another kind of file is Fault `file.special`.
 */
export async function createBlobDirectory(root: string, ...names: readonly string[]): Promise<void> {
  await createDirectoryDurably(root, 0o700);
  let path = root;
  for (const name of names) {
    path = join(path, name);
    await createOne(path);
  }
}

/** Makes the names inside a directory durable. */
export function syncBlobDirectory(path: string): Promise<void> {
  return durably('blob.sync-directory', () => syncDirectory(path));
}

async function createOne(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (isErrno(error) && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (stats !== undefined && !stats.isDirectory()) {
    throw new Fault('file.special', `\`${path}\` is not a directory`, {
      hint: 'nothing but weighbridge may write into its data directory',
    });
  }
  if (stats === undefined) {
    try {
      await durably('blob.create-directory', () => mkdir(path, { mode: 0o700 }));
    } catch (error) {
      if (!isErrno(error) || error.code !== 'EEXIST') throw error;
    }
  } else if (durable.has(path)) {
    return;
  }
  // Also for a directory that was there: the process that made it may have been killed before its sync.
  await durably('blob.sync-parent', () => syncDirectory(dirname(path)));
  durable.add(path);
}
