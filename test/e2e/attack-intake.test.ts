import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { openRawDownload } from '../support/raw-download.ts';
import { removeFolder, startTestServer } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';

/** Attacks on what comes in, each against the real server. */
const MiB = 1024 * 1024;
const dataBytes = 22 * MiB;
const weights = Buffer.from(safetensors({ w: tensor(0, dataBytes) }, dataBytes));
const path = 'model.safetensors';
const hf = { 'user-agent': 'unknown/None; hf_hub/1.33.0; python/3.11' };

test('what was streamed of a lie is never completed by the rest of the truth, not even after a restart', async (t) => {
  const hub = await openLoopbackHub();
  t.after(() => hub.close());
  const data = await mkdtemp(join(tmpdir(), 'weighbridge-'));
  await hub.commit('org/mixed', { 'config.json': '{}', [path]: weights });
  hub.lie('org/mixed', 'wrong-bytes', { path, times: 1 });
  const url = `/org/mixed/resolve/main/${path}`;

  const first = await startTestServer({ upstream: hub.url, data });
  const lied = await openRawDownload(first.clients, url, hf);
  await lied.until((answer) => answer.ended() !== undefined, 120_000);
  const kept = lied.body();
  assert.ok(kept.length > weights.length / 2 && kept.length < weights.length, `${kept.length}`);
  assert.ok(!kept.equals(weights.subarray(0, kept.length)), 'the lie was streamed');
  await first.kill();

  const second = await startTestServer({ upstream: hub.url, data });
  t.after(async () => {
    await second.stop();
    await removeFolder(data);
  });
  for (const warm of [false, true]) {
    const rest = await openRawDownload(second.clients, url, { ...hf, range: `bytes=${kept.length}-` });
    await rest.until((answer) => answer.ended() !== undefined || complete(answer), 120_000);
    assert.equal(rest.status(), 200, `${warm ? 'warm' : 'cold'}: a part would be joined to other bytes`);
    assert.ok(rest.body().equals(weights));
    rest.close();
  }
});

function complete(answer: { header(name: string): string | undefined; received(): number }): boolean {
  return answer.received() === Number(answer.header('content-length') ?? -1);
}

test('every route for people refuses whoever is no administrator, before it looks at anything', async (t) => {
  await using house = await openWholeHouse();
  const made = await house.call('POST', '/wb/v1/tokens', {
    namespace: 'default',
    name: 'a client',
    environment: null,
    expiresAt: null,
  });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  const { token } = made.body as { token: string };
  const { body } = await house.call('GET', '/wb/v1/openapi.json');
  const { paths } = body as { paths: Record<string, Record<string, unknown>> };
  const id = '00000000-0000-0000-0000-000000000000';
  const digest = `sha256:${'0'.repeat(64)}`;
  const bodies: Readonly<Record<string, unknown>> = {
    '/wb/v1/intakes': { source: 'upload', as: 'org/name' },
    '/wb/v1/triage': { type: 'models', repository: 'org/name', revision: null },
    '/wb/v1/namespaces': { namespace: 'team-a', environment: 'development' },
    '/wb/v1/tokens': { namespace: 'default', name: 'mine', environment: null, expiresAt: null },
    '/wb/v1/tokens/revoke': { namespace: 'default', id: digest },
  };
  const malformed: string[] = [];
  let asked = 0;
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods)) {
      const url = `${house.server.console}${path.replaceAll(/\{[^}]*\}/g, (name) =>
        name === '{id}' && !path.includes('adoptions') ? id : digest,
      )}${path === '/wb/v1/tokens' && method === 'get' ? '?namespace=default' : ''}`;
      const sent =
        method === 'get' || method === 'delete' ? {} : { body: JSON.stringify(bodies[path] ?? {}) };
      for (const [authorization, status] of [
        ['', 401],
        ['Bearer hf_nobody', 401],
        [`Bearer ${token}`, 403],
      ] as const) {
        const headers = { authorization, ...('body' in sent ? { 'content-type': 'application/json' } : {}) };
        const answer = await fetch(url, { method: method.toUpperCase(), headers, ...sent });
        await answer.arrayBuffer();
        asked += 1;
        // What is malformed may be said to anybody; nothing else may.
        if (answer.status === 400) malformed.push(`${method} ${path}`);
        else assert.equal(answer.status, status, `${method} ${path} as \`${authorization.slice(0, 12)}\``);
      }
    }
  }
  t.diagnostic(`${asked} requests; malformed: ${[...new Set(malformed)].join(', ')}`);
  assert.ok(asked - malformed.length > 60, `${asked} - ${malformed.length}`);
});
