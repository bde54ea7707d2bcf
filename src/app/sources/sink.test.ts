import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { digestOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { memoryBlobs } from '../../../test/support/memory-blobs.ts';
import { openSink } from './sink.ts';

const refused = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;

async function* pieces(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

function open(mostBytes = 1_000) {
  const links = new Set<Digest>();
  const opened = openSink({
    blobs: memoryBlobs(),
    catalog: {
      link: async (_namespace, blobs) => blobs.forEach(({ digest }) => links.add(digest)),
      linked: async (_namespace, digests) => new Set(digests.filter((digest) => links.has(digest))),
    },
    namespace: 'default',
    mostBytes,
    signal: new AbortController().signal,
    progress: () => {},
  });
  return { ...opened, links };
}

test('a small file has the id that git gives it, a declared one keeps its own', async () => {
  const { sink, files } = open();
  await sink.put({ path: 'a' }, () => pieces('he', 'llo'));
  await sink.put({ path: 'b', git: { oid: 'f'.repeat(40), lfs: true } }, () => pieces('x'));
  const [a, b] = files();
  assert.equal(a?.gitOid, createHash('sha1').update('blob 5\0hello').digest('hex'));
  assert.equal(a.lfs, false);
  assert.deepEqual([b?.gitOid, b?.lfs], ['f'.repeat(40), true]);
});

test('a large file is shown as LFS, by the id of its pointer', async () => {
  const { sink, files } = open(4_000_000);
  const bytes = Buffer.alloc(2_000_000, 'x');
  await sink.put({ path: 'a' }, async function* () {
    yield bytes;
  });
  const pointer = `version https://git-lfs.github.com/spec/v1\noid ${digestOf(bytes)}\nsize 2000000\n`;
  const oid = createHash('sha1').update(`blob ${pointer.length}\0${pointer}`).digest('hex');
  assert.deepEqual(
    files().map(({ gitOid, lfs }) => [gitOid, lfs]),
    [[oid, true]],
  );
});

test('bytes that the namespace holds are not asked for again; those of others are', async () => {
  const { sink, links } = open();
  const digest = digestOf(Buffer.from('hello'));
  await sink.put({ path: 'a', digest }, () => pieces('hello'));
  await sink.put({ path: 'b', digest, sizeBytes: 5 }, () => assert.fail('fetched again'));
  links.clear();
  let asked = 0;
  await sink.put({ path: 'c', digest }, () => {
    asked += 1;
    return pieces('hello');
  });
  assert.equal(asked, 1);
});

test('bounds, names and digests', async () => {
  const { sink, files } = open(10);
  await assert.rejects(
    sink.put({ path: 'a' }, () => pieces('12345', '67890', '1')),
    refused('limit.exceeded'),
  );
  assert.throws(() => sink.expect({ files: 1, bytes: 11 }), refused('limit.exceeded'));
  assert.throws(() => sink.expect({ files: 100_001, bytes: 1 }), refused('artifact.too-large'));
  const other = open();
  const put = (path: string, declared: object = {}) =>
    other.sink.put({ path, ...declared }, () => pieces('x'));
  for (const path of ['../x', '/x', 'a//b', 'a/./b', 'a\\b', 'a\u0000'])
    await assert.rejects(put(path), refused('path.invalid'), path);
  await put('x');
  await assert.rejects(put('x'), refused('path.collision'));
  await assert.rejects(put('y', { digest: digestOf(Buffer.from('y')) }), refused('upstream.lied'));
  await assert.rejects(put('z', { sizeBytes: 2 }), refused('upstream.lied'));
  assert.deepEqual(files(), []);
  assert.deepEqual(
    other.files().map(({ path }) => path),
    ['x'],
  );
});
