import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, readdir, realpath, rename, statfs, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOfHex, hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { BlobDescriptor, BlobExpectation, BlobStore } from '#artifact/blob-store.ts';
import { Fault, isErrno, toFault } from '#lib/fault.ts';
import { durably, faultPoint } from '#lib/fault-point.ts';
import { createBlobDirectory, syncBlobDirectory } from './blob-directory.ts';
import { openBlobFile } from './open-blob.ts';
import { sealBlob } from './seal.ts';

/** Temporary files of this process that are being written: `openFilesystemBlobStore` leaves them alone. */
const unfinished = new Set<string>();

/**
 * Blobs as read-only files `<directory>/sha256/ab/cd/<64 hex digits>`. A put goes temporary file → sync → verify →
 * rename → sync of the directory; leftovers of killed processes under `<directory>/tmp` are removed here. The
 * directory belongs to one machine; several processes on it may use it at once. Links inside it are refused.
 */
export async function openFilesystemBlobStore(directory: string): Promise<BlobStore> {
  await createBlobDirectory(directory, 'sha256');
  await createBlobDirectory(directory, 'tmp');
  const root = await realpath(directory);
  await removeLeftovers(join(root, 'tmp'));
  return {
    put: (source, expected) => putBlob(root, source, expected ?? {}),
    open: (digest) => openBlobFile(root, digest, blobPath(root, digest)),
    stat: (digest) => statBlob(root, digest),
    list: () => listBlobs(root),
  };
}

/** Where a blob of this digest is or would be. */
export function blobPath(directory: string, digest: Digest): string {
  const hex = hexOf(digest);
  return join(directory, 'sha256', hex.slice(0, 2), hex.slice(2, 4), hex);
}

async function putBlob(
  root: string,
  source: AsyncIterable<Uint8Array> | Uint8Array,
  expected: BlobExpectation,
): Promise<BlobDescriptor> {
  try {
    const known = expected.digest === undefined ? undefined : await statBlob(root, expected.digest);
    if (known !== undefined) {
      // The bytes are read and verified all the same: who says that he brings this blob must bring it.
      const descriptor = await drain(source, expected);
      await settle(root, descriptor.digest);
      return descriptor;
    }
    await refuseWithoutRoom(root, expected.sizeBytes);
    return await writeBlob(root, source, expected);
  } catch (error) {
    throw isErrno(error) && (error.code === 'ENOSPC' || error.code === 'EDQUOT') ? toFault(error) : error;
  }
}

async function writeBlob(
  root: string,
  source: AsyncIterable<Uint8Array> | Uint8Array,
  expected: BlobExpectation,
): Promise<BlobDescriptor> {
  const temporary = join(root, 'tmp', `${process.pid}-${randomBytes(12).toString('hex')}`);
  unfinished.add(temporary);
  try {
    const descriptor = await writeTemporary(temporary, source, expected);
    await publishBlob(root, temporary, descriptor.digest);
    return descriptor;
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  } finally {
    unfinished.delete(temporary);
  }
}

async function writeTemporary(
  path: string,
  source: AsyncIterable<Uint8Array> | Uint8Array,
  expected: BlobExpectation,
): Promise<BlobDescriptor> {
  faultPoint('blob.create-temporary');
  const handle = await open(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  );
  try {
    faultPoint('blob.create-temporary', 'after');
    const descriptor = await drain(source, expected, (chunk) =>
      durably('blob.write', () => writeAll(handle, chunk)),
    );
    await handle.chmod(0o444);
    // Stopping before the sync: only a temporary file exists, and the next open of the store removes it.
    await durably('blob.sync', () => handle.sync());
    return descriptor;
  } finally {
    await handle.close();
  }
}

/** Gives a synced, verified temporary file its name. */
export async function publishBlob(root: string, temporary: string, digest: Digest): Promise<void> {
  const hex = hexOf(digest);
  await createBlobDirectory(root, 'sha256', hex.slice(0, 2), hex.slice(2, 4));
  // The bytes are durable and hash to the name before the name exists: nobody can ever see another blob under it. A
  // concurrent put of the same bytes replaces equal by equal.
  const before = await lstat(temporary, { bigint: true });
  const path = blobPath(root, digest);
  await durably('blob.rename', () => rename(temporary, path));
  // Stopping here: the blob is visible now and may be gone after a power failure; the caller was not told.
  await settle(root, digest);
  // Stopping here: without its seal the first reader hashes the blob once more.
  await sealBlob({ root, digest, path }, before);
}

/** Makes the name of a visible blob durable, whoever gave it: a put may find what a killed process just renamed. */
async function settle(root: string, digest: Digest): Promise<void> {
  const hex = hexOf(digest);
  await createBlobDirectory(root, 'sha256', hex.slice(0, 2), hex.slice(2, 4));
  await syncBlobDirectory(join(blobPath(root, digest), '..'));
}

/** Reads a source to its end, hashing while `write` has the same chunk, and holds it against what was expected. */
async function drain(
  source: AsyncIterable<Uint8Array> | Uint8Array,
  expected: BlobExpectation,
  write: (chunk: Uint8Array) => Promise<void> = async () => {},
): Promise<BlobDescriptor> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of source instanceof Uint8Array ? [source] : source) {
    sizeBytes += chunk.length;
    if (expected.sizeBytes !== undefined && sizeBytes > expected.sizeBytes) {
      throw new Fault(
        'blob.mismatch',
        `the bytes are more than the ${expected.sizeBytes} that were declared`,
      );
    }
    const writing = write(chunk);
    hash.update(chunk);
    await writing;
  }
  const digest = digestOfHex(hash.digest('hex'));
  if (expected.sizeBytes !== undefined && sizeBytes !== expected.sizeBytes) {
    throw new Fault('blob.mismatch', `${sizeBytes} bytes came, ${expected.sizeBytes} were declared`);
  }
  if (expected.digest !== undefined && digest !== expected.digest) {
    throw new Fault('blob.mismatch', `the bytes are \`${digest}\`, declared was \`${expected.digest}\``, {
      details: { digest, expected: expected.digest, sizeBytes },
    });
  }
  return { digest, sizeBytes };
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.length;) {
    const { bytesWritten } = await handle.write(chunk, offset, chunk.length - offset);
    offset += bytesWritten;
  }
}

/** A blob that cannot fit is refused before it is fetched. The space may still run out while it is written. */
export async function refuseWithoutRoom(root: string, sizeBytes: number | undefined): Promise<void> {
  if (sizeBytes === undefined) return;
  const { bavail, bsize } = await statfs(root);
  if (sizeBytes > bavail * bsize) {
    throw new Fault('disk.full', `${sizeBytes} bytes do not fit into the ${bavail * bsize} that are free`, {
      hint: 'free space in the data directory',
    });
  }
}

async function statBlob(root: string, digest: Digest): Promise<BlobDescriptor | undefined> {
  try {
    const stats = await lstat(blobPath(root, digest));
    return stats.isFile() ? { digest, sizeBytes: stats.size } : undefined;
  } catch (error) {
    if (isErrno(error) && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
    throw error;
  }
}

async function* listBlobs(root: string): AsyncGenerator<Digest> {
  const top = join(root, 'sha256');
  for (const first of await listDirectory(top, /^[0-9a-f]{2}$/)) {
    for (const second of await listDirectory(join(top, first), /^[0-9a-f]{2}$/)) {
      for (const name of await listDirectory(join(top, first, second), /^[0-9a-f]{64}$/)) {
        if (!name.startsWith(first + second)) continue;
        const digest = digestOfHex(name);
        if ((await statBlob(root, digest)) !== undefined) yield digest;
      }
    }
  }
}

async function listDirectory(path: string, pattern: RegExp): Promise<readonly string[]> {
  const stats = await lstat(path);
  if (!stats.isDirectory()) return [];
  return (await readdir(path)).filter((name) => pattern.test(name)).sort();
}

/** Removes what killed processes left. A file of a living process of this machine is left to it. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (unfinished.has(path)) continue;
    const writer = Number(/^([0-9]+)-[0-9a-f]{24}$/.exec(name)?.[1] ?? '0');
    if (writer !== 0 && writer !== process.pid && isAlive(writer)) continue;
    await unlink(path).catch((error: unknown) => {
      if (!isErrno(error) || error.code !== 'ENOENT') throw error;
    });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isErrno(error) && error.code === 'EPERM';
  }
}
