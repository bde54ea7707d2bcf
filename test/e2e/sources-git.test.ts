import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { missing } from '../support/foreign.ts';
import { backend, gitPrograms, openGitHost } from '../support/git-host.ts';
import type { GitHost } from '../support/git-host.ts';
import { openFileHost } from '../support/file-host.ts';
import { refusalOf, sha256Hex, snapshotByHub, takeIn, withoutHubClient } from '../support/intakes.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

const skip = missing(`git, git-lfs and ${backend}`, gitPrograms);
const weights = safetensors({ t: tensor(0, 4096) }, 4096);
let house: WholeHouse;
let host: GitHost;

before(async () => {
  if (skip !== false) return;
  host = await openGitHost();
  house = await openWholeHouse({ flags: ['--intake-hosts=127.0.0.1'] });
});
after(async () => {
  if (skip !== false) return;
  await house[Symbol.asyncDispose]();
  await host[Symbol.asyncDispose]();
});

const sourceOf = (name: string, revision = ''): string => `git+${host.url}/${name}.git${revision}`;

test(
  'a commit of the real git with files of the real git-lfs arrives under its own id',
  { skip },
  async () => {
    const commit = await host.commit('model', {
      'config.json': '{"model_type":"bert"}',
      'deep/folder/vocab.txt': 'a\nb\n',
      'model.safetensors': weights,
    });
    const view = await takeIn(house, { source: sourceOf('model', '@main'), as: 'acme/git' });
    assert.equal(view.state, 'done', JSON.stringify(view.fault));
    assert.equal(view.commit, commit);
    assert.equal(view.outcome?.verdict, 'allow', JSON.stringify(view.outcome));
    const answer = await fetch(`${house.server.clients}/acme/git/resolve/${commit}/model.safetensors`);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), Buffer.from(weights));
    const oid = await host.git('model', 'rev-parse', 'HEAD:config.json');
    const config = await fetch(`${house.server.clients}/acme/git/resolve/main/config.json`, {
      method: 'HEAD',
    });
    assert.equal(config.headers.get('etag'), `"${oid}"`);
    assert.ok(host.seen.some(({ headers }) => headers['x-lfs-proof'] === 'shown'));
  },
);

test('tags, annotated tags, commit ids and the default branch', { skip }, async () => {
  const first = await host.commit('tagged', { 'config.json': '{"v":1}' });
  await host.git('tagged', 'tag', '--annotate', '--message=x', 'v1');
  const second = await host.commit('tagged', { 'config.json': '{"v":2}' });
  for (const [revision, commit] of [
    ['@v1', first],
    [`@${first}`, first],
    ['', second],
    ['@main', second],
  ] as const) {
    const view = await takeIn(house, { source: sourceOf('tagged', revision), as: 'acme/tagged' });
    assert.equal(view.commit, commit, `${revision}: ${JSON.stringify(view.fault)}`);
  }
  assert.equal(
    await refusalOf(house, { source: sourceOf('tagged', '@nope'), as: 'acme/tagged' }),
    'source.absent',
  );
  const foreign = `@${'0'.repeat(39)}1`;
  assert.match(
    await refusalOf(house, { source: sourceOf('tagged', foreign), as: 'acme/t2' }),
    /source\.absent|upstream/,
  );
});

test('links in the tree are refused, not followed and not left out', { skip }, async () => {
  await host.commit('linked', { 'config.json': '{}' });
  const blob = await host.git('linked', 'rev-parse', 'HEAD:config.json');
  await host.git('linked', 'update-index', '--add', '--cacheinfo', `120000,${blob},passwd`);
  await host.git('linked', 'commit', '--quiet', '--message=link');
  assert.equal(await refusalOf(house, { source: sourceOf('linked'), as: 'acme/linked' }), 'file.link');
});

test('an LFS link to an inside host is not fetched', { skip }, async () => {
  await host.commit('inside', { 'model.safetensors': safetensors({ t: tensor(0, 64) }, 64) });
  for (const origin of [
    'https://169.254.169.254/latest',
    'https://[::ffff:10.0.0.1]',
    'http://files.example',
  ]) {
    host.lfsOrigin = origin;
    assert.equal(
      await refusalOf(house, { source: sourceOf('inside'), as: 'acme/inside' }),
      'source.forbidden',
    );
  }
  host.lfsOrigin = undefined;
  await using liar = await openFileHost((_request, response) => void response.end('other bytes'));
  host.lfsOrigin = liar.url;
  assert.equal(await refusalOf(house, { source: sourceOf('inside'), as: 'acme/inside' }), 'upstream.lied');
  host.lfsOrigin = undefined;
});

test('other transports of git do not exist here', { skip }, async () => {
  for (const source of [
    'git+ext::sh -c touch% /tmp/owned',
    'git+file:///etc',
    'git+ssh://host/x.git',
    'ext::sh',
    'git://host/x',
  ])
    assert.equal(await refusalOf(house, { source, as: 'acme/transport' }), 'request.invalid', source);
});

test('a server that sends something else than a pack is told so', { skip }, async () => {
  await using liar = await openFileHost((request, response) => {
    if (request.url?.includes('info/refs') === true) return void response.end('000eversion 2\n0000');
    return void response.end('0000');
  });
  assert.equal(await refusalOf(house, { source: `git+${liar.url}/x.git`, as: 'acme/none' }), 'source.absent');
  await using old = await openFileHost(
    (_request, response) => void response.end('001e# service=git-upload-pack\n0000'),
  );
  assert.equal(await refusalOf(house, { source: `git+${old.url}/x.git`, as: 'acme/none' }), 'upstream.lied');
});

test(
  'huggingface_hub pulls what came from git',
  { skip: skip === false ? withoutHubClient : skip },
  async () => {
    const files = await snapshotByHub(house, 'acme/git');
    assert.equal(files['model.safetensors'], sha256Hex(weights));
    assert.equal(files['deep/folder/vocab.txt'], sha256Hex('a\nb\n'));
    assert.ok('.gitattributes' in files);
  },
);
