import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hexOf } from '#artifact/digest.ts';
import type { ScanPredicate } from '#evidence/predicates.ts';
import type { Statement } from '#evidence/statement.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { limits } from '#lib/limits.ts';
import { producerInput, type PlantedRepository } from '../../../test/support/producer-input.ts';
import { safetensors, tensor } from '../../../test/support/model-bytes.ts';
import { scanIdentity } from './rule-set.ts';
import { createScanProducer } from './scan-producer.ts';
import { notFinished, openScanner } from './scanner.ts';

type ScanStatement = Statement<ScanPredicate>;

async function produce(
  planted: PlantedRepository,
  known: ReadonlyMap<string, Statement> = new Map(),
): Promise<readonly ScanStatement[]> {
  await using scanner = openScanner({ workers: 2 });
  const input = producerInput(planted);
  const statements = await createScanProducer(scanner).produce({
    ...input,
    known: (digests) =>
      Promise.resolve(
        new Map(
          digests.flatMap((digest) => {
            const statement = known.get(digest);
            return statement === undefined ? [] : [[digest, statement] as const];
          }),
        ),
      ),
  });
  return statements as readonly ScanStatement[];
}

const planted: PlantedRepository = {
  files: {
    'config.json': '{"auto_map":{"AutoModel":"modeling.M"}}',
    'modeling.py': 'import os',
    'model.safetensors': safetensors({ a: tensor(0, 4) }, 4),
    'copy.safetensors': safetensors({ a: tensor(0, 4) }, 4),
    'absent.bin': 'not here',
  },
  absent: ['absent.bin'],
};

test('blobs are judged without their names, the artifact with them, absent files not at all', async () => {
  const [blobs, artifact, ...rest] = await produce(planted);
  assert.deepEqual(rest, []);
  assert.equal(blobs?.predicate.scope, 'blob');
  assert.equal(blobs.predicate.results.length, 3);
  assert.ok(
    blobs.predicate.results.every(
      ({ verdict, completeness }) => verdict === 'clean' && completeness === 'complete',
    ),
  );
  assert.doesNotMatch(JSON.stringify(blobs), /config\.json|modeling/);
  assert.deepEqual(
    blobs.subject.map(({ digest }) => digest.sha256),
    blobs.predicate.results.map(({ sha256 }) => sha256),
  );
  assert.equal(artifact?.predicate.scope, 'artifact');
  assert.equal(artifact.subject[0]?.digest.sha256, hexOf(producerInput(planted).artifact));
  const [result] = artifact.predicate.results;
  assert.deepEqual(
    result?.findings.map(({ ruleId, location }) => [ruleId, location.path]),
    [
      ['CFG-AUTO-MAP', 'config.json'],
      ['CODE-REFERENCED', 'modeling.py'],
    ],
  );
  assert.equal(result.verdict, 'suspicious');
});

test('the same input gives the same bytes', async () => {
  assert.deepEqual(encodeJcs(await produce(planted)), encodeJcs(await produce(planted)));
});

test('what this rule set has scanned is not scanned again, and its formats still count', async () => {
  const mismatch: PlantedRepository = { files: { 'model.safetensors': '{}' } };
  const [blob, first] = await produce(mismatch);
  assert.ok(blob !== undefined);
  const digest = producerInput(mismatch).files[0]?.digest ?? '';
  const again = await produce(mismatch, new Map([[digest, blob]]));
  assert.equal(again.length, 1);
  assert.deepEqual(again[0], first);
  assert.equal(first?.predicate.results[0]?.findings[0]?.ruleId, 'PATH-FORMAT-MISMATCH');
});

test('a scan that the machine ended does not stand: the blob is scanned again', async () => {
  const one: PlantedRepository = { files: { 'a.txt': 'text' } };
  const [blob] = await produce(one);
  assert.ok(blob !== undefined);
  const digest = producerInput(one).files[0]?.digest ?? '';
  const because = (reason: string): Statement => ({
    ...blob,
    predicate: {
      ...blob.predicate,
      results: blob.predicate.results.map((result) => ({ ...result, incompleteReasons: [reason] })),
    },
  });
  const again = await produce(one, new Map([[digest, because(`${notFinished} the scan took too long`)]]));
  assert.deepEqual(again[0], blob);
  assert.equal((await produce(one, new Map([[digest, because('a limit of the bytes')]]))).length, 1);
});

test('many small files are few statements', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 1500 }, (_, index) => [`f${index}.txt`, `text ${index}`]),
  );
  const statements = await produce({ files });
  assert.deepEqual(
    statements.map(({ subject }) => subject.length),
    [limits.statementSubjects, 500, 1],
  );
});

test('the identity names the rules', () => {
  assert.match(scanIdentity.ruleSetDigest, /^sha256:[0-9a-f]{64}$/);
});
