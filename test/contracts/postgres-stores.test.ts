import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, openDatabase } from '#adapters/postgres/database.ts';
import { openDecisionStore } from '#adapters/postgres/decisions.ts';
import { openJobs } from '#adapters/postgres/jobs.ts';
import { openLedgerReader } from '#adapters/postgres/ledger-reader.ts';
import { headChannel, jobChannel, listen } from '#adapters/postgres/notifications.ts';
import { openPeople } from '#adapters/postgres/people.ts';
import { openSequenceStore } from '#adapters/postgres/sequence-store.ts';
import { openSettings } from '#adapters/postgres/settings.ts';
import { openTokens } from '#adapters/postgres/tokens.ts';
import { type Digest, digestOf } from '#artifact/digest.ts';
import { openSequencer } from '#evidence/log/sequence.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import type { Decision, Question } from '#policy/decision.ts';
import { asSuperuser, startTestPostgres, type TestDatabase, type TestPostgres } from '../support/postgres.ts';
import { ed25519Signer, pendingEntry } from '../support/signing.ts';

const digest = (text: string): Digest => digestOf(Buffer.from(text));
const isFault = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;

let server: TestPostgres;
let made: TestDatabase;
let database: Database;
before(async () => {
  server = await startTestPostgres();
  made = await server.makeDatabase();
  database = made.database;
});
after(async () => {
  await made.close();
  await server.close();
});

async function eventually(condition: () => boolean, withinMs = 2_000): Promise<number> {
  const start = performance.now();
  while (!condition()) {
    assert.ok(performance.now() - start < withinMs, `not within ${withinMs} ms`);
    await sleep(2);
  }
  return performance.now() - start;
}

test('the ledger finds by subject, type and index, in log order, own and shared', async () => {
  const own = await server.makeDatabase();
  const signer = ed25519Signer();
  const clock = { now: () => 1_800_000_000_000 };
  const store = openSequenceStore(own.database);
  const sequencer = await openSequencer({ store, signer, origin: 'find.example/log', clock });
  const types = ['https://example.com/a', 'https://example.com/b'];
  for (const [label, namespace, type] of [
    ['one', 'team-a', 0],
    ['one', 'team-b', 0],
    ['two', 'team-a', 1],
    ['one', 'system', 1],
    ['one', 'team-a', 1],
    ['three', 'team-a', 0],
  ] as const) {
    await sequencer.append([await pendingEntry(signer, label, namespace, types[type])]);
  }
  const ledger = openLedgerReader(own.database);
  const find = async (
    subjects: readonly string[],
    rest: { predicateTypes?: readonly string[]; beforeIndex?: number } = {},
  ) =>
    (await ledger.find({ namespace: 'team-a', subjects: subjects.map(digest), ...rest })).map(
      ({ logIndex }) => logIndex,
    );
  assert.deepEqual(await find(['one']), [0, 3, 4]);
  assert.deepEqual(await find(['three', 'one', 'none', 'two']), [0, 2, 3, 4, 5]);
  assert.deepEqual(await find(['one', 'two'], { predicateTypes: [types[1] ?? ''] }), [2, 3, 4]);
  assert.deepEqual(await find(['one', 'two'], { beforeIndex: 3 }), [0, 2]);
  assert.deepEqual(await find([]), []);
  assert.deepEqual(await find(['one'], { predicateTypes: [] }), []);
  const [first] = await ledger.find({ namespace: 'team-b', subjects: [digest('one')] });
  assert.equal(first?.logIndex, 1);
  assert.deepEqual(first.statement.predicate, { label: 'one' });
  await assert.rejects(
    ledger.find({ namespace: '*', subjects: [digest('one')] }),
    isFault('request.invalid'),
  );
  await own.close();
});

test('jobs that follow from entries are in the ledger’s transaction', async () => {
  const own = await server.makeDatabase();
  const jobs = openJobs(own.database);
  const signer = ed25519Signer();
  const store = openSequenceStore(own.database, {
    jobsFor: (entries) =>
      entries.map(({ namespace, logIndex }) => ({
        namespace,
        queue: 'decide',
        key: `${logIndex}`,
        payload: { logIndex },
      })),
  });
  const clock = { now: () => 1_800_000_000_000 };
  const sequencer = await openSequencer({ store, signer, origin: 'jobs.example/log', clock });
  await sequencer.append([
    await pendingEntry(signer, 'one', 'team-a'),
    await pendingEntry(signer, 'two', 'team-b'),
  ]);
  await assert.rejects(
    store.withHead(async (_, transaction) => {
      const entries = await store.readEntries(0, 1);
      await transaction.insert(
        entries.map((entry) => ({ ...entry, logIndex: 7, envelopeDigest: digest('x') })),
      );
      throw new Error('planted');
    }),
    /planted/,
  );
  const claimed = await jobs.claim({ queues: ['decide'], count: 9, leaseMs: 1_000 });
  assert.deepEqual(
    new Map(claimed.map(({ namespace, payload }) => [namespace, payload])),
    new Map([
      ['team-a', { logIndex: 0 }],
      ['team-b', { logIndex: 1 }],
    ]),
  );
  await own.close();
});

const question = (change: Partial<Question> = {}): Question => ({
  principal: 'client',
  action: 'pull',
  artifact: digest('artifact'),
  files: null,
  namespace: 'team-a',
  environment: 'production',
  ...change,
});

const decision = (change: Partial<Decision> = {}): Decision => ({
  version: 1,
  question: question(),
  verdict: 'deny',
  reasons: [
    {
      rule: 'r',
      effect: 'deny',
      message: 'é\u2028"',
      evidence: [digest('e')],
      missing: null,
      who: 'w',
      remedy: 'm',
    },
  ],
  evidenceUsed: [digest('e')],
  policyDigest: digest('p'),
  trustDigest: digest('t'),
  checkpoint: { size: 7, rootHash: 'x' },
  at: '2026-11-21T09:00:00Z',
  validUntil: '2026-11-22T09:00:00Z',
  ...change,
});

test('decisions: newest per question, nothing overwritten, own namespace', async () => {
  const store = openDecisionStore(database);
  const keep = (logIndex: number, change: Partial<Decision> = {}) =>
    store.save({ decision: decision(change), logIndex, envelopeDigest: digest(`${logIndex}`) });
  await keep(5);
  await keep(9, { verdict: 'allow', validUntil: null });
  await keep(9, { verdict: 'warn' });
  await keep(6, { question: question({ files: ['a', 'b'] }) });
  await keep(7, { question: question({ artifact: digest('other') }) });
  await keep(8, { question: question({ namespace: 'team-b' }) });
  const newest = await store.find(question());
  assert.equal(newest?.logIndex, 9);
  assert.equal(
    encodeJcsText(newest.decision),
    encodeJcsText(decision({ verdict: 'allow', validUntil: null })),
  );
  assert.equal(newest.envelopeDigest, digest('9'));
  assert.equal(await store.find(question({ environment: 'staging' })), undefined);
  assert.equal((await store.find(question({ namespace: 'team-b' })))?.logIndex, 8);
  const indexes = (kept: readonly { logIndex: number }[]) => kept.map(({ logIndex }) => logIndex);
  assert.deepEqual(indexes(await store.list('team-a', digest('artifact'))), [6, 9]);
  assert.deepEqual(indexes(await store.recent('team-a', { limit: 3 })), [9, 7, 6]);
  assert.deepEqual(indexes(await store.recent('team-a', { limit: 3, before: 6 })), [5]);
});

test('tokens: found in any namespace while live, revoked only in their own', async () => {
  const tokens = openTokens(database);
  const token = {
    namespace: 'team-a',
    digest: digest('secret'),
    name: 'ci',
    role: 'client',
    environment: 'production',
    expiresAtMs: null,
  } as const;
  await tokens.save(token);
  await tokens.save(token);
  await tokens.save({ ...token, digest: digest('old'), expiresAtMs: Date.now() - 1 });
  const found = await tokens.find(digest('secret'));
  assert.deepEqual({ ...found, createdAtMs: 0 }, { ...token, createdAtMs: 0, revokedAtMs: null });
  assert.equal(await tokens.find(digest('old')), undefined);
  assert.equal(await tokens.find(digest('guess')), undefined);
  assert.equal(await tokens.revoke('team-b', token.digest), false);
  assert.equal(await tokens.revoke('team-a', token.digest), true);
  assert.equal(await tokens.revoke('team-a', token.digest), false);
  assert.equal(await tokens.find(token.digest), undefined);
  assert.equal((await tokens.list('team-a')).length, 2);
  assert.deepEqual(await tokens.list('team-b'), []);
});

test('people: one pseudonym per claim and namespace, and erasing is for ever', async () => {
  const people = openPeople(database);
  const first = await people.identify('team-a', 'https://idp#7', 'Ada');
  const again = await people.identify('team-a', 'https://idp#7', 'Ada L.');
  const elsewhere = await people.identify('team-b', 'https://idp#7', 'Ada');
  assert.equal(first.person, again.person);
  assert.notEqual(first.person, elsewhere.person);
  assert.doesNotMatch(first.person, /idp|7#|Ada/);
  assert.deepEqual(
    await people.find('team-a', [first.person, elsewhere.person]),
    new Map([[first.person, again]]),
  );
  assert.equal(await people.erase('team-b', first.person), false);
  assert.equal(await people.erase('team-a', first.person), true);
  assert.deepEqual(await people.find('team-a', [first.person]), new Map());
  assert.notEqual((await people.identify('team-a', 'https://idp#7', 'Ada')).person, first.person);
});

test('settings: tier of a repository, environment of a namespace', async () => {
  const settings = openSettings(database);
  const repository = { type: 'models', id: 'org/name' } as const;
  assert.equal(await settings.tierOf('team-a', repository), undefined);
  await settings.setTier('team-a', repository, 'high');
  await settings.setTier('team-a', repository, 'low');
  assert.equal(await settings.tierOf('team-a', repository), 'low');
  assert.equal(await settings.tierOf('team-b', repository), undefined);
  assert.equal(await settings.environmentOf('team-a'), undefined);
  await settings.setEnvironment('team-a', 'staging');
  await settings.setEnvironment('team-b', 'production');
  assert.equal(await settings.environmentOf('team-a'), 'staging');
  assert.deepEqual(await settings.namespaces(), ['team-a', 'team-b']);
});

test('a new head and a new job wake every replica, also after the connection was lost', async () => {
  const replica = openDatabase(made.endpoints);
  const heard: (string | undefined)[] = [];
  const woken: (string | undefined)[] = [];
  const listening = listen(replica, [
    { channel: headChannel, hear: (payload) => heard.push(payload) },
    { channel: jobChannel, hear: (payload) => woken.push(payload) },
  ]);
  await eventually(() => heard.length === 1 && woken.length === 1);
  assert.deepEqual([heard, woken], [[undefined], [undefined]]);
  const store = openSequenceStore(database);
  const write = (size: number) =>
    store.withHead(async (_, transaction) =>
      transaction.writeHead({ size, rootHash: `${size}`, checkpoint: 'c', signedAtMs: 1, frontier: [] }),
    );
  await write(1);
  const heardMs = await eventually(() => heard.includes('1'));
  assert.ok(heardMs < 2_000);
  await openJobs(database).enqueue([{ namespace: 'team-a', queue: 'scan', key: 'k', payload: null }]);
  await eventually(() => woken.includes('scan'));
  await asSuperuser(made.superuser, (client) =>
    client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`),
  );
  await eventually(() => heard.filter((payload) => payload === undefined).length === 2);
  await write(2);
  await eventually(() => heard.includes('2'));
  await listening.close();
  await replica.close();
});

test('transactions: a failure inside rolls back, a swallowed one cannot commit, connections stay usable', async () => {
  const settings = openSettings(database);
  const insert = (namespace: string) => ({
    text: `INSERT INTO weighbridge.repository_setting VALUES ($1, 'models', 'tx', 'low')`,
    values: [namespace],
  });
  const rollback = database.inNamespace('team-a', async (session) => {
    await session.query(insert('team-a'));
    throw new Error('planted');
  });
  await assert.rejects(rollback, /planted/);
  const swallowed = database.inNamespace('team-a', async (session) => {
    await session.query(insert('team-a'));
    await session.query({ text: 'SELECT 1 / 0' }).catch(() => {});
  });
  await assert.rejects(swallowed, isFault('database.unavailable'));
  await assert.rejects(database.ask('team-a', insert('team-b')), isFault('internal.unexpected'));
  assert.equal(await settings.tierOf('team-a', { type: 'models', id: 'tx' }), undefined);
  await Promise.all(Array.from({ length: 60 }, () => database.ask('team-a', { text: 'SELECT 1' })));
  const setting = await database.asLog((session) =>
    session.query({ text: `SELECT current_setting('weighbridge.namespace', true) AS ns` }),
  );
  assert.ok(
    setting[0]?.['ns'] === '' || setting[0]?.['ns'] === null,
    'nothing leaks to the next transaction',
  );
});

test('a statement that takes too long is a Fault that may be tried again', async () => {
  const impatient = openDatabase(made.endpoints, { statementTimeoutMs: 50 });
  await assert.rejects(
    impatient.ask('team-a', { text: 'SELECT pg_sleep(5)' }),
    isFault('database.unavailable'),
  );
  assert.deepEqual(await impatient.ask('team-a', { text: 'SELECT 1 AS one' }), [{ one: 1 }]);
  await impatient.close();
});
