import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { digestOf } from '#artifact/digest.ts';
import { buildManifest } from '#artifact/manifest.ts';
import { runWeighbridge } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/** Two tenants of one server: nothing of one is seen, inferred or inherited by the other. */
let house: WholeHouse;
const tokens = { blue: '', green: '' };
const secret = 'blue weights, '.repeat(100);

async function command(...words: readonly string[]) {
  return runWeighbridge([...words, '--data', house.server.data]);
}

async function makeToken(namespace: string, ...more: readonly string[]): Promise<string> {
  const made = await command(
    'token',
    'create',
    '--namespace',
    namespace,
    '--name',
    `ci of ${namespace}`,
    ...more,
  );
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /^hf_[A-Za-z0-9]{40}\n$/);
  return made.stdout.trim();
}

const ask = (path: string, token?: string): Promise<Response> =>
  fetch(`${house.server.clients}${path}`, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });

/** What of an answer a caller can tell apart, without what always differs. */
async function shape(answer: Response): Promise<unknown> {
  const headers = [...answer.headers].filter(([name]) => name !== 'date');
  return { status: answer.status, headers, body: (await answer.text()).replaceAll(/team-\w+|nowhere/g, 'X') };
}

async function settled(path: string, token: string | undefined): Promise<Response> {
  for (;;) {
    const answer = await ask(path, token);
    if (answer.status !== 503) return answer;
    await answer.arrayBuffer();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

before(async () => {
  house = await openWholeHouse();
  await house.hub.commit('org/secret', { 'config.json': '{}', 'model.txt': secret });
  for (const name of ['team-blue', 'team-green']) {
    const set = await command('namespace', 'set', name, '--environment', 'development');
    assert.equal(set.code, 0, set.stderr);
  }
  tokens.blue = await makeToken('team-blue');
  tokens.green = await makeToken('team-green');
});
after(() => house[Symbol.asyncDispose]());

test('a namespace is set up and given tokens from the command line, and both are listed without secrets', async () => {
  const listed = await command('namespace', 'list', '--output', 'json');
  assert.deepEqual(JSON.parse(listed.stdout), {
    items: ['default', 'team-blue', 'team-green'].map((namespace) => ({
      namespace,
      environment: 'development',
    })),
  });
  const rows = await command('token', 'list', '--namespace', 'team-blue');
  assert.match(rows.stdout, /^sha256:[0-9a-f]{64} {2}client .*ci of team-blue\n$/);
  assert.doesNotMatch(rows.stdout, /hf_/);
  for (const words of [
    ['token', 'create', '--namespace', 'nowhere', '--name', 'x'],
    ['token', 'create', '--namespace', 'team-blue'],
    ['token', 'create', '--namespace', 'team-blue', '--name', 'x', '--environment', 'moon'],
    ['token', 'create', '--namespace', 'team-blue', '--name', 'x', '--expires', '2001-01-01T00:00:00Z'],
    ['token', 'revoke', `sha256:${'0'.repeat(64)}`, '--namespace', 'team-blue'],
    ['namespace', 'set', 'Not-A-Name', '--environment', 'staging'],
    ['namespace', 'set', 'system', '--environment', 'staging'],
    ['namespace', 'set', 'x'],
    ['namespace'],
  ]) {
    const refused = await command(...words);
    assert.equal(refused.code, 1, `${words.join(' ')}: ${refused.stdout}`);
    assert.match(refused.stderr, /^error: /);
  }
});

test('a token pulls in its own namespace and nowhere else', async () => {
  const pulled = await settled('/hf/team-blue/org/secret/resolve/main/model.txt', tokens.blue);
  assert.equal(pulled.status, 200, pulled.headers.get('x-error-message') ?? '');
  assert.equal(await pulled.text(), secret);
  const callers = [undefined, tokens.green, 'hf_unknownTokenOfSomebodyElse000000000000000'];
  const paths = ['org/secret/resolve/main/model.txt', 'api/models/org/secret', 'api/models', 'api/whoami-v2'];
  for (const token of callers) {
    for (const path of paths) {
      const there = await shape(await ask(`/hf/team-blue/${path}`, token));
      const nowhere = await shape(await ask(`/hf/nowhere/${path}`, token));
      assert.deepEqual(there, nowhere, path);
      assert.equal((there as { status: number }).status, 404);
    }
  }
});

test('the default namespace and a second tenant see neither the artifact nor that it is here', async () => {
  const listOf = async (prefix: string, token?: string) => {
    const answer = await ask(`${prefix}/api/models?limit=100`, token);
    assert.equal(answer.status, 200);
    return ((await answer.json()) as readonly { readonly id: string }[]).map(({ id }) => id);
  };
  assert.deepEqual(await listOf('/hf/team-blue', tokens.blue), ['org/secret']);
  assert.deepEqual(await listOf('/hf/team-green', tokens.green), []);
  assert.deepEqual(await listOf(''), []);
  const inventory = await house.call('GET', '/wb/v1/artifacts?limit=200');
  assert.deepEqual((inventory.body as { readonly items: readonly unknown[] }).items, []);
});

test('the bytes of one tenant are no answer for another: they are fetched and decided again', async () => {
  house.hub.forgetRequests();
  const refetched = () => house.hub.seen.filter(({ url }) => url.includes('model.txt')).length;
  await settled('/hf/team-blue/org/secret/resolve/main/model.txt', tokens.blue);
  assert.equal(refetched(), 0);
  const green = await settled('/hf/team-green/org/secret/resolve/main/model.txt', tokens.green);
  assert.equal(green.status, 200);
  assert.ok(refetched() > 0);
});

test('a commit whose bytes upstream no longer gives is not served from what another tenant stored', async () => {
  const name = 'org/withdrawn-upstream';
  const commit = await house.hub.commit(name, { 'config.json': '{}', 'notes.txt': 'first'.repeat(50) });
  const path = `${name}/resolve/${commit}/notes.txt`;
  assert.equal((await settled(`/hf/team-blue/${path}`, tokens.blue)).status, 200);
  house.hub.lie(name, 'wrong-bytes');
  const green = await settled(`/hf/team-green/${path}`, tokens.green);
  assert.notEqual(green.status, 200);
  assert.doesNotMatch(await green.text(), /firstfirst/);
  assert.equal((await settled(`/hf/team-blue/${path}`, tokens.blue)).status, 200);
});

test('evidence and decisions stay in their namespace: what is refused in one is judged on its own in the other', async () => {
  await house.hub.commit('org/shared', { 'config.json': '{"a":1}', 'notes.txt': 'shared' });
  const path = '/org/shared/resolve/main/notes.txt';
  const here = await settled(path, undefined);
  assert.equal(here.status, 200);
  const commit = here.headers.get('x-repo-commit') ?? '';
  assert.equal((await settled(`/hf/team-blue${path}`, tokens.blue)).status, 200);
  const artifact = await house.artifactOf('org/shared', commit);
  const shown = JSON.stringify((await house.call('GET', `/wb/v1/artifacts/${artifact}`)).body);
  const denied = await house.call('POST', `/wb/v1/artifacts/${artifact}/deny`, {
    reason: 'not for the default namespace',
  });
  assert.equal(denied.status, 200);
  assert.equal((await settled(path, undefined)).status, 404);
  assert.equal((await settled(`/hf/team-blue${path}`, tokens.blue)).status, 200);
  // Two tenants hold the artifact; the inventory of the default namespace tells of its own observation only.
  assert.equal(shown.match(/observed at its source/g)?.length, 1, shown);
});

test('an artifact of another namespace is unknown to every call of `/wb/v1`, as one that exists nowhere', async () => {
  await house.hub.commit('org/blue-only', { 'config.json': '{"blue":true}' });
  const pulled = await settled('/hf/team-blue/org/blue-only/resolve/main/config.json', tokens.blue);
  assert.equal(pulled.status, 200);
  await house.hub.commit('org/probe', { 'config.json': '{"blue":true}' });
  // The same bytes in the default namespace have the same name; until they are pulled there, it is not known there.
  const probe = await runWeighbridge(['explain', 'org/blue-only', '--data', house.server.data]);
  assert.equal(probe.code, 1);
  await settled('/org/probe/resolve/main/config.json', undefined);
  const { body } = await house.call('GET', '/wb/v1/artifacts?search=org/probe');
  const [row] = (body as { readonly items: readonly { readonly artifact: string }[] }).items;
  assert.ok(row);
  const detail = await house.call('GET', `/wb/v1/artifacts/${row.artifact}`);
  assert.doesNotMatch(JSON.stringify(detail.body), /blue-only/);

  const content = Buffer.from('{"blue":"more"}');
  await house.hub.commit('org/blue-secret', { 'config.json': content });
  await settled('/hf/team-blue/org/blue-secret/resolve/main/config.json', tokens.blue);
  const file = { path: 'config.json', digest: digestOf(content), sizeBytes: content.length };
  const { digest: guessed } = buildManifest([file]);
  const offline = await house.call('GET', '/wb/v1/artifacts?search=blue-secret');
  assert.deepEqual((offline.body as { readonly items: readonly unknown[] }).items, []);
  const nowhere = `sha256:${'0'.repeat(64)}`;
  const question = { action: 'pull', environment: 'development', files: null };
  const calls = (artifact: string) =>
    [
      ['GET', `/wb/v1/artifacts/${artifact}`, undefined],
      ['POST', `/wb/v1/artifacts/${artifact}/deny`, { reason: 'guessing' }],
      ['POST', `/wb/v1/artifacts/${artifact}/promote`, { environment: 'development' }],
      ['POST', '/wb/v1/decisions', { ...question, artifact }],
      ['POST', '/wb/v1/decisions/bundle', { ...question, artifact }],
    ] as const;
  const answersAbout = async (artifact: string) => {
    const answers = [];
    for (const [method, path, sent] of calls(artifact)) {
      const { status, body: said } = await house.call(method, path, sent);
      answers.push({
        status,
        said: JSON.stringify(said)
          .replaceAll(artifact, 'X')
          .replaceAll(/\d{4}-[\d:TZ-]+/g, 'T'),
      });
    }
    return answers;
  };
  const guesses = await answersAbout(guessed);
  assert.deepEqual(guesses, await answersAbout(nowhere));
  assert.deepEqual(
    guesses.map(({ status }) => status),
    [404, 404, 404, 200, 404],
  );
  assert.match(guesses[3]?.said ?? '', /"verdict":"deny"/);
});

test('tokens of clients open nothing on the interface for people', async () => {
  for (const path of [
    '/wb/v1/artifacts',
    '/wb/v1/log/head',
    '/wb/v1/whoami',
    '/wb/v1/tokens?namespace=team-blue',
    '/wb/v1/namespaces',
  ]) {
    const headers = { authorization: `Bearer ${tokens.blue}` };
    assert.equal((await fetch(`${house.server.console}${path}`, { headers })).status, 403, path);
    assert.equal((await fetch(`${house.server.console}${path}`)).status, 401, path);
  }
  const made = await fetch(`${house.server.console}/wb/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokens.blue}`, 'content-type': 'application/json' },
    body: JSON.stringify({ namespace: 'default', name: 'mine', environment: null, expiresAt: null }),
  });
  assert.equal(made.status, 403);
});

test('the environment of a pull is that of the token', async () => {
  const production = await makeToken('team-blue', '--environment', 'production');
  const path = '/hf/team-blue/org/secret/resolve/main/model.txt';
  const refused = await settled(path, production);
  assert.ok(refused.status === 403 || refused.status === 404, String(refused.status));
  assert.match(refused.headers.get('x-error-message') ?? '', /approved/);
  assert.equal((await settled(path, tokens.blue)).status, 200);
});

test('a revoked token ends within a second', async () => {
  const passing = await makeToken('team-green');
  const path = '/hf/team-green/org/secret/resolve/main/model.txt';
  assert.equal((await settled(path, passing)).status, 200);
  const listed = await command('token', 'list', '--namespace', 'team-green', '--output', 'json');
  const { items } = JSON.parse(listed.stdout) as { readonly items: readonly { readonly id: string }[] };
  const id = items.at(-1)?.id ?? '';
  assert.equal((await command('token', 'revoke', id, '--namespace', 'team-blue')).code, 1);
  assert.equal((await command('token', 'revoke', id, '--namespace', 'team-green')).code, 0);
  const begun = performance.now();
  while ((await ask(path, passing)).status === 200) assert.ok(performance.now() - begun < 1_100);
  assert.equal((await settled(path, tokens.green)).status, 200);
});

test('no token and no credential is in the log of the server', () => {
  const output = house.server.output();
  assert.match(output, /request answered/);
  for (const token of [tokens.blue, tokens.green, 'hf_unknownTokenOfSomebodyElse', house.server.token])
    assert.ok(!output.includes(token), token.slice(0, 12));
  assert.doesNotMatch(output, /Bearer|authorization/i);
});
