import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mapInSlices } from './slices.ts';

function busy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('the results are those of map, and a throw is a rejection', async () => {
  assert.deepEqual(await mapInSlices([3, 1, 2], (item) => item * 2), [6, 2, 4]);
  assert.deepEqual(await mapInSlices([], String), []);
  await assert.rejects(
    mapInSlices([1], () => {
      throw new Error('planted');
    }),
    /planted/,
  );
});

test('others have their turn between two slices', async () => {
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  await mapInSlices([1, 2, 3, 4], () => busy(12));
  clearInterval(timer);
  assert.ok(turns >= 2, `${turns}`);
});
