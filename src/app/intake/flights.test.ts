import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Snapshot } from '#artifact/catalog.ts';
import type { Arrival, Listing } from '#gates/pull/ports.ts';
import { Fault } from '#lib/fault.ts';
import { digestNamed } from '../../../test/support/policy-case.ts';
import { openFlights } from './flights.ts';

const paths = ['a.bin', 'b.bin', 'bad.bin', 'config.json'];
const files = paths.map((path) => ({
  path,
  digest: digestNamed(path),
  sizeBytes: 1,
  gitOid: '0'.repeat(40),
  lfs: false,
}));
const card = {
  createdAt: undefined,
  lastModified: undefined,
  tags: [],
  pipelineTag: undefined,
  libraryName: undefined,
  downloads: 0,
  likes: 0,
};
const listing: Listing = {
  namespace: 'default',
  repository: { type: 'models', id: 'org/name' },
  commit: 'c'.repeat(40),
  files: files.map(({ path, sizeBytes, gitOid }) => ({ path, sizeBytes, gitOid, lfsDigest: undefined })),
  card,
};
const snapshot: Snapshot = { ...listing, artifact: digestNamed('artifact'), files, provisional: false };

function house(refuse: (paths: readonly string[]) => Fault | undefined = () => undefined) {
  const clock = { ms: 1_000_000, now: () => clock.ms };
  const rounds: (readonly string[])[] = [];
  const taken: string[] = [];
  const gate: { wait: Promise<void> } = { wait: Promise.resolve() };
  const flights = openFlights({
    clock,
    take: async ({ namespace }) => {
      taken.push(namespace);
      return { ...snapshot, namespace };
    },
    bring: async (_snapshot, wanted) => {
      rounds.push(wanted);
      await gate.wait;
      const fault = refuse(wanted);
      if (fault !== undefined) throw fault;
    },
    took: () => {},
  });
  return { clock, rounds, taken, gate, flights };
}

const kinds = (arrivals: readonly Arrival[]): string => [...new Set(arrivals.map(({ kind }) => kind))].join();

test('a thousand callers make one arrival, and later ones none', async () => {
  const { flights, rounds } = house();
  assert.equal(
    kinds(await Promise.all(Array.from({ length: 1000 }, () => flights.join(listing, ['a.bin'])))),
    'ready',
  );
  assert.equal(rounds.length, 1);
  const again = await flights.join(listing, ['a.bin']);
  assert.equal(rounds.length, 1);
  assert.deepEqual(again.kind === 'ready' && [...again.digests], [['a.bin', digestNamed('a.bin')]]);
});

test('what is asked for during a round comes in the next one, together', async () => {
  const { flights, rounds, gate } = house();
  const open = Promise.withResolvers<void>();
  gate.wait = open.promise;
  const first = flights.join(listing, ['a.bin']);
  const others = [flights.join(listing, ['b.bin']), flights.join(listing, ['a.bin', 'b.bin'])];
  assert.equal(flights.look(listing, ['b.bin'])?.kind, 'pending');
  open.resolve();
  assert.equal(kinds(await Promise.all([first, ...others])), 'ready');
  assert.deepEqual(rounds[0], ['a.bin']);
  assert.equal(rounds.length, 2);
  assert.ok(rounds[1]?.includes('b.bin'));
});

test('one bad file does not refuse its neighbours, and its failure is remembered for a while', async () => {
  const lied = new Fault('upstream.lied', 'other bytes');
  const { flights, rounds, clock } = house((wanted) => (wanted.includes('bad.bin') ? lied : undefined));
  const [good, bad] = await Promise.all([
    flights.join(listing, ['a.bin']),
    flights.join(listing, ['bad.bin']),
  ]);
  assert.deepEqual([good.kind, bad.kind], ['ready', 'failed']);
  const tried = rounds.length;
  for (let count = 0; count < 100; count += 1)
    assert.equal((await flights.join(listing, ['bad.bin'])).kind, 'failed');
  assert.equal(flights.look(listing, ['bad.bin'])?.kind, 'failed');
  assert.equal(rounds.length, tried);
  clock.ms += 60_000;
  assert.equal(flights.look(listing, ['bad.bin'])?.kind, 'pending');
  await flights.join(listing, ['bad.bin']);
  assert.equal(rounds.length, tried + 1);
});

test('while upstream is away a round fails once for all of its files', async () => {
  const { flights, rounds } = house(() => new Fault('upstream.unavailable', 'away'));
  const wanted = paths.slice(0, 3);
  assert.equal((await flights.join(listing, wanted)).kind, 'failed');
  assert.equal(rounds.length, 1);
  for (const path of wanted) assert.equal(flights.look(listing, [path])?.kind, 'failed');
});

test('a success after a failure is a success', async () => {
  let away = true;
  const { flights, clock } = house(() => (away ? new Fault('upstream.unavailable', 'away') : undefined));
  assert.equal((await flights.join(listing, ['a.bin'])).kind, 'failed');
  away = false;
  clock.ms += 5_000;
  assert.equal((await flights.join(listing, ['a.bin'])).kind, 'ready');
});

test('a settled commit is looked at again after a day, so that old evidence is made anew', async () => {
  const { flights, rounds, clock } = house();
  await flights.join(listing, ['a.bin']);
  clock.ms += 24 * 3_600_000 - 1;
  await flights.join(listing, ['a.bin']);
  assert.equal(rounds.length, 1);
  clock.ms += 1;
  await flights.join(listing, ['a.bin']);
  assert.equal(rounds.length, 2);
});

test('namespaces share nothing', async () => {
  const { flights, taken } = house();
  await flights.join(listing, ['a.bin']);
  assert.equal(flights.look({ ...listing, namespace: 'team-a' }, ['a.bin']), undefined);
  assert.equal(flights.snapshotOf({ ...listing, namespace: 'team-a' }), undefined);
  await flights.join({ ...listing, namespace: 'team-a' }, ['a.bin']);
  assert.deepEqual(taken, ['default', 'team-a']);
});

test('flights that rest are forgotten before memory grows without bound', async () => {
  const { flights, taken } = house();
  for (let index = 0; index <= 5_000; index += 1)
    await flights.join({ ...listing, commit: index.toString(16).padStart(40, '0') }, []);
  assert.equal(taken.length, 5_001);
  assert.equal(flights.look({ ...listing, commit: '0'.repeat(40) }, []), undefined);
});
