import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { signGet } from '#adapters/sources/s3/sign.ts';
import { Redacted } from '#lib/redacted.ts';
import { openFileHost } from '../support/file-host.ts';
import { missing } from '../support/foreign.ts';
import { motoProgram, openS3Server } from '../support/foreign-servers.ts';
import type { S3Server } from '../support/foreign-servers.ts';
import { refusalOf, sha256Hex, snapshotByHub, takeIn, withoutHubClient } from '../support/intakes.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

const skip = missing('moto in .cache/moto-venv', motoProgram !== undefined);
const weights = safetensors({ t: tensor(0, 64) }, 64);
let s3: S3Server;
let closed: S3Server;
let house: WholeHouse;
let folder: string;

before(async () => {
  if (skip !== false) return;
  folder = await mkdtemp(join(tmpdir(), 'sources-s3-'));
  s3 = await openS3Server(
    'vendor-bucket',
    {
      'models/a/model.safetensors': weights,
      'models/a/config.json': '{"model_type":"bert"}',
      'models/a/sub/notes & more (1)+é.txt': 'spaces and signs',
      'models/a/folder/': '',
      'models/ab/other.json': '{}',
      'models/single.safetensors': weights,
    },
    { signed: false },
  );
  closed = await openS3Server(
    'closed-bucket',
    { 'delivery/config.json': '{}', 'delivery/model.safetensors': weights },
    { signed: true },
  );
  const credentials = join(folder, 'credentials.yaml');
  await writeFile(
    credentials,
    `- host: ${new URL(closed.url).host}\n  access-key-id: ${closed.id}\n  secret-access-key: ${closed.secret}\n`,
    { mode: 0o600 },
  );
  house = await openWholeHouse({
    flags: ['--intake-hosts=127.0.0.1', `--intake-credentials=${credentials}`],
  });
});
after(async () => {
  if (skip !== false) return;
  await house[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test('a prefix of several pages with odd keys', { skip }, async () => {
  const view = await takeIn(house, {
    source: 's3://vendor-bucket/models/a',
    endpoint: s3.url,
    as: 'acme/bucket',
  });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
  assert.equal(view.outcome?.verdict, 'allow', JSON.stringify(view.outcome));
  const answer = await fetch(`${house.server.clients}/api/models/acme/bucket`);
  const { siblings } = (await answer.json()) as { siblings: readonly { rfilename: string }[] };
  assert.deepEqual(
    siblings.map(({ rfilename }) => rfilename),
    ['config.json', 'model.safetensors', 'sub/notes & more (1)+é.txt'],
  );
  const file = await fetch(
    `${house.server.clients}/acme/bucket/resolve/main/sub/${encodeURIComponent('notes & more (1)+é.txt')}`,
  );
  assert.equal(await file.text(), 'spaces and signs');
});

test('a prefix that is one object', { skip }, async () => {
  const view = await takeIn(house, {
    source: 's3://vendor-bucket/models/single.safetensors',
    endpoint: s3.url,
    as: 'acme/single',
  });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
  assert.equal(view.progress.files, 1);
});

test('nothing there is absent, and no path leads out of the bucket', { skip }, async () => {
  const at = { endpoint: s3.url, as: 'acme/nothing' };
  assert.equal(await refusalOf(house, { source: 's3://vendor-bucket/none', ...at }), 'source.absent');
  assert.equal(await refusalOf(house, { source: 's3://other-bucket/none', ...at }), 'source.absent');
  assert.equal(await refusalOf(house, { source: 's3://vendor-bucket/../other', ...at }), 'path.invalid');
});

test('our key never signs for an endpoint that a caller names', { skip }, async () => {
  await using thief = await openFileHost((_request, response) => void response.writeHead(403).end());
  assert.equal(
    await refusalOf(house, { source: 's3://vendor-bucket/models', endpoint: thief.url, as: 'acme/thief' }),
    'request.forbidden',
  );
  assert.equal(thief.seen.length, 1);
  assert.ok(!JSON.stringify(thief.seen).includes(closed.id));
  assert.equal(thief.seen[0]?.headers.authorization, undefined);
});

test('a closed bucket opens with the key of the operator; moto checks signatures', { skip }, async () => {
  const view = await takeIn(house, {
    source: 's3://closed-bucket/delivery',
    endpoint: closed.url,
    as: 'acme/closed',
  });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
  assert.equal(view.progress.files, 2);
  const url = new URL('/closed-bucket/delivery/config.json', closed.url);
  const forged = { accessKeyId: closed.id, secretAccessKey: new Redacted('guessed') };
  const headers = signGet({ url, headers: {} }, forged, { region: 'us-east-1', at: new Date() });
  const answer = await fetch(url, { headers });
  assert.equal(answer.status, 403, 'control: moto takes any signature');
  await answer.arrayBuffer();
});

test(
  'huggingface_hub pulls what came from a bucket',
  { skip: skip === false ? withoutHubClient : skip },
  async () => {
    assert.deepEqual(await snapshotByHub(house, 'acme/bucket'), {
      'config.json': sha256Hex('{"model_type":"bert"}'),
      'model.safetensors': sha256Hex(weights),
      'sub/notes & more (1)+é.txt': sha256Hex('spaces and signs'),
    });
  },
);
