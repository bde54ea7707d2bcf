import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
import type { BlobStore } from '#artifact/blob-store.ts';
import { blobStoreContract } from './blob-store.contract.ts';

async function makeDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-blobs-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A file system in memory of the size, or why there is none. */
async function openOnTmpfs(t: TestContext, sizeBytes: number): Promise<BlobStore | string> {
  const mountPoint = await mkdtemp(join(tmpdir(), 'weighbridge-tmpfs-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', mountPoint], { stdio: 'pipe' });
  } catch {
    await rmdir(mountPoint);
    return 'mounting a tmpfs needs root';
  }
  t.after(async () => {
    execFileSync('umount', [mountPoint]);
    await rmdir(mountPoint);
  });
  return openFilesystemBlobStore(join(mountPoint, 'blobs'));
}

blobStoreContract('filesystem', async (t) => {
  const directory = join(await makeDirectory(t), 'not', 'there', 'yet');
  return { openStore: () => openFilesystemBlobStore(directory), openSmallStore: openOnTmpfs };
});
