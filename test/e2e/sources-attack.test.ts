import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openFileHost, serveFiles } from '../support/file-host.ts';
import type { FileHost } from '../support/file-host.ts';
import { refusalOf, takeIn } from '../support/intakes.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

let host: FileHost;
/** A second server on this machine, which the operator did not allow: what an attacker would like to reach. */
let inside: FileHost;
let house: WholeHouse;
let port: string;

before(async () => {
  inside = await openFileHost((_request, response) => void response.end('{"secret":true}'));
  host = await openFileHost((request, response) => {
    const to = new URL(request.url ?? '/', 'http://host').searchParams.get('to');
    if (to !== null) return void response.writeHead(302, { location: to }).end();
    return serveFiles({ 'config.json': '{}', 'other.json': '{"other":1}' })(request, response);
  });
  port = new URL(host.url).port;
  house = await openWholeHouse({ flags: [`--intake-hosts=127.0.0.1:${port}`] });
});
after(async () => {
  await house[Symbol.asyncDispose]();
  await host[Symbol.asyncDispose]();
  await inside[Symbol.asyncDispose]();
});

const statusOf = async (path: string): Promise<number> => {
  const answer = await fetch(`${house.server.clients}${path}`);
  await answer.arrayBuffer();
  return answer.status;
};

test('control: the allowed host is fetched from', async () => {
  const view = await takeIn(house, { source: `${host.url}/config.json`, as: 'acme/control' });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
});

test('redirects to inside addresses are not followed, however they are spelled', async () => {
  const insidePort = new URL(inside.url).port;
  for (const to of [
    'https://169.254.169.254/latest/meta-data/iam',
    'http://169.254.169.254/latest/meta-data/iam',
    `http://127.0.0.1:${insidePort}/secret`,
    `https://127.0.0.1:${insidePort}/secret`,
    `https://2130706433:${insidePort}/secret`,
    `https://0x7f.0.0.1:${insidePort}/secret`,
    `https://0177.1:${insidePort}/secret`,
    `https://[::ffff:127.0.0.1]:${insidePort}/secret`,
    `https://[::]:${insidePort}/secret`,
    `https://localhost:${insidePort}/secret`,
    'file:///etc/passwd',
    'ftp://files.example/x',
  ]) {
    const source = `${host.url}/config.json?to=${encodeURIComponent(to)}`;
    assert.equal(await refusalOf(house, { source, as: 'acme/redirected' }), 'source.forbidden', to);
  }
  assert.deepEqual(inside.seen, []);
  assert.equal(await statusOf('/acme/redirected/resolve/main/config.json'), 404);
});

test('the server opens no file and speaks no other scheme', async () => {
  for (const source of [
    'file:/etc/passwd',
    'file:///etc/passwd',
    'FILE:///etc/passwd',
    'data:text/plain,x',
    'ftp://files.example/x',
    'ext::sh -c id',
    'javascript:0',
    '/etc/passwd',
    '',
  ]) {
    assert.equal(await refusalOf(house, { source, as: 'acme/scheme' }), 'request.invalid', source);
  }
  for (const source of ['https://user:secret@files.example/x', `http://u@127.0.0.1:${port}/config.json`])
    assert.equal(await refusalOf(house, { source, as: 'acme/scheme' }), 'request.invalid', source);
  for (const endpoint of ['http://169.254.169.254', 'https://10.0.0.1', inside.url])
    assert.equal(
      await refusalOf(house, { source: 's3://bucket/x', endpoint, as: 'acme/scheme' }),
      'source.forbidden',
    );
  for (const source of [
    'git+https://10.0.0.1/x.git',
    'oci://[fd00::1]/x:v1',
    'oci+http://files.example/x:v1',
  ])
    assert.equal(await refusalOf(house, { source, as: 'acme/scheme' }), 'source.forbidden', source);
});

test('dependency confusion: a taken name is never asked for at the hub, in no spelling', async () => {
  await house.hub.commit('acme/private', { 'config.json': '{"attacker":true}' });
  await house.hub.commit('Acme/Private', { 'config.json': '{"attacker":true}' });
  const view = await takeIn(house, { source: `${host.url}/config.json`, as: 'acme/private' });
  house.hub.forgetRequests();
  const answer = await fetch(`${house.server.clients}/acme/private/resolve/main/config.json`);
  assert.equal(await answer.text(), '{}');
  assert.equal(answer.headers.get('x-repo-commit'), view.commit);
  for (const path of [
    '/Acme/Private/resolve/main/config.json',
    '/ACME/private/resolve/main/config.json',
    '/acme/private/resolve/v9/config.json',
    `/acme/private/resolve/${'a'.repeat(40)}/config.json`,
    '/acme/private/resolve/main/absent.json',
    '/api/models/Acme/private',
  ])
    assert.notEqual(await statusOf(path), 200, path);
  const refs = await fetch(`${house.server.clients}/api/models/acme/private/refs`);
  const { branches } = (await refs.json()) as { branches: readonly { name: string; targetCommit: string }[] };
  assert.deepEqual(
    branches.map(({ name, targetCommit }) => [name, targetCommit]),
    [['main', view.commit]],
  );
  assert.equal(await refusalOf(house, { source: 'hf://acme/private' }), 'name.taken');
  assert.deepEqual(
    house.hub.seen.filter(({ url }) => /acme/i.test(url)).map(({ url }) => url),
    [],
  );
  // The same name as another type is another name.
  await house.hub.commit('datasets/acme/private', { 'data.csv': 'a,b\n' });
  assert.equal(await statusOf('/datasets/acme/private/resolve/main/data.csv'), 200);
});

test('a name is taken from the moment it was asked for, also where the intake fails', async () => {
  await house.hub.commit('acme/failed', { 'config.json': '{"attacker":true}' });
  assert.equal(
    await refusalOf(house, { source: `${host.url}/absent.json`, as: 'acme/failed' }),
    'source.absent',
  );
  assert.equal(await statusOf('/acme/failed/resolve/main/config.json'), 404);
});

test('what is known from the hub is not shadowed', async () => {
  await house.hub.commit('org/known', { 'config.json': '{"from":"hub"}' });
  assert.equal(await statusOf('/org/known/resolve/main/config.json'), 200);
  for (const as of ['org/known', 'Org/Known'])
    assert.equal(await refusalOf(house, { source: `${host.url}/config.json`, as }), 'name.taken');
  const answer = await fetch(`${house.server.clients}/org/known/resolve/main/config.json`);
  assert.equal(await answer.text(), '{"from":"hub"}');
});

test('names and references that are none are refused', async () => {
  const source = `${host.url}/config.json`;
  for (const as of ['', 'name', 'a/b/c', '../x', 'a/..', 'a/b\u0000', 'a/b.git', 'a b/c', 'a/--b'])
    assert.equal(await refusalOf(house, { source, as }), 'request.invalid', as);
  for (const reference of ['', 'a'.repeat(40), 'refs/heads/x', 'HEAD', 'a..b', '../x', '-x'])
    assert.equal(
      await refusalOf(house, { source, as: 'acme/refs', reference }),
      'request.invalid',
      reference,
    );
});

test('intakes are for people of the interface, and of their own namespace', async () => {
  const url = `${house.server.console}/wb/v1/intakes`;
  for (const authorization of [undefined, 'Bearer hf_nobodyKnowsThisToken00000000000000000000']) {
    const headers = authorization === undefined ? {} : { authorization };
    assert.equal((await fetch(url, { headers })).status, 401);
    const put = await fetch(
      `${house.server.console}/wb/v1/uploads/${'0'.repeat(8)}-0000-4000-8000-${'0'.repeat(12)}/files/x`,
      {
        method: 'PUT',
        headers: { ...headers, 'content-type': 'application/octet-stream' },
        body: 'x',
      },
    );
    assert.equal(put.status, 401);
  }
});

test('a credentials file that others can read is refused at the start', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'credentials-'));
  const path = join(folder, 'credentials.yaml');
  await writeFile(path, '- host: a.example\n  password: planted-secret\n  username: u\n', { mode: 0o644 });
  await assert.rejects(openWholeHouse({ flags: [`--intake-credentials=${path}`] }), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /0600/);
    assert.ok(!error.message.includes('planted-secret'));
    return true;
  });
  await rm(folder, { recursive: true });
});
