import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Coverage } from './coverage.ts';
import { isNotRead, SparseSource, type Allowance } from './sparse-source.ts';

const MiB = 1024 * 1024;

function byteAt(offset: number): number {
  return (offset * 31 + (offset >>> 8)) & 0xff;
}

function open(sizeBytes: number, allowance: Allowance = { bytes: 64 * MiB, requests: 100 }) {
  const asked: { start: number; end: number }[] = [];
  const source = new SparseSource(
    sizeBytes,
    async (range) => {
      asked.push(range);
      return Uint8Array.from({ length: range.end - range.start }, (_, index) => byteAt(range.start + index));
    },
    [allowance],
  );
  const expect = async (offset: number, lengthBytes: number): Promise<void> => {
    const bytes = await source.read(offset, lengthBytes);
    assert.equal(bytes.length, Math.max(0, Math.min(lengthBytes, sizeBytes - offset)));
    for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
      if (at >= 0 && bytes.length > 0) assert.equal(bytes[at], byteAt(offset + at), `at ${offset + at}`);
    }
  };
  return { source, asked, expect, allowance };
}

describe('sparse source', () => {
  test('gives the bytes of any read, each fetched once', async () => {
    const { asked, expect, source } = open(20 * MiB, { bytes: 64 * MiB, requests: 1_000 });
    let seed = 7;
    const next = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    for (let turn = 0; turn < 300; turn += 1) await expect(next(20 * MiB), next(200_000));
    const sorted = asked.toSorted((a, b) => a.start - b.start);
    for (const [index, range] of sorted.entries()) {
      const after = sorted[index + 1];
      assert.ok(range.end > range.start && (after === undefined || range.end <= after.start));
    }
    assert.ok(source.readBytes <= 20 * MiB);
  });

  test('reads at the same time share a request', async () => {
    const { asked, expect } = open(20 * MiB);
    await Promise.all([expect(5 * MiB, 1000), expect(5 * MiB + 10, 1000), expect(5 * MiB, 10)]);
    assert.equal(asked.length, 1);
  });

  test('a small file comes whole with its first byte, a large one with its opening', async () => {
    const small = open(100_000);
    await small.expect(0, 10);
    assert.deepEqual(small.asked, [{ start: 0, end: 100_000 }]);
    assert.equal((await small.source.whole())?.length, 100_000);
    assert.equal(small.source.readBytes, 10);
    const large = open(20 * MiB);
    await large.expect(0, 10);
    assert.deepEqual(large.asked, [{ start: 0, end: 256 * 1024 }]);
    assert.equal(await large.source.whole(), undefined);
  });

  test('reading forward asks for more each time', async () => {
    const { asked, expect } = open(60 * MiB);
    for (let at = 0; at < 30 * MiB; at += 64 * 1024) await expect(at, 64 * 1024);
    assert.ok(asked.length <= 14, String(asked.length));
  });

  test('beyond the bytes or the requests allowed it is not read, and what is here stays readable', async () => {
    for (const allowance of [
      { bytes: 300_000, requests: 100 },
      { bytes: 64 * MiB, requests: 2 },
    ]) {
      const { expect, source, asked } = open(20 * MiB, allowance);
      await expect(0, 10);
      await expect(10 * MiB, 10);
      await assert.rejects(source.read(15 * MiB, 400_000), (error) => isNotRead(error));
      await expect(10 * MiB, 10);
      assert.equal(asked.length, 2);
      assert.equal(source.failure, undefined);
    }
  });

  test('a failed request is told to whoever reads those bytes, and remembered', async () => {
    const broken = new Error('gone');
    const source = new SparseSource(10, () => Promise.reject(broken), [{ bytes: 10, requests: 9 }]);
    await assert.rejects(source.read(0, 4), broken);
    await assert.rejects(source.read(2, 4), broken);
    assert.equal(source.failure, broken);
    assert.equal(source.readBytes, 0);
  });

  test('nothing is read of an empty file and beyond the end', async () => {
    const { asked, source } = open(0);
    assert.equal((await source.read(0, 10)).length, 0);
    assert.equal((await source.whole())?.length, 0);
    assert.equal((await open(10).source.read(10, 5)).length, 0);
    assert.equal(asked.length, 0);
  });
});

test('coverage counts each byte once, against a field of flags', () => {
  const coverage = new Coverage();
  const flags = new Uint8Array(500);
  let seed = 3;
  for (let turn = 0; turn < 200; turn += 1) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    const start = seed % 480;
    const end = start + ((seed >>> 9) % 20);
    coverage.add(start, end);
    flags.fill(1, start, end);
    assert.equal(
      coverage.bytes,
      flags.reduce((sum, flag) => sum + flag, 0),
    );
  }
});
