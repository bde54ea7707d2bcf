import assert from 'node:assert/strict';
import test from 'node:test';
import { array, assert as assertAll, nat, property, tuple } from 'fast-check';
import { Spans } from './spans.ts';

test('spans agree with a set of positions', () => {
  const size = 60;
  const span = tuple(nat(size), nat(size)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
  assertAll(
    property(array(span, { maxLength: 12 }), nat(size), (list, from) => {
      const spans = new Spans(list);
      const model = new Set(
        list.flatMap(({ start, end }) => [...Array(end - start).keys()].map((n) => n + start)),
      );
      assert.equal(spans.sizeBytes, model.size);
      let reach = from;
      while (model.has(reach)) reach += 1;
      assert.equal(spans.reach(from), reach);
      let end = reach;
      while (end < size && !model.has(end)) end += 1;
      assert.deepEqual(spans.gap(from, size), reach >= size ? undefined : { start: reach, end });
      for (const [index, { start }] of spans.list.entries())
        assert.ok(index === 0 || (spans.list[index - 1]?.end ?? start) < start, 'ascending and apart');
    }),
  );
});
