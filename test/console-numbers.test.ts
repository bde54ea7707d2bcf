import assert from 'node:assert/strict';
import test from 'node:test';
import { nextWatch, nothingSeen, transferKey } from '../console/src/arrivals.ts';
import { formatDuration, formatLeft, formatSize } from '../console/src/format.ts';
import { nextPaces, secondsLeft, secondsStill, type Paces } from '../console/src/pace.ts';
import { formatShare } from '../console/src/queue-words.ts';

const one = (receivedBytes: number) => [{ key: 'a', receivedBytes }];

test('a pace needs two answers, is smoothed, forgets a transfer that began again, and sees when nothing comes', () => {
  let paces: Paces = nextPaces(new Map(), one(1000), 0);
  assert.equal(paces.get('a')?.bytesPerSecond, undefined);
  assert.equal(secondsLeft(paces.get('a'), 5000), undefined);
  paces = nextPaces(paces, one(3000), 2000);
  assert.equal(paces.get('a')?.bytesPerSecond, 1000);
  assert.equal(secondsLeft(paces.get('a'), 5000), 2);
  paces = nextPaces(paces, one(13_000), 3000);
  const smoothed = paces.get('a')?.bytesPerSecond ?? 0;
  assert.ok(smoothed > 1000 && smoothed < 10_000, String(smoothed));
  paces = nextPaces(paces, one(13_000), 9000);
  assert.equal(secondsStill(paces.get('a')), 6);
  paces = nextPaces(paces, one(10), 10_000);
  assert.equal(paces.get('a')?.bytesPerSecond, undefined);
  assert.equal(secondsStill(paces.get('a')), undefined);
  assert.equal(nextPaces(paces, [], 11_000).size, 0);
});

test('a row that leaves stays in its place for ten seconds; one that comes again is on its way again', () => {
  const arriving = (id: string, second: string) => ({
    repository: { type: 'models' as const, id },
    commit: 'c'.repeat(40),
    artifact: null,
    phase: 'fetching' as const,
    since: `2026-11-21T09:00:${second}Z`,
    why: '',
    paths: [],
    pathCount: 0,
    transfers: [],
  });
  const queue = (...rows: ReturnType<typeof arriving>[]) => ({
    at: '2026-11-21T09:12:44Z',
    arriving: rows,
    arrivingCount: rows.length,
    held: [],
  });
  const [a, b, c] = [arriving('a', '01'), arriving('b', '02'), arriving('c', '03')];
  const names = (watch: typeof nothingSeen) =>
    watch.rows.map(({ arriving: { repository }, goneAtMs }) => `${repository.id}${goneAtMs ?? ''}`);
  let watch = nextWatch(nothingSeen, queue(a, b), 0);
  watch = nextWatch(watch, queue(a, c), 1000);
  assert.deepEqual(names(watch), ['a', 'b1000', 'c']);
  watch = nextWatch(watch, queue(a, c), 10_900);
  assert.deepEqual(names(watch), ['a', 'b1000', 'c']);
  assert.deepEqual(names(nextWatch(watch, queue(a, c), 11_000)), ['a', 'c']);
  assert.deepEqual(names(nextWatch(watch, queue(a, b, c), 11_000)), ['a', 'b', 'c']);
  assert.notEqual(transferKey('a', { path: 'x' }), transferKey('a', { path: 'y' }));
});

test('numbers are said as they are', () => {
  assert.deepEqual(
    [0, 999, 1000, 50_000_000, 310_000_000, 1_310_000_000, 999_999, 4_900_000_000].map(formatSize),
    ['0 B', '999 B', '1 kB', '50 MB', '310 MB', '1.31 GB', '1000 kB', '4.9 GB'],
  );
  assert.deepEqual([0.4, 59.6, 60, 200, 3600, 7500, 200_000].map(formatDuration), [
    '0 s',
    '1 min',
    '1 min',
    '3 min 20 s',
    '1 h',
    '2 h 5 min',
    '2 days',
  ]);
  assert.deepEqual([1, 41, 58, 700, 9000, 1e9].map(formatLeft), [
    'a few seconds',
    'about 40 s',
    'about 1 min',
    'about 12 min',
    'about 3 h',
    'days',
  ]);
  assert.deepEqual(
    [
      [0, 9],
      [1, 1e9],
      [4, 10_000],
      [999_999, 1_000_000],
      [9, 9],
      [0, 0],
    ].map(([part = 0, whole = 0]) => formatShare(part, whole)),
    ['0 %', 'less than 0.01 %', '0.04 %', '99 %', '100 %', '100 %'],
  );
});
