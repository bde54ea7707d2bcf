import assert from 'node:assert/strict';
import { get } from 'node:http';
import { test } from 'node:test';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { removeFolder, runWeighbridge, startTestServer } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';

async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url);
  await answer.arrayBuffer();
  return answer.status;
}

for (const [name, path] of Object.entries({
  'a documentation name': `readme${'-'.repeat(200)}!`,
  'the name of a shard': `x.gguf${'-0'.repeat(100)}!`,
})) {
  test(`${name} that makes a pattern backtrack does not stop the server`, { timeout: 120_000 }, async () => {
    const hub = await openLoopbackHub();
    const server = await startTestServer({ upstream: hub.url });
    try {
      await hub.commit('evil/name', { [path]: 'x' });
      await statusOf(`${server.clients}/api/models/evil/name`);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const alive = await fetch(`${server.console}/healthz`, { signal: AbortSignal.timeout(10_000) });
      assert.equal(alive.status, 200);
      await alive.arrayBuffer();
    } finally {
      await server.kill();
      await hub.close();
      await removeFolder(server.data);
    }
  });
}

test(
  'nested subscripts of a template do not hold the scanner from everybody else',
  { timeout: 180_000 },
  async () => {
    await using house = await openWholeHouse();
    const nested = `{{ ${'a['.repeat(14_000)}0${']'.repeat(14_000)} }}`;
    const files = Array.from({ length: 6 }, (_, i) => [
      `c${i}_config.json`,
      JSON.stringify({ i, chat_template: nested }),
    ]);
    await house.hub.commit('evil/template', Object.fromEntries(files) as Record<string, string>);
    await house.hub.commit('org/honest', { 'config.json': '{"model_type":"bert"}' });
    await statusOf(`${house.server.clients}/api/models/evil/template`);
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(await statusOf(`${house.server.clients}/org/honest/resolve/main/config.json`), 200);
  },
);

test('one person with a token and the socket is not two people', { timeout: 120_000 }, async () => {
  await using house = await openWholeHouse({ flags: ['--environment', 'production', '--tier', 'high'] });
  const url = `${house.server.clients}/org/high/resolve/main/config.json`;
  const commit = await house.hub.commit('org/high', { 'config.json': '{"a":1}' });
  assert.equal(await statusOf(url), 403);
  const artifact = await house.artifactOf('org/high', commit);
  const approval = { reason: 'one person', root: 'loading', environments: ['production'], expiresAt: null };
  await house.call('POST', `/wb/v1/artifacts/${artifact}/approve`, approval);
  await runWeighbridge([
    'approve',
    artifact,
    '--data',
    house.server.data,
    '--reason',
    'the same person',
    '--root',
    'loading',
  ]);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  assert.equal(await statusOf(url), 403);
});

test(
  'an approval of what loads does not carry over to other weights under a documentation name',
  { timeout: 120_000 },
  async () => {
    await using house = await openWholeHouse({ flags: ['--environment', 'production'] });
    const url = `${house.server.clients}/org/licence/resolve/main/LICENSE`;
    const files = { 'config.json': '{}', 'pytorch_model.bin.index.json': '{"weight_map":{"w":"LICENSE"}}' };
    const commit = await house.hub.commit('org/licence', { ...files, LICENSE: 'first weights' });
    await statusOf(url);
    const artifact = await house.artifactOf('org/licence', commit);
    const approval = { reason: 'reviewed', root: 'loading', environments: ['production'], expiresAt: null };
    await house.call('POST', `/wb/v1/artifacts/${artifact}/approve`, approval);
    await house.hub.commit('org/licence', { ...files, LICENSE: 'other weights' });
    assert.equal(await statusOf(url), 403);
  },
);

test(
  'a revoked artifact does not come back with one space more in its configuration',
  { timeout: 120_000 },
  async () => {
    await using house = await openWholeHouse();
    const url = `${house.server.clients}/org/revoked/resolve/main/model.safetensors`;
    const header = Buffer.from('{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const weights = Buffer.concat([length, header, Buffer.alloc(1)]);
    const commit = await house.hub.commit('org/revoked', {
      'config.json': '{}',
      'model.safetensors': weights,
    });
    assert.equal(await statusOf(url), 200);
    const artifact = await house.artifactOf('org/revoked', commit);
    await house.call('POST', `/wb/v1/artifacts/${artifact}/deny`, { reason: 'the weights are backdoored' });
    await house.hub.commit('org/revoked', { 'config.json': '{ }', 'model.safetensors': weights });
    assert.notEqual(await statusOf(url), 200);
  },
);

test(
  'a web page whose name resolves to this machine gets nothing from the listener without tokens',
  { timeout: 120_000 },
  async () => {
    await using house = await openWholeHouse();
    await house.hub.commit('org/page', { 'config.json': '{}' });
    const { hostname, port } = new URL(house.server.clients);
    const statusFor = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const asked = get({ hostname, port, path: '/api/models/org/page', headers: { host } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        asked.on('error', reject);
      });
    assert.equal(await statusFor(`127.0.0.1:${port}`), 200);
    assert.equal(await statusFor(`localhost:${port}`), 200);
    assert.equal(await statusFor(`attacker.example:${port}`), 403);
    assert.equal(await statusFor('127.0.0.1.attacker.example'), 403);
  },
);
