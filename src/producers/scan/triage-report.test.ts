import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shareOf } from './triage-report.ts';

test('a share is readable and never rounded up to everything', () => {
  assert.equal(shareOf(1838, 1838), '100');
  assert.equal(shareOf(0, 0), '100');
  assert.equal(shareOf(999_999, 1_000_000), '99');
  assert.equal(shareOf(881_578, 91_618_861), '0.96');
  assert.equal(shareOf(1, 10 ** 12), 'under 0.001');
  assert.equal(shareOf(0, 5), '0');
});
