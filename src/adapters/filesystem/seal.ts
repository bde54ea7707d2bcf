import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { lstat, mkdir, open, readFile, readdir, rename, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '#artifact/digest.ts';
import { digestOfHex, hexOf } from '#artifact/digest.ts';
import { hashFile } from '#artifact/hash.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import { createBlobDirectory, syncBlobDirectory } from './blob-directory.ts';

/**
 * What the file system said about the file of a blob when its bytes were last known to be right. Whoever writes into the
 * file changes its modification time, whoever sets that back changes the time of the change, and nobody can set that one:
 * so a file that still answers the same was not written to since. What this cannot see is a disk that turns bits by itself,
 * a clock that was set back, and whoever forges the seal too. It is kept as `<root>/seals/ab/<hex>`; without one,
 * or with another, the bytes are hashed again before a single one is given out.
 */
export function sealOf(stats: BigIntStats): string {
  return `v1 ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}\n`;
}

/** A blob and the file that has its bytes. */
export interface BlobFile {
  readonly root: string;
  readonly digest: Digest;
  readonly path: string;
}

const sealPath = ({ root, digest }: BlobFile): string => {
  const hex = hexOf(digest);
  return join(root, 'seals', hex.slice(0, 2), hex);
};

/** Seals that this process has seen to hold, by path of the blob: the check of a warm blob is one comparison. */
const held = new Map<string, string>();
const mostHeld = 20_000;
/** Hashings under way by path and seal: many who open one file at the same time hash it once. */
const hashing = new Map<string, Promise<Hashed>>();

function hold(path: string, seal: string): void {
  if (held.size >= mostHeld) held.delete(held.keys().next().value ?? '');
  held.set(path, seal);
}

/**
 * Seals a blob whose bytes are known to be right: `before` are the stats of the file under its temporary name. Giving it its
 * name changes only the time of the change; if anything else has changed, there is no seal and the first reader hashes.
 * Never throws, and is not synced: a seal that gets lost costs one hashing.
 */
export async function sealBlob(file: BlobFile, before: BigIntStats): Promise<void> {
  try {
    const now = await lstat(file.path, { bigint: true });
    if (now.ino === before.ino && now.size === before.size && now.mtimeNs === before.mtimeNs)
      await writeSeal(file, sealOf(now));
  } catch {
    // The next reader hashes.
  }
}

async function writeSeal(file: BlobFile, seal: string): Promise<void> {
  hold(file.path, seal);
  const handle = await openSeal(sealPath(file));
  try {
    await handle.writeFile(seal);
  } finally {
    await handle.close();
  }
}

async function openSeal(path: string): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    if (!isErrno(error) || error.code !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return open(path, flags, 0o600);
  }
}

export interface OpenedFile extends BlobFile {
  readonly handle: FileHandle;
  readonly stats: BigIntStats;
}

/**
 * Holds an opened file against its seal, and where that does not fit against its digest. Other bytes are moved to
 * `<root>/quarantine` and are Fault `blob.corrupt`, now and until the blob is put again.
 */
export async function checkSeal(opened: OpenedFile): Promise<void> {
  const { path, stats, digest } = opened;
  const seal = sealOf(stats);
  if (held.get(path) === seal) return;
  if ((await readSeal(opened)) === seal) return hold(path, seal);
  const key = `${path} ${seal}`;
  const running = hashing.get(key) ?? hashQuietly(opened);
  hashing.set(key, running);
  const found = await running.finally(() => hashing.delete(key));
  if (found.digest !== digest) throw await quarantine(opened, found.digest);
  await writeSeal(opened, found.seal).catch(() => {});
}

async function readSeal(file: BlobFile): Promise<string | undefined> {
  return readFile(sealPath(file), {
    encoding: 'utf8',
    flag: constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  }).catch(() => undefined);
}

interface Hashed {
  readonly digest: Digest;
  readonly seal: string;
}

/** The digest of a file while nobody touched it. Fault `file.changed` where somebody goes on writing. */
async function hashQuietly({ handle, path }: OpenedFile): Promise<Hashed> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const seal = sealOf(await handle.stat({ bigint: true }));
    const { digest } = await hashFile(handle.fd);
    // Also a put of the same bytes, which takes this file its name, counts as a touch.
    if (sealOf(await handle.stat({ bigint: true })) === seal) return { digest, seal };
  }
  throw new Fault('file.changed', `\`${path}\` is being written to`, {
    hint: 'nothing but weighbridge may write into its data directory',
  });
}

const quarantineFolder = 'quarantine';

const quarantineHint =
  'the altered copy is in `blobs/quarantine`; find out who wrote it, then restore the file from a back-up';

/** Takes an altered file out of the store, unless it was replaced meanwhile; gives the Fault about it. */
async function quarantine(opened: OpenedFile, found: Digest): Promise<Fault> {
  const { root, digest, path, stats } = opened;
  held.delete(path);
  try {
    const now = await lstat(path, { bigint: true });
    if (now.ino === stats.ino) {
      await createBlobDirectory(root, quarantineFolder);
      await rename(path, join(root, quarantineFolder, hexOf(digest)));
      await unlink(sealPath(opened)).catch(() => {});
      await syncBlobDirectory(join(root, quarantineFolder));
    }
  } catch {
    // Another reader was faster, or the disk refuses: the file is not given out, and the next reader finds the same.
  }
  return new Fault('blob.corrupt', `\`${digest}\` was altered on disk: its bytes are \`${found}\` now`, {
    hint: quarantineHint,
    details: { digest, found },
  });
}

/** Fault `blob.corrupt` where the blob is missing because its file was found altered. */
export async function refuseQuarantined(root: string, digest: Digest): Promise<void> {
  try {
    await lstat(join(root, quarantineFolder, hexOf(digest)));
  } catch (error) {
    if (isErrno(error) && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return;
    throw error;
  }
  throw new Fault('blob.corrupt', `\`${digest}\` was altered on disk and is in quarantine`, {
    hint: quarantineHint,
    details: { digest },
  });
}

/** The blobs of which an altered copy is in quarantine, also those that were put again since. */
export async function listQuarantined(root: string): Promise<readonly Digest[]> {
  try {
    const names = await readdir(join(root, quarantineFolder));
    return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => digestOfHex(name));
  } catch (error) {
    if (isErrno(error) && error.code === 'ENOENT') return [];
    throw error;
  }
}
