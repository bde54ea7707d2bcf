import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openTestLog } from '../../test/support/log.ts';
import { watchHead } from './head-watch.ts';

async function openWatch(t: TestContext, startSize = 1) {
  const log = await openTestLog();
  const steady = { ms: 0, now: () => steady.ms };
  const told: number[] = [];
  const batches: number[] = [];
  const failures: unknown[] = [];
  const watch = watchHead({
    store: log.store,
    steady,
    startSize,
    grown: (entries) => {
      batches.push(entries.length);
      told.push(...entries.map(({ logIndex }) => logIndex));
    },
    failed: (error) => failures.push(error),
  });
  t.after(() => watch.close());
  /** One whole look: `wake` while nothing runs starts it. */
  const look = async (): Promise<void> => {
    watch.wake();
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return { log, steady, told, batches, failures, watch, look };
}

test('every entry is told once and in order, whatever was missed between', async (t) => {
  const { log, told, look } = await openWatch(t);
  await log.grow(3);
  await look();
  await log.grow(2);
  await log.grow(1);
  await look();
  await look();
  assert.deepEqual(told, [1, 2, 3, 4, 5, 6]);
});

test('a long gap is read in batches', async (t) => {
  const { log, batches, look } = await openWatch(t, 0);
  await log.grow(1_100);
  await look();
  assert.deepEqual(batches, [1_000, 101]);
});

test('a wake during a look is not lost', async (t) => {
  const { log, told, watch, look } = await openWatch(t);
  watch.wake();
  await log.grow(1);
  watch.wake();
  await look();
  assert.deepEqual(told, [1]);
});

test('the right to allow ends 10 s after the last whole reading', async (t) => {
  const { log, steady, watch, look, failures } = await openWatch(t);
  await look();
  log.store.readHead = () => Promise.reject(new Error('away'));
  steady.ms = 10_000;
  await look();
  assert.equal(watch.ledgerAge().stale, false);
  steady.ms = 10_001;
  assert.equal(watch.ledgerAge().stale, true);
  assert.equal(failures.length, 1);
});

test('a head whose entries cannot be read does not keep the right to allow, and nothing is skipped', async (t) => {
  const { log, steady, told, watch, look } = await openWatch(t);
  const { readEntries } = log.store;
  await log.grow(2);
  log.store.readEntries = () => Promise.reject(new Error('away'));
  steady.ms = 10_001;
  await look();
  assert.equal(watch.ledgerAge().stale, true);
  log.store.readEntries = readEntries;
  await look();
  assert.equal(watch.ledgerAge().stale, false);
  assert.deepEqual(told, [1, 2]);
});

test('an entry that cannot be told is told again, not forgotten', async (t) => {
  const log = await openTestLog();
  const steady = { ms: 0, now: () => steady.ms };
  const told: number[] = [];
  let broken = true;
  const watch = watchHead({
    store: log.store,
    steady,
    startSize: 1,
    grown: (entries) => {
      if (broken) throw new Error('no');
      told.push(...entries.map(({ logIndex }) => logIndex));
    },
    failed: () => {},
  });
  t.after(() => watch.close());
  await log.grow(1);
  for (const state of [true, false]) {
    broken = state;
    watch.wake();
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(told, [1]);
});

test('the time of the newest checkpoint is known', async (t) => {
  const { watch, look } = await openWatch(t);
  assert.equal(watch.ledgerAge().signedAtMs, 0);
  await look();
  assert.equal(watch.ledgerAge().signedAtMs, 1_800_000_000_000);
});
