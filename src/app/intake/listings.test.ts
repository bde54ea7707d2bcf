import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reference, RepositoryName, Snapshot } from '#artifact/catalog.ts';
import { Fault } from '#lib/fault.ts';
import { digestNamed } from '../../../test/support/policy-case.ts';
import { memoryCatalog } from '../../../test/support/decision-house.ts';
import { openListings } from './listings.ts';
import type { Upstream } from './upstream.ts';

const repository: RepositoryName = { type: 'models', id: 'org/name' };
const one = '1'.repeat(40);
const two = '2'.repeat(40);
const card = {
  createdAt: undefined,
  lastModified: undefined,
  tags: [],
  pipelineTag: undefined,
  libraryName: undefined,
  downloads: 7,
  likes: 0,
};

function house(snapshots: readonly Snapshot[] = []) {
  const clock = { ms: 1_000_000, now: () => clock.ms };
  const upstream = { main: one, answer: undefined as Fault | 'absent' | undefined, resolved: 0, trees: 0 };
  const references: Reference[] = [];
  const port: Pick<Upstream, 'resolve' | 'tree'> = {
    resolve: async (_repository, revision) => {
      upstream.resolved += 1;
      if (upstream.answer instanceof Fault) throw upstream.answer;
      if (upstream.answer === 'absent') return { kind: 'absent', what: 'revision' };
      const commit = revision === 'main' || revision === 'lie' ? upstream.main : revision;
      return { kind: 'found', commit: revision === two && upstream.main === one ? one : commit, card };
    },
    tree: async () => {
      upstream.trees += 1;
      return [{ path: 'a', sizeBytes: 1, gitOid: '0'.repeat(40), lfsDigest: undefined }];
    },
  };
  const listings = openListings({
    upstream: port,
    catalog: {
      ...memoryCatalog(snapshots),
      saveReference: async (reference) => void references.push(reference),
      findReference: async (namespace, _repository, name) =>
        references.findLast((known) => known.namespace === namespace && known.name === name),
    },
    clock,
    referenceTtlMs: 2_000,
    signal: new AbortController().signal,
  });
  const commitOf = async (revision: string, namespace = 'default') => {
    const answer = await listings.resolve(namespace, repository, revision);
    return answer.kind === 'found' ? answer.listing.commit : answer.kind;
  };
  return { clock, upstream, references, listings, commitOf };
}

const code = (wanted: string) => (error: unknown) => error instanceof Fault && error.code === wanted;

test('a branch is believed for its time, then asked for again; a moved branch is the new commit', async () => {
  const { clock, upstream, commitOf } = house();
  assert.equal(await commitOf('main'), one);
  clock.ms += 1_999;
  upstream.main = two;
  assert.equal(await commitOf('main'), one);
  assert.equal(upstream.resolved, 1);
  clock.ms += 1;
  assert.equal(await commitOf('main'), two);
});

test('concurrent calls share one answer, of one namespace only', async () => {
  const { upstream, commitOf } = house();
  await Promise.all(Array.from({ length: 100 }, () => commitOf('main')));
  assert.equal(upstream.resolved, 1);
  await Promise.all([commitOf('main', 'team-a'), commitOf('main', 'team-b')]);
  assert.equal(upstream.resolved, 3);
});

test('only while upstream is unavailable does a branch mean what it meant last', async () => {
  const { clock, upstream, commitOf } = house();
  await commitOf('main');
  clock.ms += 10_000;
  upstream.answer = new Fault('upstream.unavailable', 'away');
  assert.equal(await commitOf('main'), one);
  await assert.rejects(commitOf('other'), code('upstream.unavailable'));
  await assert.rejects(commitOf('main', 'team-a'), code('upstream.unavailable'));
  upstream.answer = new Fault('upstream.lied', 'nonsense');
  await assert.rejects(commitOf('main'), code('upstream.lied'));
  upstream.answer = 'absent';
  assert.equal(await commitOf('main'), 'absent');
});

test('a failure is not remembered', async () => {
  const { upstream, commitOf } = house();
  upstream.answer = new Fault('upstream.unavailable', 'away');
  await assert.rejects(commitOf('main'));
  upstream.answer = undefined;
  assert.equal(await commitOf('main'), one);
});

test('a commit that upstream answers with another one is a lie', async () => {
  await assert.rejects(house().commitOf(two), code('upstream.lied'));
});

test('a commit that is stored here needs no upstream, and its tree is read once', async () => {
  const snapshot: Snapshot = {
    namespace: 'default',
    repository,
    commit: two,
    artifact: digestNamed('x'),
    files: [],
    provisional: false,
  };
  const { upstream, commitOf } = house([snapshot]);
  upstream.answer = new Fault('upstream.unavailable', 'away');
  assert.equal(await commitOf(two), two);
  assert.deepEqual([upstream.resolved, upstream.trees], [0, 0]);
  await assert.rejects(commitOf(two, 'team-a'), code('upstream.unavailable'));
});

test('references name the branches that led to a commit, in this namespace', async () => {
  const { clock, upstream, listings, commitOf } = house();
  await commitOf('main');
  await commitOf('lie');
  assert.deepEqual(listings.references('default', repository, one), ['lie', 'main']);
  assert.deepEqual(listings.references('team-a', repository, one), []);
  clock.ms += 10_000;
  upstream.main = two;
  await commitOf('main');
  assert.deepEqual(listings.references('default', repository, one), ['lie']);
});
