import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBufferBudget } from './buffer-budget.ts';

const bounds = { leastBytes: 4, mostBytes: 64, budgetBytes: 4096, keptBytes: 128 };

test('loans shrink while the budget fills, and over it only the least size is lent', () => {
  const budget = openBufferBudget(bounds);
  const sizes: number[] = [];
  for (let count = 0; count < 2_000; count += 1) sizes.push(budget.take(64).length);
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
  );
  assert.deepEqual([...new Set(sizes)], [64, 32, 16, 8, 4]);
  const least = sizes.filter((size) => size === 4).length;
  // The sizes above the least stay inside the budget; only the least one goes on beyond it.
  assert.ok(budget.lentBytes() - least * 4 <= bounds.budgetBytes);
  assert.ok(budget.lentBytes() > bounds.budgetBytes);
});

test('a loan is no larger than what was wanted, rounded down, and never below the least size', () => {
  const budget = openBufferBudget(bounds);
  assert.deepEqual(
    [0, 1, 4, 7, 8, 33, 1000].map((want) => budget.take(want).length),
    [4, 4, 4, 4, 8, 32, 64],
  );
});

test('what was given back is lent again, and no more is kept than was agreed', () => {
  const budget = openBufferBudget(bounds);
  const loans = Array.from({ length: 3 }, () => budget.take(64));
  for (const loan of loans) budget.give(loan);
  assert.equal(budget.lentBytes(), 0);
  const again = Array.from({ length: 3 }, () => budget.take(64));
  assert.equal(again.filter((loan) => loans.includes(loan)).length, bounds.keptBytes / 64);
});
