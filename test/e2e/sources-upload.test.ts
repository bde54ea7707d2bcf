import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openFileHost } from '../support/file-host.ts';
import { settled, sha256Hex, snapshotByHub, takeIn, withoutHubClient } from '../support/intakes.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { runWeighbridge, startTestServer } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/** Larger than what is shown as lying in git, so that both forms go through stock clients. */
const weights = safetensors({ t: tensor(0, 2_000_000) }, 2_000_000);
let house: WholeHouse;
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sources-upload-'));
  await mkdir(join(folder, 'model/sub'), { recursive: true });
  await writeFile(join(folder, 'model/config.json'), '{"model_type":"bert"}');
  await writeFile(join(folder, 'model/sub/model.safetensors'), weights);
  house = await openWholeHouse({ flags: ['--intake-hosts=127.0.0.1', '--intake-limit=1'] });
});
after(async () => {
  await house.server.stop();
  await house[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const intake = (...words: readonly string[]) =>
  runWeighbridge(['intake', ...words, '--data', house.server.data], { directory: folder });

const skip = withoutHubClient;

test('a local folder is uploaded, judged, and pulled by huggingface_hub', { skip }, async () => {
  const done = await intake('file:model', '--as', 'acme/local', '--output', 'json');
  assert.equal(done.code, 0, done.stderr);
  assert.equal(done.stderr, '', 'nothing but the answer leaves where no terminal is');
  const answer = JSON.parse(done.stdout) as { artifact: string; commit: string; source: string };
  assert.ok(!done.stdout.includes(folder), 'the local path stays local');
  const digest = await runWeighbridge(['digest', join(folder, 'model'), '--output', 'json']);
  assert.ok(digest.stdout.includes(answer.artifact), 'the artifact is the one that `digest` names');
  assert.deepEqual(await snapshotByHub(house, 'acme/local'), {
    'config.json': sha256Hex('{"model_type":"bert"}'),
    'sub/model.safetensors': sha256Hex(weights),
  });
  const { body } = await house.call('GET', `/wb/v1/artifacts/${answer.artifact}`);
  assert.ok(!JSON.stringify(body).includes(folder));
});

test('approval and promotion work on what was taken in', async () => {
  const done = await intake('upload', 'model', '--as', 'acme/promoted', '--reference', 'v2');
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /scan {6}clean, complete, 0 findings\ndecision {2}allow/);
  const words = ['--data', house.server.data, '--output', 'json'];
  const approved = await runWeighbridge([
    'approve',
    'acme/promoted@v2',
    '--reason',
    'tested by us',
    ...words,
  ]);
  assert.equal(approved.code, 0, approved.stderr);
  const promoted = await runWeighbridge([
    'promote',
    'acme/promoted@v2',
    '--environment',
    'staging',
    ...words,
  ]);
  assert.equal(promoted.code, 0, promoted.stderr);
  assert.match(promoted.stdout, /"bundle":"/);
});

test('what was found is exit 2, what could not run is exit 1', async () => {
  await writeFile(join(folder, 'evil.pkl'), 'cos\nsystem\n(S"id"\ntR.');
  const evil = await intake('upload', 'evil.pkl', '--as', 'acme/evil');
  assert.equal(evil.code, 2, evil.stderr);
  assert.match(evil.stdout, /malicious/);
  await symlink('/etc/passwd', join(folder, 'model-link'));
  await mkdir(join(folder, 'links'));
  await symlink('/etc/passwd', join(folder, 'links/passwd'));
  for (const [words, code, text] of [
    [['upload', 'links', '--as', 'acme/x'], 1, /file\.link/],
    [['upload', 'not-there', '--as', 'acme/x'], 1, /file\.unreadable/],
    [['upload', 'model'], 1, /--as org\/name/],
    [['upload', 'model', 'evil.pkl', '--as', 'a/b'], 1, /one file or folder/],
    [[], 1, /no source is named/],
    [['https://10.0.0.1/x.bin', '--as', 'acme/x'], 2, /intake-hosts/],
    [['gopher://x/y', '--as', 'acme/x'], 1, /kind of source/],
    [['hf://org/not-there'], 1, /source\.absent/],
  ] as const) {
    const refused = await intake(...words);
    assert.equal(refused.code, code, `${words.join(' ')}: ${refused.stderr}${refused.stdout}`);
    assert.match(`${refused.stdout}${refused.stderr}`, text);
  }
});

test('an upload over the interface: digests are held, nothing comes after the end', async () => {
  const { body } = await house.call('POST', '/wb/v1/intakes', { source: 'upload', as: 'acme/put' });
  const { id } = body as { id: string };
  const put = async (path: string, bytes: string, headers: Readonly<Record<string, string>> = {}) => {
    const answer = await fetch(`${house.server.console}/wb/v1/uploads/${id}/files/${path}`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${house.server.token}`,
        'content-type': 'application/octet-stream',
        ...headers,
      },
      body: bytes,
    });
    return { status: answer.status, text: await answer.text() };
  };
  assert.equal((await house.call('POST', `/wb/v1/uploads/${id}/complete`)).status, 422);
  const right = createHash('sha256').update('{}').digest('base64');
  const wrong = createHash('sha256').update('{ }').digest('base64');
  assert.match((await put('config.json', '{}', { digest: `sha-256=${wrong}` })).text, /blob\.mismatch/);
  assert.match(
    (await put('config.json', '{}', { 'content-digest': 'sha-256=:AAAA:' })).text,
    /request\.invalid/,
  );
  assert.equal((await put('config.json', '{}', { digest: `sha-256=${right}` })).status, 201);
  assert.equal(
    (
      await put('sub/b.json', '{"b":1}', {
        'content-digest': `sha-256=:${createHash('sha256').update('{"b":1}').digest('base64')}:`,
      })
    ).status,
    201,
  );
  for (const path of ['..%2f..%2fetc%2fpasswd', 'a%00b', '%2fabs', 'a%5cb', 'a//b'])
    assert.match((await put(path, 'x')).text, /path\.invalid|request\.invalid/, path);
  assert.equal((await house.call('POST', `/wb/v1/uploads/${id}/complete`)).status, 202);
  const view = await settled(house, id);
  assert.equal(view.outcome?.verdict, 'allow', JSON.stringify(view));
  assert.equal(view.progress.files, 2);
  assert.match((await put('late.json', '{}')).text, /request\.invalid/);
  assert.equal((await house.call('POST', `/wb/v1/uploads/${id}/complete`)).status, 202);
});

test('an upload that announces more than the limit is refused before its bytes', async () => {
  const { body } = await house.call('POST', '/wb/v1/intakes', { source: 'upload', as: 'acme/large' });
  const { id } = body as { id: string };
  const answer = await new Promise<string>((resolve, reject) => {
    const asked = request(`${house.server.console}/wb/v1/uploads/${id}/files/x.bin`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${house.server.token}`,
        'content-type': 'application/octet-stream',
        'content-length': String(1024 ** 3 + 1),
      },
    });
    asked.on('error', reject);
    asked.on('response', (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        resolve(`${response.statusCode} ${text}`);
        asked.destroy();
      });
    });
    asked.write('x');
  });
  assert.match(answer, /^413 .*limit\.exceeded.*intake-limit/s);
});

test('a killed server goes on with an intake after its restart', async () => {
  let slow = true;
  await using host = await openFileHost((_request, response) => {
    response.writeHead(200, { 'content-length': weights.length });
    response.write(weights.subarray(0, 100_000));
    if (!slow) response.end(weights.subarray(100_000));
  });
  const { body } = await house.call('POST', '/wb/v1/intakes', {
    source: `${host.url}/model.safetensors`,
    as: 'acme/killed',
  });
  const { id } = body as { id: string };
  while (host.seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await house.server.kill();
  slow = false;
  const server = await startTestServer({
    upstream: house.hub.url,
    data: house.server.data,
    flags: ['--intake-hosts=127.0.0.1'],
  });
  Object.assign(house, { server });
  const view = await settled({ ...house, call: callOf(server) }, id);
  assert.equal(view.outcome?.verdict, 'allow', JSON.stringify(view));
  assert.ok(host.seen.length >= 2);
});

function callOf(server: WholeHouse['server']): WholeHouse['call'] {
  return async (method, path, body) => {
    const answer = await fetch(`${server.console}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${server.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: await answer.json() };
  };
}

test('reindex brings names, references and their order back', async () => {
  const { server } = house;
  const now = { ...house, server, call: callOf(server) };
  await using host = await openFileHost((request, response) => void response.end(request.url));
  const first = await takeIn(now, { source: `${host.url}/a.txt`, as: 'acme/history' });
  await takeIn(now, { source: `${host.url}/b.txt`, as: 'acme/history' });
  await takeIn(now, { source: `${host.url}/a.txt`, as: 'acme/history' });
  await server.stop();
  await rm(join(server.data, 'postgres'), { recursive: true });
  const made = await runWeighbridge(['reindex', '--data', server.data]);
  assert.equal(made.code, 0, made.stderr);
  await house.hub.commit('acme/history', { 'a.txt': 'attacker' });
  const again = await startTestServer({ upstream: house.hub.url, data: server.data });
  Object.assign(house, { server: again });
  const answer = await fetch(`${again.clients}/acme/history/resolve/main/a.txt`);
  assert.equal(await answer.text(), '/a.txt');
  assert.equal(answer.headers.get('x-repo-commit'), first.commit);
});
