import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { memorySource } from '#artifact/formats/reading.ts';
import type { TaskSource } from '#lib/worker-pool.ts';
import { openScanner } from '#producers/scan/scanner.ts';

const planted = new URL('../support/workers/planted-worker.ts', import.meta.url);
const order = (text: string): TaskSource => memorySource(Buffer.from(text));

const rows: readonly (readonly [order: string, reason: RegExp])[] = [
  ['hang', /^not finished: the scan took too long: longer than 400 ms$/],
  ['wait', /^not finished: the scan took too long/],
  ['heap', /^not finished: the scan needed too much memory/],
  ['throw', /^not finished: the file cannot be read: the planted reader failed$/],
  ['exit', /^not finished: the scanner ended while reading the file: the worker ended with code 3$/],
];

for (const [text, reason] of rows) {
  test(`a reader that does \`${text}\` costs its own file only`, async () => {
    const timeMs = text === 'heap' ? 20_000 : 400;
    await using scanner = openScanner({ script: planted, workers: 1, timeMs, memoryMB: 32 });
    const [bad, good] = await Promise.all([scanner.scanBlob(order(text)), scanner.scanBlob(order('fine'))]);
    assert.equal(bad.completeness, 'inconclusive');
    assert.deepEqual(bad.formats, ['unknown']);
    assert.match(bad.incompleteReasons.join(), reason);
    assert.equal(good.completeness, 'complete');
  });
}

test('buffers outside the JavaScript heap count too', async () => {
  await using scanner = openScanner({ script: planted, workers: 1, timeMs: 20_000, memoryMB: 64 });
  const bad = await scanner.scanBlob(order('buffers'));
  assert.match(
    bad.incompleteReasons.join(),
    /^not finished: the scan needed too much memory: more than 64 MB of buffers$/,
  );
});

test('a worker sees no environment variables', async () => {
  await using scanner = openScanner({ script: planted, workers: 1 });
  assert.deepEqual((await scanner.scanBlob(order('environment'))).formats, []);
});

test('an aborted scan rejects with the reason of the signal and ends its worker', async () => {
  await using scanner = openScanner({ script: planted, workers: 1 });
  const scanning = scanner.scanBlob(order('hang'), AbortSignal.timeout(200));
  await assert.rejects(scanning, { name: 'TimeoutError' });
  assert.equal((await scanner.scanBlob(order('fine'))).completeness, 'complete');
});

test('workers open local files themselves and read the others through this thread', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-scanner-'));
  try {
    const localPath = join(folder, 'model');
    await writeFile(localPath, '{"a":1}');
    const unread: TaskSource = {
      sizeBytes: 7,
      localPath,
      read: () => Promise.reject(new Error('not asked')),
    };
    await using scanner = openScanner({ workers: 1 });
    assert.deepEqual((await scanner.scanBlob(unread)).formats, ['json']);
    assert.deepEqual((await scanner.scanBlob(memorySource(Buffer.from('[]')))).formats, ['json']);
    const shorter: TaskSource = { ...unread, sizeBytes: 70 };
    assert.match((await scanner.scanBlob(shorter)).incompleteReasons.join(), /became shorter/);
    const broken: TaskSource = { sizeBytes: 7, read: () => Promise.reject(new Error('the disk is on fire')) };
    assert.match((await scanner.scanBlob(broken)).incompleteReasons.join(), /the disk is on fire/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('an artifact whose files never end holds up itself alone', async () => {
  await using scanner = openScanner({ script: planted, workers: 2, timeMs: 60_000 });
  const stop = new AbortController();
  let ended = 0;
  const slow = Array.from({ length: 8 }, () =>
    scanner.scanBlob(order('wait'), stop.signal, 'slow').finally(() => (ended += 1)),
  );
  // Both are served by the one worker that the first artifact leaves free, in turns with nobody else.
  for (const lane of ['quick', 'other', 'quick']) {
    assert.equal((await scanner.scanBlob(order('fine'), undefined, lane)).completeness, 'complete');
  }
  assert.equal(ended, 0);
  stop.abort();
  for (const { status } of await Promise.allSettled(slow)) assert.equal(status, 'rejected');
});

test('a worker that becomes free serves who has none, whoever came first', async () => {
  await using scanner = openScanner({ script: planted, workers: 1, timeMs: 60_000 });
  const [first, second] = [new AbortController(), new AbortController()];
  const begun = Promise.allSettled([
    scanner.scanBlob(order('wait'), first.signal, 'first'),
    scanner.scanBlob(order('wait'), second.signal, 'second'),
  ]);
  const waiting: string[] = [];
  const wait = async (lane: string): Promise<void> => {
    await scanner.scanBlob(order('fine'), undefined, lane);
    waiting.push(lane);
  };
  const rest = [wait('first'), wait('first'), wait('third')];
  second.abort();
  await rest[2];
  assert.deepEqual(waiting, ['third']);
  first.abort();
  await Promise.all(rest);
  for (const { status } of await begun) assert.equal(status, 'rejected');
});
