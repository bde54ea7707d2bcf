import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  copyFile,
  mkdtemp,
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { digestOf, hexOf } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { blobPath, openFilesystemBlobStore } from './blob-store.ts';

async function setUp(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-seal-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const bytes = randomBytes(3_000_000);
  const store = await openFilesystemBlobStore(directory);
  const { digest } = await store.put(bytes);
  const path = blobPath(directory, digest);
  const read = async (): Promise<string> => {
    await using blob = await store.open(digest);
    return blob === undefined ? 'missing' : digestOf(await blob.read(0, bytes.length + 1));
  };
  return { directory, bytes, store, digest, path, read };
}

/** `<root>/sha256/ab/cd/<hex>` → `<root>/seals/ab/<hex>`. */
const sealFile = (path: string): string => path.replace(/sha256\/(..)\/..\/(\w+)$/, 'seals/$1/$2');

/** One bit in the middle of the file, the size stays. */
async function flipBit(path: string): Promise<void> {
  await chmod(path, 0o644);
  const handle = await open(path, 'r+');
  const at = (await handle.stat()).size >> 1;
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await handle.write(byte, 0, 1, at);
  await handle.close();
  await chmod(path, 0o444);
}

const alterations: Readonly<Record<string, (path: string, directory: string) => Promise<void>>> = {
  'a bit was flipped': flipBit,
  'a bit was flipped and the modification time set back': async (path) => {
    const { atime, mtime } = await stat(path);
    await flipBit(path);
    await utimes(path, atime, mtime);
  },
  'it was cut': async (path) => {
    await chmod(path, 0o644);
    await truncate(path, 1_000);
  },
  'it grew': async (path) => {
    await chmod(path, 0o644);
    await writeFile(path, 'x', { flag: 'a' });
  },
  'it is empty': async (path) => {
    await chmod(path, 0o644);
    await writeFile(path, '');
  },
  'another file took its place': async (path, directory) => {
    const other = join(directory, 'other');
    await copyFile(path, other);
    await flipBit(other);
    await rename(other, path);
  },
  'a bit was flipped and its seal is gone': async (path) => {
    await flipBit(path);
    await unlink(sealFile(path));
  },
  'a bit was flipped and its seal is rubbish': async (path) => {
    await flipBit(path);
    await writeFile(sealFile(path), 'v1 1 2 3 4\n');
  },
};

for (const [what, alter] of Object.entries(alterations)) {
  test(`${what}: not a byte is given out, the file is in quarantine, a new put heals`, async (t) => {
    const { directory, bytes, store, digest, path, read } = await setUp(t);
    assert.equal(await read(), digest);
    await alter(path, directory);
    const altered = await readFile(path);
    await assert.rejects(store.open(digest), {
      code: 'blob.corrupt',
      details: { digest, found: digestOf(altered) },
    });
    assert.ok(altered.equals(await readFile(join(directory, 'quarantine', hexOf(digest)))));
    assert.equal(await store.stat(digest), undefined);
    await assert.rejects(store.open(digest), { code: 'blob.corrupt' }, 'it stays refused');
    await store.put(bytes, { digest });
    assert.equal(await read(), digest);
  });
}

test('many who open an altered blob at the same time are all refused', async (t) => {
  const { store, digest, path } = await setUp(t);
  await flipBit(path);
  const opened = await Promise.allSettled(Array.from({ length: 20 }, () => store.open(digest)));
  for (const one of opened) {
    const reason: unknown = one.status === 'rejected' ? one.reason : one.status;
    assert.ok(reason instanceof Fault && reason.code === 'blob.corrupt', String(reason));
  }
});

test('what only looks altered is hashed once and served: touched, copied back, without a seal', async (t) => {
  const { directory, digest, path, read } = await setUp(t);
  const seal = await readFile(sealFile(path), 'utf8');
  const same: readonly (() => Promise<void>)[] = [
    async () => {
      await unlink(sealFile(path));
      await utimes(path, 1, 1);
    },
    async () => {
      await copyFile(path, join(directory, 'copy'));
      await rename(join(directory, 'copy'), path);
    },
    () => unlink(sealFile(path)).then(() => chmod(path, 0o440)),
  ];
  for (const change of same) {
    await change();
    assert.equal(await read(), digest);
  }
  assert.notEqual(await readFile(sealFile(path), 'utf8'), seal, 'a new seal was made');
  assert.deepEqual(await readdir(directory), ['seals', 'sha256', 'tmp']);
});

test('a seal that is a link is neither believed nor followed', async (t) => {
  const { directory, digest, path, read } = await setUp(t);
  const outside = join(directory, 'outside');
  await writeFile(outside, 'mine');
  await unlink(sealFile(path));
  await symlink(outside, sealFile(path));
  await utimes(path, 1, 1);
  assert.equal(await read(), digest);
  assert.equal(await readFile(outside, 'utf8'), 'mine');
});

test('the seal outlives the process: a blob that was altered while nobody ran is caught', async (t) => {
  const { directory, digest, path } = await setUp(t);
  const child = `
    import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
    const store = await openFilesystemBlobStore(process.argv[1]);
    try {
      const blob = await store.open(process.argv[2]);
      await blob.close();
      console.log('opened');
    } catch (error) { console.log(error.code); }
  `;
  const { execFileSync } = await import('node:child_process');
  const run = (): string =>
    execFileSync(process.execPath, ['--input-type=module', '--eval', child, directory, digest], {
      encoding: 'utf8',
    }).trim();
  assert.equal(run(), 'opened');
  await flipBit(path);
  assert.equal(run(), 'blob.corrupt');
  assert.equal(run(), 'blob.corrupt');
});
