import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestNamed } from '../../../test/support/policy-case.ts';
import { hexOf } from '#artifact/digest.ts';
import type { EvidenceQuery, Ledger } from '#evidence/ledger.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { openIncidents, readIncident, sourceDigest } from './incidents.ts';
import type { IncidentSource } from './incidents.ts';

const commit = 'c'.repeat(40);
const uri = `hf://models/org/name@${commit}`;
const source: IncidentSource = {
  namespace: 'default',
  repository: { type: 'models', id: 'org/name' },
  commit,
  path: 'model.bin',
  declared: digestNamed('declared'),
};
const lied = new Fault('upstream.lied', 'has other bytes than it declares', {
  details: { kind: 'wrong-digest' },
});

function house() {
  const clock = { ms: Date.parse('2026-03-01T00:00:00Z'), now: () => clock.ms };
  const written: Statement[] = [];
  const counted: string[] = [];
  const failures: unknown[] = [];
  const ledger = { away: false };
  const find = ({ subjects }: EvidenceQuery): Promise<readonly LoggedEvidence[]> =>
    Promise.resolve(
      written
        .filter(({ subject }) =>
          subject.some(({ digest }) => subjects.some((one) => hexOf(one) === digest.sha256)),
        )
        .map((statement, logIndex) => ({
          statement,
          logIndex,
          namespace: 'default',
          envelopeDigest: digestNamed('e'),
          envelope: { payload: '', payloadType: '', signatures: [] },
        })),
    );
  const unused = (): Promise<never> => Promise.reject(new Error('not asked'));
  const reader: Ledger = { find, append: unused, head: unused };
  const open = () =>
    openIncidents({
      ledger: reader,
      clock,
      upstream: 'hub.example',
      write: async (_namespace, statements) => {
        if (ledger.away) throw new Fault('ledger.unavailable', 'away');
        written.push(...statements);
      },
      counted: (kind) => counted.push(kind),
      failed: (error) => failures.push(error),
    });
  return { clock, written, counted, failures, ledger, open };
}

test('the statement is about the source and the declared digest, and names no caller', async () => {
  const { written, open } = house();
  const incidents = open();
  incidents.note(source, lied);
  await incidents.close();
  assert.deepEqual(
    written[0]?.subject.map(({ name, digest }) => [name, digest.sha256]),
    [
      [uri, hexOf(sourceDigest(uri))],
      [undefined, hexOf(digestNamed('declared'))],
    ],
  );
  assert.equal(written[0]?.predicateType, predicateTypes.upstreamIncident);
  const { producer, ...rest } = readIncident(written[0] ?? assert.fail()) ?? assert.fail();
  assert.equal(producer.name, 'weighbridge-intake');
  assert.deepEqual(rest, {
    at: '2026-03-01T00:00:00Z',
    source: { uri, upstream: 'hub.example' },
    kind: 'wrong-digest',
    message: 'has other bytes than it declares',
    path: 'model.bin',
  });
});

test('the same once an hour, also over a restart; another kind, path or source is another incident', async () => {
  const { clock, written, counted, open } = house();
  const [first, second] = [open(), open()];
  for (const incidents of [first, first, second]) {
    incidents.note(source, lied);
    await incidents.close();
  }
  assert.deepEqual([written.length, counted.length], [1, 3]);
  first.note({ ...source, path: 'other.bin' }, lied);
  first.note({ ...source, commit: 'd'.repeat(40) }, lied);
  first.note(source, new Fault('upstream.lied', 'is short', { details: { kind: 'short' } }));
  await first.close();
  assert.equal(written.length, 4);
  clock.ms += 3_600_000;
  first.note(source, lied);
  await first.close();
  assert.equal(written.length, 5);
});

test('being away is recorded once for the whole upstream', async () => {
  const { written, open } = house();
  const incidents = open();
  for (let turn = 0; turn < 50; turn += 1) {
    const repository = { type: 'models', id: `org/n${turn}` } as const;
    const away = new Fault('upstream.unavailable', 'upstream answered 503', {
      details: { kind: 'server-error' },
    });
    incidents.note({ ...source, repository, commit: undefined, path: undefined, declared: undefined }, away);
  }
  await incidents.close();
  assert.deepEqual(
    written.map((statement) => readIncident(statement)?.source.uri),
    ['hf://models/org/n0'],
  );
});

test('a liar cannot grow the ledger without end', async () => {
  const { clock, written, counted, open } = house();
  const incidents = open();
  for (let turn = 0; turn < limits.incidentsPerHour * 3; turn += 1) {
    incidents.note({ ...source, path: `file-${turn}` }, lied);
  }
  await incidents.close();
  assert.deepEqual([written.length, counted.length], [limits.incidentsPerHour, limits.incidentsPerHour * 3]);
  clock.ms += 3_600_000;
  incidents.note({ ...source, path: 'later' }, lied);
  await incidents.close();
  assert.equal(written.length, limits.incidentsPerHour + 1);
});

test('what is ours, or was refused here, is no incident', async () => {
  const { written, counted, open } = house();
  const incidents = open();
  for (const fault of [
    new Fault('disk.full', 'the disk is full'),
    new Fault('limit.exceeded', 'too much'),
    new Fault('upstream.unavailable', 'not now', { details: { kind: 'unreachable', refusedHere: true } }),
    new Fault('upstream.unavailable', 'not now', { details: { kind: 'of tomorrow' } }),
  ]) {
    incidents.note(source, fault);
  }
  await incidents.close();
  assert.deepEqual([written, counted], [[], []]);
  incidents.note(source, new Fault('upstream.lied', 'in a way without a name'));
  assert.deepEqual(counted, ['malformed-answer']);
});

test('what could not be written is reported, and may be written the next time', async () => {
  const { written, failures, ledger, open } = house();
  const incidents = open();
  ledger.away = true;
  incidents.note(source, lied);
  await incidents.close();
  assert.equal(failures.length, 1);
  ledger.away = false;
  incidents.note(source, lied);
  await incidents.close();
  assert.equal(written.length, 1);
});

test('words and paths of upstream are cut and made safe to show', async () => {
  const { written, open } = house();
  const incidents = open();
  incidents.note(
    source,
    new Fault('upstream.lied', `\u001b[2J\n${'x'.repeat(9_000)}`, { details: { kind: 'long' } }),
  );
  await incidents.close();
  const message = readIncident(written[0] ?? assert.fail())?.message ?? '';
  assert.ok(message.length < 600 && message.startsWith('\\u{1b}[2J\\u{a}x'), message.slice(0, 40));
});
