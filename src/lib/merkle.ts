import { hash } from 'node:crypto';

/**
 * Merkle trees of RFC 6962 §2.1 over SHA-256: hashing, the compact range that grows a tree without reading it, and
 * inclusion and consistency proofs. Sizes and indexes are safe integers; nothing here does I/O.
 */

const leafPrefix = Uint8Array.of(0);
const nodePrefix = Uint8Array.of(1);

/** MTH of the empty list: SHA-256 of nothing. */
export const emptyRoot: Uint8Array = sha256(new Uint8Array(0));

/** MTH({d}) = SHA-256(0x00 ‖ d). */
export function leafHash(leaf: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([leafPrefix, leaf]));
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([nodePrefix, left, right]));
}

/** Sizes of the perfect subtrees that cover a tree of `size` leaves, left to right: the binary digits of `size`. */
export function frontierSizes(size: number): readonly number[] {
  const sizes: number[] = [];
  let rest = size;
  while (rest > 0) {
    const largest = powerAtMost(rest);
    sizes.push(largest);
    rest -= largest;
  }
  return sizes;
}

/** A compact range [0, size): the roots of the perfect subtrees of `frontierSizes(size)`. */
export interface Frontier {
  readonly size: number;
  readonly hashes: readonly Uint8Array[];
}

export const emptyFrontier: Frontier = { size: 0, hashes: [] };

/** The frontier after appending leaf hashes. */
export function appendLeaves(frontier: Frontier, leafHashes: readonly Uint8Array[]): Frontier {
  const hashes = [...frontier.hashes];
  let size = frontier.size;
  for (const leaf of leafHashes) {
    let merged = leaf;
    for (let level = size; level % 2 === 1; level = (level - 1) / 2) {
      const left = hashes.pop();
      if (left === undefined) throw new RangeError('the frontier has fewer hashes than its size needs');
      merged = nodeHash(left, merged);
    }
    hashes.push(merged);
    size += 1;
  }
  return { size, hashes };
}

/** The Merkle tree hash of a frontier. RangeError where the number of hashes does not fit the size. */
export function rootOf(frontier: Frontier): Uint8Array {
  if (frontier.hashes.length !== frontierSizes(frontier.size).length) {
    throw new RangeError('the frontier has another number of hashes than its size needs');
  }
  return foldRight(frontier.hashes) ?? emptyRoot;
}

/** The hash of the perfect subtree of 2^level leaves that starts at leaf index × 2^level. */
export type NodeReader = (level: number, index: number) => Uint8Array;

/** The frontier of the first `size` leaves, read from stored nodes. */
export function readFrontier(size: number, readNode: NodeReader): Frontier {
  return { size, hashes: perfectNodes(0, size).map(({ level, index }) => readNode(level, index)) };
}

/** PATH(index, D[size]) of RFC 6962 §2.1.1, from the leaf's sibling up. RangeError unless 0 ≤ index < size. */
export function proveInclusion(index: number, size: number, readNode: NodeReader): readonly Uint8Array[] {
  if (!isSize(size) || !isSize(index) || index >= size) throw new RangeError('the index is not in the tree');
  const proof: Uint8Array[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitPoint(end - start);
    if (index < middle) {
      proof.push(rangeRoot(middle, end, readNode));
      end = middle;
    } else {
      proof.push(rangeRoot(start, middle, readNode));
      start = middle;
    }
  }
  return proof.reverse();
}

/** Is `leaf` (a leaf hash) at `index` of the tree of `size` leaves with this root? RFC 9162 §2.1.3.2. */
export function verifyInclusion(
  claim: { readonly index: number; readonly size: number; readonly root: Uint8Array },
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  const { index, size, root } = claim;
  if (!isSize(size) || !isSize(index) || index >= size || !areHashes([leaf, root, ...proof])) return false;
  let node = index;
  let last = size - 1;
  let current = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      current = nodeHash(sibling, current);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      current = nodeHash(current, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equal(current, root);
}

/** PROOF(old, D[size]) of RFC 6962 §2.1.2; empty when old is 0 or size. RangeError unless 0 ≤ old ≤ size. */
export function proveConsistency(old: number, size: number, readNode: NodeReader): readonly Uint8Array[] {
  if (!isSize(size) || !isSize(old) || old > size)
    throw new RangeError('the old tree is larger than the new');
  if (old === 0 || old === size) return [];
  const proof: Uint8Array[] = [];
  let start = 0;
  let end = size;
  while (old !== end) {
    const middle = start + splitPoint(end - start);
    if (old <= middle) {
      proof.push(rangeRoot(middle, end, readNode));
      end = middle;
    } else {
      proof.push(rangeRoot(start, middle, readNode));
      start = middle;
    }
  }
  // The subtree that ends where the old tree ended; a verifier knows it already when it is the whole old tree.
  if (start > 0) proof.push(rangeRoot(start, end, readNode));
  return proof.reverse();
}

/** A tree as a checkpoint names it. */
export interface Tree {
  readonly size: number;
  readonly root: Uint8Array;
}

/** Is `old` a prefix of `current`? RFC 9162 §2.1.4.2. Every tree extends the empty one. */
export function verifyConsistency(old: Tree, current: Tree, proof: readonly Uint8Array[]): boolean {
  if (!isSize(old.size) || !isSize(current.size) || old.size > current.size) return false;
  if (!areHashes([old.root, current.root, ...proof])) return false;
  if (old.size === current.size) return proof.length === 0 && equal(old.root, current.root);
  if (old.size === 0) return proof.length === 0 && equal(old.root, emptyRoot);
  let node = old.size - 1;
  let last = current.size - 1;
  while (node % 2 === 1) {
    node = (node - 1) / 2;
    last = Math.floor(last / 2);
  }
  const path = node === 0 ? [old.root, ...proof] : [...proof];
  const seed = path.shift();
  if (seed === undefined) return false;
  let oldRoot = seed;
  let newRoot = seed;
  for (const sibling of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldRoot = nodeHash(sibling, oldRoot);
      newRoot = nodeHash(sibling, newRoot);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      newRoot = nodeHash(newRoot, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equal(oldRoot, old.root) && equal(newRoot, current.root);
}

/** The largest power of two smaller than `size` (k of RFC 6962 §2.1); `size` > 1. */
function splitPoint(size: number): number {
  const largest = powerAtMost(size);
  return largest === size ? largest / 2 : largest;
}

/** The largest power of two that is not above `size`; `log2` rounds up just below large powers. */
function powerAtMost(size: number): number {
  const power = 2 ** Math.floor(Math.log2(size));
  return power > size ? power / 2 : power;
}

/** MTH of leaves [start, end), where `start` is a multiple of a power of two that is at least end - start. */
function rangeRoot(start: number, end: number, readNode: NodeReader): Uint8Array {
  const hashes = perfectNodes(start, end).map(({ level, index }) => readNode(level, index));
  const root = foldRight(hashes);
  if (root === undefined) throw new RangeError('an empty range has no root');
  return root;
}

function perfectNodes(start: number, end: number): readonly { level: number; index: number }[] {
  let first = start;
  return frontierSizes(end - start).map((size) => {
    const node = { level: Math.log2(size), index: first / size };
    first += size;
    return node;
  });
}

function foldRight(hashes: readonly Uint8Array[]): Uint8Array | undefined {
  let root: Uint8Array | undefined;
  for (const hash of hashes.toReversed()) root = root === undefined ? hash : nodeHash(hash, root);
  return root;
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

function areHashes(hashes: readonly Uint8Array[]): boolean {
  return hashes.every((hash) => hash.length === 32);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
