import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { digestOf } from '#artifact/digest.ts';
import { faultSites, injectFault } from '#lib/fault-point.ts';
import { blobPath, openFilesystemBlobStore } from './blob-store.ts';

async function makeDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-blobs-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

test('a blob is a read-only file under two levels of directories', async (t) => {
  const directory = await makeDirectory(t);
  const store = await openFilesystemBlobStore(directory);
  const { digest } = await store.put(Buffer.from('abc'));
  const path = join(
    directory,
    'sha256/ba/78/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  );
  assert.equal(blobPath(directory, digest), path);
  const stats = await stat(path);
  assert.equal(stats.mode & 0o7777, 0o444);
  assert.equal((await stat(dirname(path))).mode & 0o777, 0o700);
  assert.deepEqual(await readdir(join(directory, 'tmp')), []);
});

const temporaryName = (pid: number): string => `${pid}-${randomBytes(12).toString('hex')}`;

test('leftovers of killed processes go at open, files of living ones stay', async (t) => {
  const directory = await makeDirectory(t);
  await openFilesystemBlobStore(directory);
  const alive = temporaryName(process.ppid);
  for (const leftover of [temporaryName(2 ** 22 + 1), temporaryName(process.pid), 'whatever', alive]) {
    await writeFile(join(directory, 'tmp', leftover), 'partial');
  }
  const { promise: gate, resolve: release } = Promise.withResolvers<void>();
  const slow = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('first');
    await gate;
    yield Buffer.from('second');
  };
  const store = await openFilesystemBlobStore(directory);
  const putting = store.put(slow());
  while ((await readdir(join(directory, 'tmp'))).length < 2) await new Promise((r) => setTimeout(r, 1));
  await openFilesystemBlobStore(directory);
  release();
  assert.equal((await putting).digest, digestOf(Buffer.from('firstsecond')));
  assert.deepEqual(await readdir(join(directory, 'tmp')), [alive]);
});

test('links in the store are not followed', async (t) => {
  const directory = await makeDirectory(t);
  const outside = await makeDirectory(t);
  const store = await openFilesystemBlobStore(directory);
  const secret = Buffer.from('secret');
  const secretDigest = digestOf(secret);
  await writeFile(join(outside, 'secret'), secret);

  await mkdir(dirname(blobPath(directory, secretDigest)), { recursive: true });
  await symlink(join(outside, 'secret'), blobPath(directory, secretDigest));
  await assert.rejects(store.open(secretDigest), { name: 'Fault', code: 'blob.corrupt' });
  assert.equal(await store.stat(secretDigest), undefined);
  for await (const digest of store.list()) assert.fail(digest);

  const { digest } = await store.put(Buffer.from('abc'));
  const level = dirname(dirname(blobPath(directory, digest)));
  await rename(level, join(outside, 'moved'));
  await symlink(join(outside, 'moved'), level);
  await assert.rejects(store.open(digest), { name: 'Fault', code: 'blob.corrupt' });
  await assert.rejects(store.put(Buffer.from('abc')), { name: 'Fault', code: 'file.special' });
  await rm(level);
  await writeFile(level, 'a file where a directory belongs');
  await assert.rejects(store.put(Buffer.from('abc')), { name: 'Fault', code: 'file.special' });
});

test('a directory in place of a blob is corruption, foreign names are not listed', async (t) => {
  const directory = await makeDirectory(t);
  const store = await openFilesystemBlobStore(directory);
  const digest = digestOf(Buffer.from('x'));
  await mkdir(blobPath(directory, digest), { recursive: true });
  await writeFile(join(dirname(blobPath(directory, digest)), 'README'), '');
  await writeFile(join(directory, 'sha256', 'README'), '');
  await mkdir(join(directory, 'sha256', 'zz'));
  await assert.rejects(store.open(digest), { code: 'blob.corrupt' });
  for await (const found of store.list()) assert.fail(found);
});

test('a blob that shrinks under a reader is corruption', async (t) => {
  const directory = await makeDirectory(t);
  const store = await openFilesystemBlobStore(directory);
  const { digest } = await store.put(randomBytes(100));
  await using blob = await store.open(digest);
  await chmod(blobPath(directory, digest), 0o644);
  await writeFile(blobPath(directory, digest), 'short');
  await assert.rejects(blob?.read(0, 100) ?? Promise.resolve(), { code: 'blob.corrupt' });
});

test('each write failing, also after it was done, leaves whole blobs or none, and the next put succeeds', async (t) => {
  t.after(() => injectFault(undefined));
  const sites = faultSites.filter((site) => site.startsWith('blob.'));
  assert.ok(sites.length >= 7);
  for (const site of sites) {
    for (const moment of ['before', 'after'] as const) {
      const directory = await makeDirectory(t);
      const store = await openFilesystemBlobStore(directory);
      const bytes = randomBytes(10_000);
      const digest = digestOf(bytes);
      injectFault({ site, moment, action: 'fail', passing: 1 });
      await assert.rejects(store.put(bytes), { code: 'EIO' }, `${site} ${moment} was not passed`);
      injectFault(undefined);
      for await (const found of store.list()) {
        await using blob = await store.open(found);
        assert.equal(digestOf((await blob?.read(0, 20_000)) ?? new Uint8Array()), found);
      }
      assert.deepEqual(await readdir(join(directory, 'tmp')), [], `${site} ${moment}`);
      assert.deepEqual(await store.put(bytes), { digest, sizeBytes: 10_000 });
    }
  }
});

test('a blob that is put again while others open it is never anything but whole', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-blobs-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const store = await openFilesystemBlobStore(directory);
  const bytes = Buffer.from('{}');
  const { digest } = await store.put(bytes);
  const until = performance.now() + 300;
  const puts = async (): Promise<void> => {
    // Without a digest that is known beforehand every put writes the file anew.
    while (performance.now() < until) await store.put(bytes);
  };
  const opens = async (): Promise<void> => {
    while (performance.now() < until) {
      await using blob = await store.open(digest);
      assert.deepEqual(Buffer.from((await blob?.read(0, 2)) ?? []), bytes);
    }
  };
  await Promise.all([puts(), puts(), opens(), opens(), opens()]);
});
