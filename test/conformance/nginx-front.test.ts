import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { find, missing } from '../support/foreign.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { startFrontNginx } from '../support/nginx.ts';
import type { Nginx } from '../support/nginx.ts';
import { openPythonHub, pythonIn } from '../support/python-hub.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';
import { hubClientCases } from './hf-python-cases.ts';

const program = find('nginx');
const skip = missing('nginx', program !== undefined);
const header = safetensors({ w: tensor(0, 3_000_000) });
const model = Buffer.concat([header, randomBytes(3_000_000)]);
const modelSha256 = createHash('sha256').update(model).digest('hex');
const path = '/org/front/resolve/main/model.safetensors';
const marker = { 'x-sendfile-type': 'X-Accel-Redirect' };

let house: WholeHouse;
let nginx: Nginx;
let commit = '';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function ask(
  base: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<Answer> {
  for (;;) {
    const answer = await new Promise<Answer>((resolve, reject) => {
      const asked = request(`${base}${target}`, { method, headers, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      });
      asked.on('error', reject);
      asked.end();
    });
    if (answer.status !== 503) return answer;
  }
}

/** Everything of an answer that a client may rely on; nginx and Node name themselves and the connection otherwise. */
function essence({ status, headers, body }: Answer): object {
  const { date: _date, connection: _connection, 'keep-alive': _alive, server: _server, ...kept } = headers;
  return { status, headers: kept, body: createHash('sha256').update(body).digest('hex') };
}

if (program === undefined) {
  test('nginx in front', { skip }, () => undefined);
} else {
  before(async () => {
    house = await openWholeHouse({ flags: ['--accel-prefix=/protected/'] });
    nginx = await startFrontNginx(program, {
      clients: house.server.clients,
      blobs: join(house.server.data, 'blobs'),
    });
    commit = await house.hub.commit('org/front', {
      'config.json': '{"model_type":"bert"}',
      'model.safetensors': model,
      'übel name.txt': 'words',
      'empty.txt': '',
    });
    assert.equal((await ask(house.server.clients, path, {}, 'HEAD')).status, 200);
  });
  after(async () => {
    await nginx[Symbol.asyncDispose]();
    await house[Symbol.asyncDispose]();
  });

  const etag = `"${modelSha256}"`;
  const requests: readonly (readonly [string, string, Readonly<Record<string, string>>, string?])[] = [
    ['HEAD', path, {}, 'HEAD'],
    ['GET', path, {}],
    ['a range', path, { range: 'bytes=1000-2999999' }],
    ['the first byte', path, { range: 'bytes=0-0' }],
    ['the last bytes', path, { range: 'bytes=-100' }],
    ['a range past the end', path, { range: 'bytes=2999999-99999999' }],
    ['a range that starts after the end', path, { range: `bytes=${model.length}-` }],
    ['several ranges', path, { range: 'bytes=0-9,20-29' }],
    ['a malformed range', path, { range: 'bytes=9-1' }],
    ['a resume', path, { range: 'bytes=1000000-', 'if-range': etag }],
    ['a resume of other bytes', path, { range: 'bytes=1000000-', 'if-range': '"other"' }],
    ['a resume by date', path, { range: 'bytes=1000000-', 'if-range': 'Sat, 01 Jan 2050 00:00:00 GMT' }],
    ['If-None-Match', path, { 'if-none-match': etag }],
    ['If-None-Match of other bytes', path, { 'if-none-match': '"other"' }],
    ['If-Match of other bytes', path, { 'if-match': '"other"' }],
    ['If-Modified-Since', path, { 'if-modified-since': 'Sat, 01 Jan 2050 00:00:00 GMT' }],
    ['If-Unmodified-Since', path, { 'if-unmodified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }],
    ['a small file', '/org/front/resolve/main/config.json', {}],
    ['a name outside ASCII', `/org/front/resolve/main/${encodeURIComponent('übel name.txt')}`, {}],
    ['an empty file', '/org/front/resolve/main/empty.txt', {}],
    ['a range of an empty file', '/org/front/resolve/main/empty.txt', { range: 'bytes=0-0' }],
    ['an absent file', '/org/front/resolve/main/absent.txt', {}],
    ['the revision', '/api/models/org/front', {}],
  ];
  for (const [name, target, headers, method] of requests) {
    test(`${name}: nginx and Weighbridge give the same answer`, async () => {
      const direct = await ask(house.server.clients, target, headers, method);
      const through = await ask(nginx.url, target, headers, method);
      assert.equal(through.headers['x-accel-redirect'], undefined);
      assert.deepEqual(essence(through), essence(direct));
    });
  }

  test('the bytes of an allowed file leave by nginx, and only for the proxy', async () => {
    const handed = await ask(house.server.clients, path, marker);
    const hex = modelSha256;
    assert.equal(
      handed.headers['x-accel-redirect'],
      `/protected/sha256/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`,
    );
    assert.equal(handed.body.length, 0);
    assert.equal(handed.headers['x-repo-commit'], commit);
    const direct = await ask(house.server.clients, path);
    assert.equal(direct.headers['x-accel-redirect'], undefined);
    assert.ok(direct.body.equals(model));
  });

  test('a caller from elsewhere never gets an empty body, whatever he says about himself', async () => {
    await using other = await openWholeHouse({
      flags: ['--accel-prefix=/protected/', '--accel-from=10.1.2.3,::1'],
    });
    await other.hub.commit('org/front', { 'config.json': '{}', 'model.safetensors': model });
    const answer = await ask(other.server.clients, path, { ...marker, 'x-forwarded-for': '10.1.2.3' });
    assert.equal(answer.headers['x-accel-redirect'], undefined);
    assert.ok(answer.body.equals(model));
  });

  test('a client reaches nothing under the internal location, and cannot choose what is sent', async () => {
    const hex = modelSha256;
    const blob = `/protected/sha256/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`;
    assert.equal((await ask(nginx.url, blob)).status, 502);
    const asked = await ask(nginx.url, '/org/front/resolve/main/config.json', { 'x-accel-redirect': blob });
    assert.equal(asked.body.toString(), '{"model_type":"bert"}');
  });

  test('a refused file comes from Weighbridge with its reason, and no path', async () => {
    await house.hub.commit('org/evil', { 'config.json': '{}', 'a.pkl': 'cos\nsystem\n(S"id"\ntR.' });
    const target = '/org/evil/resolve/main/a.pkl';
    const refused = await ask(nginx.url, target);
    assert.deepEqual(essence(refused), essence(await ask(house.server.clients, target)));
    assert.ok(refused.status >= 400);
    assert.ok(refused.headers['x-error-message']);
    assert.equal((await ask(house.server.clients, target, marker)).headers['x-accel-redirect'], undefined);
  });

  test('a blob that nginx cannot find is an error to try again, not an absent file', async () => {
    await using broken = await startFrontNginx(program, {
      clients: house.server.clients,
      blobs: join(house.server.data, 'nowhere'),
    });
    const answer = await ask(broken.url, path);
    assert.equal(answer.status, 502);
    assert.equal(answer.headers.etag, undefined);
  });

  const python = pythonIn('venv');
  const skipPython = missing('huggingface_hub in .cache/venv', python !== undefined);
  if (python === undefined) {
    test('huggingface_hub through nginx', { skip: skipPython }, () => undefined);
  } else {
    hubClientCases('front', async (t) => {
      const session = await openPythonHub(python, nginx.url);
      t.after(() => session[Symbol.asyncDispose]());
      return {
        python: session,
        commit: (id, files) => house.hub.commit(id, files),
        refuse: () => Promise.resolve(),
        revoke: async (id, sha) => {
          const artifact = await house.artifactOf(id, sha);
          const denied = await house.call('POST', `/wb/v1/artifacts/${artifact}/deny`, {
            reason: 'it was found to leak',
          });
          assert.equal(denied.status, 200);
        },
      };
    });
  }
}
