import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { digestOf } from '#artifact/digest.ts';
import { openFilesystemPartialStore } from './partial-store.ts';

const content = randomBytes(100_000);
const key = { namespace: 'default', digest: digestOf(content), sizeBytes: content.length };

async function store(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-marks-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  /** A process of its own on the same directory. */
  return () => openFilesystemPartialStore(directory);
}

test('a transfer that is published clears what left of it', async (t) => {
  const open = await store(t);
  const first = await open();
  const partial = await first.open(key);
  await partial.write(content.subarray(0, 50_000), 0);
  assert.equal(await first.isMixed(key), false);
  await first.mark(key);
  await first.mark(key);
  assert.equal(await first.isMixed(key), false, 'it is the transfer under way');
  await partial.close();

  const second = await open();
  assert.equal(await second.isMixed(key), false, 'and still is after an orderly end');
  const continued = await second.open(key);
  await continued.write(content.subarray(50_000), 50_000);
  await second.mark(key);
  await continued.publish();
  await continued.close();
  assert.equal(await second.isMixed(key), false);
});

test('what left of a transfer that was thrown away is remembered beyond the one that replaced it', async (t) => {
  const open = await store(t);
  const first = await open();
  const lie = await first.open(key);
  await lie.write(randomBytes(content.length), 0);
  await first.mark(key);
  await assert.rejects(lie.publish(), { code: 'blob.mismatch' });
  assert.equal(await first.isMixed(key), true);
  const second = await open();
  const honest = await second.open(key);
  await honest.write(content, 0);
  assert.equal(await second.isMixed(key), true);
  await second.mark(key);
  await honest.publish();
  await Promise.all([lie.close(), honest.close()]);
  assert.equal(await second.isMixed(key), true);
  assert.equal(await second.isMixed({ ...key, namespace: 'other' }), false);
});

for (const [what, rest, mixed] of [
  ['the same', content.subarray(50_000), false],
  ['other', randomBytes(50_000), true],
] as const) {
  test(`a killed process let bytes go that it had not noted: ${what} ones come now`, async (t) => {
    const open = await store(t);
    const killed = await open();
    const partial = await killed.open(key);
    await partial.write(content.subarray(0, 50_000), 0);
    await partial.write(rest, 50_000);
    await killed.mark(key);
    const next = await open();
    const continued = await next.open(key);
    assert.ok(continued.reach(0) <= 50_000, 'the second piece is not noted yet');
    await continued.write(content.subarray(continued.reach(0)), continued.reach(0));
    assert.equal(await next.isMixed(key), mixed);
    await continued.publish();
    assert.equal(await next.isMixed(key), mixed);
    await Promise.all([partial.close().catch(() => {}), continued.close()]);
  });
}
