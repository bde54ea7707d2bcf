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
  const upstream = {
    main: one,
    answer: undefined as Fault | 'absent' | 'no-repository' | undefined,
    treePath: 'a',
    paths: undefined as string[] | undefined,
    resolved: 0,
    trees: 0,
  };
  const told: string[] = [];
  const references: Reference[] = [];
  const port: Pick<Upstream, 'resolve' | 'tree'> = {
    resolve: async (_repository, revision) => {
      upstream.resolved += 1;
      if (upstream.answer instanceof Fault) throw upstream.answer;
      if (upstream.answer === 'absent') return { kind: 'absent', what: 'revision' };
      if (upstream.answer === 'no-repository') return { kind: 'absent', what: 'repository' };
      const commit = revision === 'main' || revision === 'lie' ? upstream.main : revision;
      return {
        kind: 'found',
        commit: revision === two && upstream.main === one ? one : commit,
        card,
        ...(upstream.paths === undefined ? {} : { paths: upstream.paths }),
      };
    },
    tree: async () => {
      upstream.trees += 1;
      return [{ path: upstream.treePath, sizeBytes: 1, gitOid: '0'.repeat(40), lfsDigest: undefined }];
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
    absentTtlMs: 60_000,
    failed: ({ namespace, commit }, fault) => told.push(`${namespace} ${commit ?? '?'} ${fault.code}`),
    signal: new AbortController().signal,
  });
  const commitOf = async (revision: string, namespace = 'default') => {
    const answer = await listings.resolve(namespace, repository, revision);
    return answer.kind === 'found' ? answer.listing.commit : answer.kind;
  };
  return { clock, upstream, references, listings, commitOf, told };
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
  clock.ms += 60_000;
  assert.equal(await commitOf('main'), 'absent');
});

test('being away is not remembered', async () => {
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

test('an absence and a lie are answered for a while without asking, each for its own name', async () => {
  const { clock, upstream, commitOf, told } = house();
  upstream.answer = 'absent';
  for (const revision of ['v1', 'v1', 'v2']) assert.equal(await commitOf(revision), 'absent');
  assert.equal(upstream.resolved, 2);
  upstream.answer = new Fault('upstream.lied', 'nonsense');
  for (let asked = 0; asked < 3; asked += 1) await assert.rejects(commitOf('v3'), code('upstream.lied'));
  assert.equal(upstream.resolved, 3);
  assert.deepEqual(told, ['default ? upstream.lied']);
  upstream.answer = undefined;
  assert.equal(await commitOf('main'), one);
  clock.ms += 59_999;
  assert.equal(await commitOf('v1'), 'absent');
  clock.ms += 1;
  assert.equal(await commitOf('lie'), one);
  upstream.answer = 'no-repository';
  assert.equal(await commitOf('v1', 'team-a'), 'absent');
  const asked = upstream.resolved;
  upstream.answer = undefined;
  assert.equal(await commitOf('main', 'team-a'), 'absent');
  assert.equal(upstream.resolved, asked);
});

test('a repository that is stored is answered although its name was absent a moment ago', async () => {
  const snapshot: Snapshot = {
    namespace: 'default',
    repository,
    commit: two,
    artifact: digestNamed('x'),
    files: [],
    provisional: false,
  };
  const { upstream, commitOf } = house([snapshot]);
  upstream.answer = 'no-repository';
  assert.equal(await commitOf('main'), 'absent');
  assert.equal(await commitOf(two), two);
});

test('names that callers invent do not fill the memory', async () => {
  const { upstream, listings, commitOf } = house();
  upstream.answer = 'absent';
  for (let made = 0; made < 30_000; made += 1) await commitOf(`no-${made}`);
  const asked = upstream.resolved;
  await commitOf('no-29999');
  assert.equal(upstream.resolved, asked);
  await commitOf('no-0');
  assert.equal(upstream.resolved, asked + 1);
  upstream.answer = undefined;
  upstream.main = 'lie';
  for (let made = 0; made < 100; made += 1) await commitOf('lie');
  assert.deepEqual(listings.references('default', repository, 'lie'), ['lie']);
});

test('one commit with two trees is a lie to whoever gets the second; the first keeps what it had', async () => {
  const { upstream, listings, commitOf, told } = house();
  assert.equal(await commitOf('main'), one);
  upstream.treePath = 'b';
  await assert.rejects(commitOf('main', 'team-a'), code('upstream.lied'));
  await assert.rejects(commitOf(one, 'team-b'), code('upstream.lied'));
  assert.deepEqual(told, [`team-a ${one} upstream.lied`, `team-b ${one} upstream.lied`]);
  const kept = await listings.resolve('default', repository, one);
  assert.deepEqual(kept.kind === 'found' && kept.listing.files.map(({ path }) => path), ['a']);
});

test('a stored snapshot is compared with the tree of today once, and served whatever comes of it', async () => {
  const files = [{ path: 'a', digest: digestNamed('a'), sizeBytes: 1, gitOid: '0'.repeat(40), lfs: false }];
  const snapshot: Snapshot = {
    namespace: 'default',
    repository,
    commit: one,
    artifact: digestNamed('x'),
    files,
    provisional: false,
  };
  for (const treePath of ['a', 'b']) {
    const { clock, upstream, commitOf, told } = house([snapshot]);
    upstream.treePath = treePath;
    for (let asked = 0; asked < 3; asked += 1) {
      assert.equal(await commitOf('main'), one);
      clock.ms += 10_000;
    }
    assert.equal(upstream.trees, 1);
    assert.deepEqual(told, treePath === 'a' ? [] : [`default ${one} upstream.lied`]);
  }
});

test('what is stored can be had without upstream', async () => {
  const { upstream, listings, commitOf } = house();
  await commitOf('main');
  upstream.answer = new Fault('upstream.unavailable', 'away');
  const asked = upstream.resolved;
  const commits = await Promise.all(
    ['main', one, 'other', two].map(async (revision) => {
      const known = await listings.stored('default', repository, revision);
      return known?.kind === 'found' ? known.listing.commit : undefined;
    }),
  );
  assert.deepEqual(commits, [one, one, undefined, undefined]);
  assert.equal(await listings.stored('team-a', repository, 'main'), undefined);
  assert.equal(upstream.resolved, asked);
});

test('a tree that leaves out what the answer about the commit names is a lie; more than it names is not', async () => {
  const { upstream, commitOf, told } = house();
  upstream.paths = ['a', 'modeling.py'];
  await assert.rejects(commitOf('main'), /leaves out `modeling.py`/);
  assert.deepEqual(told, [`default ${one} upstream.lied`]);
  upstream.paths = [];
  assert.equal(await commitOf('main', 'team-a'), one);
});
