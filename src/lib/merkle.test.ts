import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  appendLeaves,
  emptyFrontier,
  emptyRoot,
  frontierSizes,
  leafHash,
  nodeHash,
  proveConsistency,
  proveInclusion,
  readFrontier,
  rootOf,
  verifyConsistency,
  verifyInclusion,
  type NodeReader,
} from './merkle.ts';

/** RFC 6962 §2.1 written as the recursion it is: the oracle of this file. */
function mth(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return createHash('sha256').digest();
  const only = leaves[0];
  if (leaves.length === 1 && only !== undefined) {
    return createHash('sha256').update(Uint8Array.of(0)).update(only).digest();
  }
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  const digest = createHash('sha256').update(Uint8Array.of(1));
  return digest
    .update(mth(leaves.slice(0, k)))
    .update(mth(leaves.slice(k)))
    .digest();
}

/** RFC 6962 §2.1.1 as written. */
function path(m: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length <= 1) return [];
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return m < k
    ? [...path(m, leaves.slice(0, k)), mth(leaves.slice(k))]
    : [...path(m - k, leaves.slice(k)), mth(leaves.slice(0, k))];
}

/** RFC 6962 §2.1.2 as written. */
function subproof(m: number, leaves: readonly Uint8Array[], whole: boolean): Uint8Array[] {
  if (m === leaves.length) return whole ? [] : [mth(leaves)];
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return m <= k
    ? [...subproof(m, leaves.slice(0, k), whole), mth(leaves.slice(k))]
    : [...subproof(m - k, leaves.slice(k), false), mth(leaves.slice(0, k))];
}

const leaves = Array.from({ length: 70 }, (_, index) => Buffer.from(`leaf ${index}`));
const hashes = leaves.map(leafHash);
const readNode: NodeReader = (level, index) =>
  mth(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level));
const treeOf = (size: number) => ({ size, root: mth(leaves.slice(0, size)) });

test('the known values of RFC 6962 come out', () => {
  assert.equal(
    Buffer.from(emptyRoot).toString('hex'),
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  );
  assert.equal(
    Buffer.from(leafHash(new Uint8Array(0))).toString('hex'),
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  );
});

test('the frontier grows to the same root in any batches', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 5 }), (batches) => {
      let frontier = emptyFrontier;
      for (const count of batches) {
        const end = Math.min(frontier.size + count, leaves.length);
        frontier = appendLeaves(frontier, hashes.slice(frontier.size, end));
      }
      assert.deepEqual(Buffer.from(rootOf(frontier)), Buffer.from(mth(leaves.slice(0, frontier.size))));
      assert.deepEqual(
        readFrontier(frontier.size, readNode).hashes.map((hash) => Buffer.from(hash)),
        frontier.hashes.map((hash) => Buffer.from(hash)),
      );
    }),
    { numRuns: 40 },
  );
});

test('sizes next to large powers of two split exactly', () => {
  for (const power of [47, 49, 50, 52]) {
    assert.equal(frontierSizes(2 ** power - 1)[0], 2 ** (power - 1));
    assert.deepEqual(frontierSizes(2 ** power), [2 ** power]);
  }
});

test('a frontier that does not fit its size is refused', () => {
  assert.throws(() => rootOf({ size: 3, hashes: [leafHash(Buffer.from('a'))] }), RangeError);
  assert.throws(() => appendLeaves({ size: 1, hashes: [] }, [leafHash(Buffer.from('a'))]), RangeError);
});

test('inclusion proofs are those of the RFC and verify, and nothing else does', () => {
  for (const size of [1, 2, 3, 5, 8, 13, 33, 70]) {
    for (let index = 0; index < size; index += 1) {
      const proof = proveInclusion(index, size, readNode);
      assert.deepEqual(
        proof.map((h) => Buffer.from(h)),
        path(index, leaves.slice(0, size)).map((h) => Buffer.from(h)),
      );
      const claim = { index, ...treeOf(size) };
      const leaf = hashes[index] ?? assert.fail();
      assert.equal(verifyInclusion(claim, leaf, proof), true);
      assert.equal(verifyInclusion({ ...claim, index: index + 1 }, leaf, proof), false);
      assert.equal(verifyInclusion(claim, leafHash(Buffer.from('other')), proof), false);
      assert.equal(verifyInclusion(claim, leaf, [...proof, leaf]), false, 'longer');
      if (proof.length > 0) assert.equal(verifyInclusion(claim, leaf, proof.slice(1)), false, 'shorter');
      if (proof.length > 1)
        assert.equal(verifyInclusion(claim, leaf, proof.toReversed()), false, 'reordered');
      const short = proof.map((hash, at) => (at === 0 ? hash.subarray(1) : hash));
      if (proof.length > 0) assert.equal(verifyInclusion(claim, leaf, short), false, 'truncated hash');
    }
  }
  assert.throws(() => proveInclusion(3, 3, readNode), RangeError);
});

test('consistency proofs are those of the RFC and verify, and nothing else does', () => {
  for (const size of [1, 2, 3, 4, 7, 8, 9, 31, 64, 70]) {
    for (let old = 0; old <= size; old += 1) {
      const proof = proveConsistency(old, size, readNode);
      const expected = old === 0 ? [] : subproof(old, leaves.slice(0, size), true);
      assert.deepEqual(
        proof.map((h) => Buffer.from(h)),
        expected.map((h) => Buffer.from(h)),
      );
      assert.equal(verifyConsistency(treeOf(old), treeOf(size), proof), true, `${old} → ${size}`);
      const forged = { size: old, root: nodeHash(emptyRoot, emptyRoot) };
      assert.equal(verifyConsistency(forged, treeOf(size), proof), false);
      assert.equal(
        verifyConsistency(treeOf(old), { size, root: forged.root }, proof),
        old === 0,
        'only the empty tree is a prefix of anything',
      );
      if (proof.length > 0) assert.equal(verifyConsistency(treeOf(old), treeOf(size), proof.slice(1)), false);
      assert.equal(verifyConsistency(treeOf(old), treeOf(size), [...proof, emptyRoot]), false, 'longer');
    }
  }
  assert.equal(verifyConsistency(treeOf(5), treeOf(4), []), false);
});
