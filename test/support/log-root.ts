import { createHash } from 'node:crypto';

/** Base64 RFC 6962 §2.1 tree hash of whole leaves, by the recursion of the text: slow, and nothing of ours in it. */
export function hashLeaves(leaves: readonly Uint8Array[]): string {
  return treeHash(leaves).toString('base64');
}

function treeHash(leaves: readonly Uint8Array[]): Buffer {
  const [leaf] = leaves;
  if (leaf === undefined) return createHash('sha256').digest();
  if (leaves.length === 1) return createHash('sha256').update(Buffer.of(0)).update(leaf).digest();
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const [left, right] = [treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split))];
  return createHash('sha256').update(Buffer.of(1)).update(left).update(right).digest();
}
