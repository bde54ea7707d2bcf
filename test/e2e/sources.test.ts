import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { bytesOf, safetensors, tensor } from '../support/model-bytes.ts';
import { openFileHost, serveFiles } from '../support/file-host.ts';
import type { FileHost } from '../support/file-host.ts';
import { refusalOf, sha256Hex, snapshotByHub, takeIn, withoutHubClient } from '../support/intakes.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

const weights = safetensors({ t: tensor(0, 16) }, 16);
const pickle = bytesOf('cos\nsystem\n(S"touch /tmp/owned"\ntR.');
let house: WholeHouse;
let host: FileHost;

before(async () => {
  host = await openFileHost(
    serveFiles({
      'vendor/v1/adapter.safetensors': weights,
      'vendor/v1/config/adapter_config.json': '{"r":8}',
      'vendor/evil.pkl': pickle,
    }),
  );
  house = await openWholeHouse({ flags: ['--intake-hosts=127.0.0.1'] });
});
after(async () => {
  if (process.env['WEIGHBRIDGE_SHOW_SERVER'] === '1') console.log(house.server.output());
  await house[Symbol.asyncDispose]();
  await host[Symbol.asyncDispose]();
});

const pull = async (path: string) => {
  const answer = await fetch(`${house.server.clients}${path}`);
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()), headers: answer.headers };
};

test('one https file becomes a repository that is pulled as any other', async () => {
  const view = await takeIn(house, {
    source: `${host.url}/vendor/v1/adapter.safetensors?signature=secret`,
    as: 'acme/adapter',
  });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
  assert.equal(view.outcome?.verdict, 'allow', JSON.stringify(view));
  assert.equal(view.outcome?.scan, 'clean');
  assert.ok(!JSON.stringify(view).includes('secret'));
  assert.equal(view.commit, view.artifact?.slice('sha256:'.length, 'sha256:'.length + 40));
  const pulled = await pull('/acme/adapter/resolve/main/adapter.safetensors');
  assert.equal(pulled.status, 200);
  assert.deepEqual(pulled.bytes, Buffer.from(weights));
  assert.equal(pulled.headers.get('x-repo-commit'), view.commit);
  assert.ok(!house.hub.seen.some(({ url }) => url.includes('acme')), 'the hub was asked for a taken name');
  const { body } = await house.call('GET', `/wb/v1/artifacts/${view.artifact ?? ''}`);
  assert.ok(!JSON.stringify(body).includes('secret'));
});

test('several URLs are one artifact with the paths below their folder', async () => {
  const view = await takeIn(house, {
    source: [`${host.url}/vendor/v1/adapter.safetensors`, `${host.url}/vendor/v1/config/adapter_config.json`],
    as: 'acme/folder',
    reference: 'v1',
  });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
  const answer = await fetch(`${house.server.clients}/api/models/acme/folder/revision/v1`);
  const { siblings } = (await answer.json()) as { siblings: readonly { rfilename: string }[] };
  assert.deepEqual(
    siblings.map(({ rfilename }) => rfilename),
    ['adapter.safetensors', 'config/adapter_config.json'],
  );
  assert.equal((await pull('/acme/folder/resolve/HEAD/config/adapter_config.json')).status, 200);
  assert.equal((await pull('/acme/folder/resolve/main/config/adapter_config.json')).status, 404);
});

test('a pickle that runs a command is denied, and its bytes never leave', async () => {
  const view = await takeIn(house, { source: `${host.url}/vendor/evil.pkl`, as: 'acme/evil' });
  assert.equal(view.outcome?.verdict, 'deny');
  assert.equal(view.outcome.scan, 'malicious');
  assert.ok(view.outcome.findings > 0);
  const pulled = await pull('/acme/evil/resolve/main/evil.pkl');
  assert.equal(pulled.status, 403);
  assert.ok(!pulled.bytes.includes(Buffer.from('cos\nsystem')));
});

test('a declared digest is held against the bytes', async () => {
  const source = `${host.url}/vendor/v1/adapter.safetensors`;
  assert.equal(await refusalOf(house, { source, as: 'acme/lied', sha256: '0'.repeat(64) }), 'upstream.lied');
  assert.equal((await pull('/acme/lied/resolve/main/adapter.safetensors')).status, 404);
});

test('a reference is the newest intake, and an older one again when it is taken in again', async () => {
  const older = await takeIn(house, {
    source: `${host.url}/vendor/v1/adapter.safetensors`,
    as: 'acme/moves',
  });
  const newer = await takeIn(house, {
    source: `${host.url}/vendor/v1/config/adapter_config.json`,
    as: 'acme/moves',
  });
  const commitOf = async (): Promise<string> =>
    ((await (await fetch(`${house.server.clients}/api/models/acme/moves`)).json()) as { sha: string }).sha;
  assert.equal(await commitOf(), newer.commit);
  await takeIn(house, { source: `${host.url}/vendor/v1/adapter.safetensors`, as: 'acme/moves' });
  assert.equal(await commitOf(), older.commit);
});

test('a repository of the hub comes in whole, or in part, before anybody pulls it', async () => {
  await house.hub.commit('org/wanted', { 'config.json': '{}', 'a.safetensors': weights, 'evil.pkl': pickle });
  const part = await takeIn(house, { source: 'hf://org/wanted', include: '*.safetensors' });
  assert.equal(part.outcome?.verdict, 'allow', JSON.stringify(part));
  const whole = await takeIn(house, { source: 'hf://models/org/wanted@main' });
  assert.equal(whole.outcome?.verdict, 'deny', JSON.stringify(whole));
  assert.equal(whole.artifact, part.artifact);
});

test('huggingface_hub pulls what came from URLs', { skip: withoutHubClient }, async () => {
  assert.deepEqual(await snapshotByHub(house, 'acme/folder', 'v1'), {
    'adapter.safetensors': sha256Hex(weights),
    'config/adapter_config.json': sha256Hex('{"r":8}'),
  });
});

test('a data set is one, and the model of the same name is another repository', async () => {
  const source = `${host.url}/vendor/v1/config/adapter_config.json`;
  const view = await takeIn(house, { source, as: 'acme/rows', type: 'datasets' });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
  assert.equal((await pull('/datasets/acme/rows/resolve/main/adapter_config.json')).status, 200);
  assert.equal((await pull('/acme/rows/resolve/main/adapter_config.json')).status, 404);
  const { body } = await house.call('GET', '/wb/v1/intakes?limit=1');
  assert.equal((body as { items: readonly { id: string }[] }).items[0]?.id, view.id);
});
