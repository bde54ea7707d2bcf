import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Listing } from '#gates/pull/ports.ts';
import { noteTransfers } from './perform.ts';
import type { Transfer } from './perform.ts';

const commit = 'c'.repeat(40);
const repository = { type: 'models', id: 'org/name' } as const;
const listed = (path: string, sizeBytes: number): Listing['files'][number] => ({
  path,
  sizeBytes,
  gitOid: '0'.repeat(40),
  lfsDigest: undefined,
});
const listing = { namespace: 'default', repository, commit, files: [listed('a', 100), listed('b', 50)] };

test('the progress of an intake from the hub counts what is on its way and what was', () => {
  const at = (path: string, receivedBytes: number, namespace = 'default'): Transfer => ({
    source: { namespace, repository, commit, file: { path } },
    receivedBytes,
  });
  const seen = new Map<string, number>();
  assert.equal(noteTransfers(seen, listing, []), 0);
  assert.equal(noteTransfers(seen, listing, [at('a', 30), at('b', 50, 'other')]), 30);
  assert.equal(noteTransfers(seen, listing, [at('a', 60), at('b', 10)]), 70);
  assert.equal(noteTransfers(seen, listing, [at('b', 20)]), 120, 'what is gone has arrived');
  assert.equal(noteTransfers(seen, listing, [at('b', 9_999)]), 150, 'never more than the file');
  assert.equal(noteTransfers(seen, listing, []), 150);
});
