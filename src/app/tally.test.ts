import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import type { PullEvent } from '#gates/pull/ports.ts';
import { Fault } from '#lib/fault.ts';
import { digestNamed } from '../../test/support/policy-case.ts';
import { ed25519Signer } from '../../test/support/signing.ts';
import { openJournal } from './journal.ts';
import { makeMetrics } from './metrics.ts';
import { openTally } from './tally.ts';

const event = (more: Partial<PullEvent> = {}, namespace = 'default'): PullEvent => ({
  outcome: 'served',
  principal: { class: 'anonymous', id: undefined, namespace, environment: 'development' },
  repository: { type: 'models', id: 'org/name' },
  commit: 'a'.repeat(40),
  path: 'x',
  artifact: digestNamed('a'),
  sentBytes: 10,
  reason: undefined,
  ...more,
});

function house(newest?: Digest) {
  const written: { readonly namespace: string; readonly statement: Statement; readonly digest: Digest }[] =
    [];
  const metrics = makeMetrics();
  const state = { away: false, ms: Date.parse('2026-03-01T00:00:00Z') };
  const journal = openJournal(metrics);
  const open = () =>
    openTally(
      {
        clock: { now: () => state.ms },
        metrics,
        trust: { fingerprint: digestNamed('trust root') },
        stores: { keys: { evidence: ed25519Signer() } },
        newestOf: async () => newest,
        writer: {
          write: async (namespace, [statement]) => {
            if (state.away || statement === undefined) throw new Fault('ledger.unavailable', 'away');
            const digest = digestNamed(`envelope ${written.length}`);
            written.push({ namespace, statement, digest });
            const logged: LoggedEvidence = {
              namespace,
              statement,
              logIndex: written.length,
              envelopeDigest: digest,
              envelope: { payloadType: '', payload: '', signatures: [] },
            };
            return [logged];
          },
        },
      },
      journal,
    );
  return { written, state, journal, open, metrics };
}

const linesOf = ({ statement }: { readonly statement: Statement }) =>
  (statement.predicate as { readonly lines: readonly { readonly count: number }[] }).lines;
const previousOf = ({ statement }: { readonly statement: Statement }) => statement.subject[0]?.digest.sha256;

test('the first tally follows the trust root, each later one the one before it', async () => {
  const { written, journal, open } = house();
  for (let minute = 0; minute < 3; minute += 1) {
    journal.note(event());
    journal.note(event());
    // Closing appends what is counted; the next one goes on from the newest entry, as after a restart.
    await open().close();
  }
  assert.deepEqual(
    written.map(linesOf).map(([line]) => line?.count),
    [2, 2, 2],
  );
  assert.equal(previousOf(written[0] ?? assert.fail()), hexOf(digestNamed('trust root')));
});

test('the chain goes on from the newest tally of the log', async () => {
  const { written, journal, open } = house(digestNamed('newest tally'));
  journal.note(event());
  await open().close();
  assert.equal(previousOf(written[0] ?? assert.fail()), hexOf(digestNamed('newest tally')));
});

test('nothing counted is nothing written; namespaces have chains of their own', async () => {
  const { written, journal, open } = house();
  await open().close();
  assert.equal(written.length, 0);
  journal.note(event());
  journal.note(event({}, 'team-a'));
  await open().close();
  assert.deepEqual(written.map(({ namespace }) => namespace).sort(), ['default', 'team-a']);
});

test('what could not be appended is counted on', async () => {
  const { written, state, journal, open, metrics } = house();
  journal.note(event());
  state.away = true;
  await open().close();
  assert.equal(written.length, 0);
  assert.match(await metrics.registry.metrics(), /weighbridge_faults_total\{code="ledger\.unavailable"\} 1/);
  state.away = false;
  journal.note(event());
  await open().close();
  assert.deepEqual(
    written.map(linesOf).map(([line]) => line?.count),
    [2],
  );
});

test('lines are bounded: what comes on top is counted together, and what has a line keeps it', () => {
  const journal = openJournal(makeMetrics());
  for (let index = 0; index < 10_050; index += 1)
    journal.note(event({ artifact: digestNamed(String(index)) }));
  journal.note(event({ artifact: digestNamed('0') }));
  const [batch] = journal.drain();
  assert.ok(batch);
  assert.equal(batch.lines.length, 10_001);
  assert.equal(batch.lines.find(({ artifact }) => artifact === null)?.count, 50);
  assert.equal(batch.lines.find(({ artifact }) => artifact === digestNamed('0'))?.count, 2);
  assert.deepEqual(journal.drain(), []);
});

test('held and failed answers are metrics only, and no line carries a path, a caller or a repository', () => {
  const journal = openJournal(makeMetrics());
  journal.note(event({ outcome: 'held' }));
  journal.note(event({ outcome: 'failed' }));
  assert.deepEqual(journal.drain(), []);
  journal.note(event({ outcome: 'refused', reason: 'house.rule' }));
  assert.deepEqual(journal.drain(), [
    {
      namespace: 'default',
      lines: [{ outcome: 'refused', artifact: digestNamed('a'), reason: 'house.rule', count: 1 }],
    },
  ]);
});
