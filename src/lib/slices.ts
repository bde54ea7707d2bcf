import { setImmediate as turn } from 'node:timers/promises';

/** Work of one turn of the event loop before others have theirs, milliseconds. */
const sliceMs = 10;

/** `items.map(map)` that never holds the event loop for longer than one slice and one item. */
export async function mapInSlices<T, R>(items: readonly T[], map: (item: T) => R): Promise<R[]> {
  const results: R[] = [];
  let begunMs = performance.now();
  for (const item of items) {
    if (performance.now() - begunMs > sliceMs) {
      await turn();
      begunMs = performance.now();
    }
    results.push(map(item));
  }
  return results;
}
