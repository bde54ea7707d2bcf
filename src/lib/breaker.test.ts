import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBreaker } from './breaker.ts';

function house() {
  const clock = { ms: 0, now: () => clock.ms };
  const breaker = openBreaker(clock, { failures: 3, restMs: 100, longestMs: 300 });
  const fail = (...things: readonly (string | undefined)[]): void => {
    for (const about of things) breaker.failed(about);
  };
  return { clock, breaker, fail };
}

test('opens after enough failures in a row, and one trial decides', () => {
  const { clock, breaker, fail } = house();
  fail('a', 'b');
  assert.equal(breaker.state, 'closed');
  fail('a');
  assert.deepEqual([breaker.state, breaker.admit(), breaker.restMs()], ['open', false, 100]);
  clock.ms = 99;
  assert.equal(breaker.admit(), false);
  clock.ms = 100;
  assert.deepEqual([breaker.admit(), breaker.admit(), breaker.state], [true, false, 'trial']);
  breaker.succeeded();
  assert.deepEqual([breaker.state, breaker.admit(), breaker.admit()], ['closed', true, true]);
});

test('a failed trial opens it for twice as long, up to the longest; success begins anew', () => {
  const { clock, breaker, fail } = house();
  fail('a', 'b', 'c');
  for (const restMs of [200, 300, 300]) {
    clock.ms += breaker.restMs();
    assert.equal(breaker.admit(), true);
    fail('a');
    assert.deepEqual([breaker.state, breaker.restMs()], ['open', restMs]);
  }
  clock.ms += 300;
  breaker.admit();
  breaker.succeeded();
  fail('a', 'b', 'c');
  assert.equal(breaker.restMs(), 100);
});

test('failures about one thing alone never open it; of the whole host they do', () => {
  const { breaker, fail } = house();
  fail(...Array.from({ length: 1_000 }, () => 'one broken file'));
  assert.equal(breaker.state, 'closed');
  fail(undefined);
  assert.equal(breaker.state, 'open');
});

test('a success between failures counts them from the start', () => {
  const { breaker, fail } = house();
  fail('a', 'b');
  breaker.succeeded();
  fail('a', 'b');
  assert.equal(breaker.state, 'closed');
});

test('a trial that was given up is free again, and late failures do not prolong the rest', () => {
  const { clock, breaker, fail } = house();
  fail('a', 'b', 'c');
  clock.ms = 50;
  fail('a', 'b', 'c');
  assert.equal(breaker.restMs(), 50);
  clock.ms = 100;
  assert.equal(breaker.admit(), true);
  breaker.withdrew();
  assert.deepEqual([breaker.state, breaker.admit()], ['open', true]);
});
