import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hexOf } from '#artifact/digest.ts';
import { limits } from '#lib/limits.ts';
import { producerInput } from '../../../test/support/producer-input.ts';
import { createObserveProducer } from './observe-producer.ts';

test('one statement about the artifact says what arrived, from where and when', async () => {
  const input = producerInput({ files: { 'b.txt': 'b', 'a.bin': 'a' }, absent: ['a.bin'] });
  const [statement, ...rest] = await createObserveProducer().produce(input);
  assert.deepEqual(rest, []);
  assert.deepEqual(statement?.subject, [{ digest: { sha256: hexOf(input.artifact) } }]);
  const { predicate } = statement;
  assert.ok(
    typeof predicate === 'object' && predicate !== null && 'files' in predicate && 'source' in predicate,
  );
  assert.deepEqual(
    predicate.files,
    input.files.map(({ digest, ...file }) => ({ ...file, sha256: hexOf(digest) })).toReversed(),
  );
  assert.deepEqual(predicate.source, input.source);
  assert.ok('observedAt' in predicate && predicate.observedAt === '2026-11-21T09:00:00Z');
  assert.ok('provisional' in predicate && !predicate.provisional);
});

test('above the bound of small files a snapshot is provisional until all are here', async () => {
  const files = Object.fromEntries(
    Array.from({ length: limits.snapshotSmallFiles + 1 }, (_, index) => [`${index}`, `${index}`]),
  );
  for (const absent of [[], ['7']]) {
    const [statement] = await createObserveProducer().produce(producerInput({ files, absent }));
    const predicate = statement?.predicate;
    assert.ok(typeof predicate === 'object' && predicate !== null && 'provisional' in predicate);
    assert.equal(predicate.provisional, absent.length > 0);
  }
});
