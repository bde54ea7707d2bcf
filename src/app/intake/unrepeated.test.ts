import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ledger } from '#evidence/ledger.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { ProducerIdentity } from '#evidence/predicates.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import { makeStatement } from '#evidence/statement.ts';
import { hexOf } from '#artifact/digest.ts';
import { formatInstant } from '#lib/clock.ts';
import { digestNamed } from '../../../test/support/policy-case.ts';
import { knownStatements, renewedAfterMs } from './known.ts';
import { unrepeated } from './unrepeated.ts';

const nowMs = Date.parse('2026-03-01T00:00:00Z');
const clock = { now: () => nowMs };
const identity: ProducerIdentity = { name: 'scan', version: '1', ruleSetDigest: digestNamed('rules') };

function statement(
  of: string,
  more: { atMs?: number; verdict?: string; producer?: ProducerIdentity } = {},
): Statement {
  return makeStatement({
    namespace: 'default',
    subject: [{ digest: { sha256: hexOf(digestNamed(of)) } }],
    predicateType: predicateTypes.scan,
    predicate: {
      producer: more.producer ?? identity,
      scannedAt: formatInstant(more.atMs ?? nowMs),
      verdict: more.verdict ?? 'clean',
    },
  });
}

function ledgerOf(...statements: readonly Statement[]): Ledger {
  const entries = statements.map((one, logIndex): LoggedEvidence => ({
    statement: one,
    logIndex,
    namespace: 'default',
    envelopeDigest: digestNamed(String(logIndex)),
    envelope: { payloadType: '', payload: '', signatures: [] },
  }));
  const never = (): Promise<never> => Promise.reject(new Error('not asked'));
  return { append: never, head: never, find: async () => entries };
}

const fresh = async (ledger: Ledger, ...statements: readonly Statement[]): Promise<number> =>
  (await unrepeated(ledger, clock, { namespace: 'default', statements })).length;

test('what the ledger says already is left out, whatever the instant', async () => {
  const ledger = ledgerOf(statement('a', { atMs: nowMs - 1000 }));
  assert.equal(await fresh(ledger, statement('a')), 0);
  assert.equal(await fresh(ledger, statement('b')), 1);
  assert.equal(await fresh(ledger, statement('a', { verdict: 'malicious' })), 1);
});

test('the newest counts: what was said, contradicted and is said again is written again', async () => {
  const ledger = ledgerOf(statement('a'), statement('a', { verdict: 'malicious' }));
  assert.equal(await fresh(ledger, statement('a')), 1);
  assert.equal(await fresh(ledger, statement('a', { verdict: 'malicious' })), 0);
});

test('evidence that has grown old is made again', async () => {
  const old = statement('a', { atMs: nowMs - renewedAfterMs - 1000 });
  assert.equal(await fresh(ledgerOf(old), statement('a')), 1);
  const known = knownStatements(ledgerOf(old), clock, 'default');
  assert.equal((await known([digestNamed('a')], identity)).size, 0);
});

test('known is what the same producer with the same rules said', async () => {
  const known = knownStatements(ledgerOf(statement('a')), clock, 'default');
  assert.deepEqual([...(await known([digestNamed('a')], identity)).keys()], [digestNamed('a')]);
  for (const other of [{ version: '2' }, { name: 'other' }, { ruleSetDigest: digestNamed('other rules') }])
    assert.equal((await known([digestNamed('a')], { ...identity, ...other })).size, 0);
});

test('a statement about several subjects is never left out', async () => {
  const one = statement('a');
  const many = { ...one, subject: [...one.subject, ...statement('b').subject] };
  assert.equal(await fresh(ledgerOf(many), many), 1);
});
