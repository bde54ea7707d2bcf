import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, rmSync, closeSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { have, missing } from '../../test/support/foreign.ts';
import { digestOf } from './digest.ts';
import { hashFile } from './hash.ts';
import { openHashPool } from './hash-pool.ts';
import { createDigestReader, createGitBlobReader, readThrough, tap } from './tap.ts';
import type { TapReader } from './tap.ts';

const recorder = (): TapReader & { readonly seen: string[] } => {
  const seen: string[] = [];
  return {
    seen,
    write: (chunk) => seen.push(Buffer.from(chunk).toString()),
    end: () => seen.push('end'),
    abort: (reason) => seen.push(`abort: ${reason instanceof Error ? reason.message : String(reason)}`),
  };
};

async function* chunks(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(Buffer.from(part));
}

test('every reader sees every chunk before the consumer, and the end before the consumer sees it', async () => {
  const readers = [recorder(), recorder()];
  const consumed: string[] = [];
  for await (const chunk of tap(chunks('a', 'b', ''), readers)) {
    consumed.push(Buffer.from(chunk).toString());
    for (const { seen } of readers) assert.deepEqual(seen, consumed);
  }
  assert.deepEqual(consumed, ['a', 'b', '']);
  for (const { seen } of readers) assert.deepEqual(seen, ['a', 'b', '', 'end']);
});

test('a source that breaks, a consumer that leaves and a reader that throws abort the readers', async () => {
  const broken = recorder();
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield* chunks('a');
    throw new Error('the source broke');
  };
  await assert.rejects(readThrough(source(), [broken]), { message: 'the source broke' });
  assert.deepEqual(broken.seen, ['a', 'abort: the source broke']);

  const left = recorder();
  for await (const chunk of tap(chunks('a', 'b'), [left])) {
    assert.equal(chunk.length, 1);
    break;
  }
  assert.deepEqual(left.seen, ['a', 'abort: the stream was left before its end']);

  const other = recorder();
  const throwing: TapReader = {
    write() {
      throw new Error('the reader broke');
    },
    end: () => assert.fail('it must not see the end'),
  };
  await assert.rejects(readThrough(chunks('a', 'b'), [throwing, other]), { message: 'the reader broke' });
  assert.deepEqual(other.seen, ['abort: the reader broke']);
});

test(
  'digest and git blob id are those that sha256sum and git compute',
  { skip: missing('git', have('git')) },
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'weighbridge-tap-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    for (const size of [0, 1, 1_048_576, 2_500_001]) {
      const bytes = randomBytes(size);
      const path = join(directory, `${size}`);
      writeFileSync(path, bytes);
      const sha256 = createDigestReader();
      const git = createGitBlobReader(size);
      assert.throws(() => sha256.digest);
      assert.throws(() => git.oid);
      assert.equal(
        await readThrough([bytes.subarray(0, size >> 1), bytes.subarray(size >> 1)], [sha256, git]),
        size,
      );
      assert.equal(sha256.digest, `sha256:${execFileSync('sha256sum', [path]).toString().slice(0, 64)}`);
      assert.equal(git.oid, execFileSync('git', ['hash-object', '--no-filters', path]).toString().trim());
      assert.equal(sha256.sizeBytes, size);
    }
  },
);

test('the git blob id of nothing is the well-known one', async () => {
  const reader = createGitBlobReader(0);
  await readThrough([], [reader]);
  assert.equal(reader.oid, 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391');
});

test('a git blob id over another number of bytes is a mismatch', async () => {
  for (const size of [0, 2, 4]) {
    await assert.rejects(readThrough(chunks('abc'), [createGitBlobReader(size)]), { code: 'blob.mismatch' });
  }
});

test('a file hashed by path, by descriptor, through readers and in threads has one digest', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'weighbridge-hash-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  await using pool = openHashPool(2);
  for (const size of [0, 1, 1_048_575, 1_048_576, 1_048_577, 5_000_000]) {
    const bytes = randomBytes(size);
    const path = join(directory, `${size}`);
    writeFileSync(path, bytes);
    const descriptor = openSync(path, 'r');
    const expected = { digest: digestOf(bytes), sizeBytes: size };
    const reader = createDigestReader();
    assert.deepEqual(await hashFile(path), expected);
    assert.deepEqual(await hashFile(descriptor, [reader]), expected);
    assert.equal(reader.digest, expected.digest);
    assert.deepEqual(
      await Promise.all([pool.hash(descriptor), pool.hash(descriptor), pool.hash(descriptor)]),
      [expected, expected, expected],
    );
    closeSync(descriptor);
  }
});

test('a read that fails is a Fault, in the same thread and in another', async () => {
  const descriptor = openSync(tmpdir(), 'r');
  await assert.rejects(hashFile(descriptor), { name: 'Fault', code: 'file.unreadable' });
  const pool = openHashPool(1);
  await assert.rejects(pool.hash(descriptor), { name: 'Fault', code: 'file.unreadable' });
  await pool[Symbol.asyncDispose]();
  closeSync(descriptor);
});

test('a reader that throws stops hashing a file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'weighbridge-hash-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'a'), 'abc');
  const seen = recorder();
  const throwing: TapReader = {
    write() {
      throw new Error('the reader broke');
    },
    end() {},
  };
  await assert.rejects(hashFile(join(directory, 'a'), [seen, throwing]), { message: 'the reader broke' });
  assert.deepEqual(seen.seen, ['abc', 'abort: the reader broke']);
});
