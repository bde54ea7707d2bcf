import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { encodeTar } from '#lib/tar.ts';
import { openFileHost } from '../support/file-host.ts';
import type { FileHost } from '../support/file-host.ts';
import { missing } from '../support/foreign.ts';
import { openOciRegistry, registryProgram } from '../support/foreign-servers.ts';
import type { OciRegistry } from '../support/foreign-servers.ts';
import { refusalOf, sha256Hex, snapshotByHub, takeIn, withoutHubClient } from '../support/intakes.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

const skip = missing('docker-registry', registryProgram !== undefined);
const weights = safetensors({ t: tensor(0, 64) }, 64);
const raw = 'application/vnd.cncf.model.weight.v1.raw';
const title = (path: string) => ({ 'org.opencontainers.image.title': path });
const filePath = (path: string) => ({ 'org.cncf.model.filepath': path });
let registry: OciRegistry;
let guarded: FileHost;
let realm: { url: string; token: string };
let house: WholeHouse;
let folder: string;

before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), 'sources-oci-'));
  registry = await openOciRegistry();
  realm = { url: '', token: 'the-token-of-the-realm' };
  guarded = await openFileHost(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://host');
    if (url.pathname === '/token') return answerToken(request.headers.authorization, url, response);
    if (request.headers.authorization !== `Bearer ${realm.token}`) {
      const challenge = `Bearer realm="${realm.url}",service="guarded",scope="repository:x:push"`;
      return void response.writeHead(401, { 'www-authenticate': challenge }).end('{}');
    }
    const { accept = '*/*' } = request.headers;
    const answer = await fetch(`${registry.url}${request.url ?? ''}`, { headers: { accept } });
    const bytes = Buffer.from(await answer.arrayBuffer());
    return void response.writeHead(answer.status, { 'content-length': bytes.length }).end(bytes);
  });
  const credentials = join(folder, 'credentials.yaml');
  const { host } = new URL(guarded.url);
  await writeFile(credentials, `- host: ${host}\n  username: reader\n  password: open-sesame\n`, {
    mode: 0o600,
  });
  house = await openWholeHouse({
    flags: ['--intake-hosts=127.0.0.1', `--intake-credentials=${credentials}`],
  });
});
after(async () => {
  if (skip !== false) return;
  await house[Symbol.asyncDispose]();
  await guarded[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function answerToken(authorization: string | undefined, url: URL, response: ServerResponse): void {
  const right = authorization === `Basic ${Buffer.from('reader:open-sesame').toString('base64')}`;
  const scoped = url.searchParams.get('scope') === 'repository:team/model:pull';
  if (!right || !scoped || url.searchParams.get('service') !== 'guarded')
    return void response.writeHead(401).end('{}');
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token: realm.token }));
}

const sourceOf = (server: { readonly url: string }, rest: string): string =>
  `oci+http://${new URL(server.url).host}/${rest}`;

async function filesOf(id: string): Promise<readonly string[]> {
  const answer = await fetch(`${house.server.clients}/api/models/${id}`);
  const { siblings } = (await answer.json()) as { siblings: readonly { rfilename: string }[] };
  return siblings.map(({ rfilename }) => rfilename);
}

test('a ModelPack by tag and by digest: raw layers are files', { skip }, async () => {
  const digest = await registry.push('team/model', 'v1', [
    { bytes: weights, mediaType: raw, annotations: filePath('weights/model.safetensors') },
    { bytes: Buffer.from('{}'), mediaType: raw, annotations: filePath('config.json') },
  ]);
  for (const rest of ['team/model:v1', `team/model@${digest}`]) {
    const view = await takeIn(house, { source: sourceOf(registry, rest), as: 'acme/pack' });
    assert.equal(view.state, 'done', JSON.stringify(view.fault));
    assert.equal(view.outcome?.verdict, 'allow', JSON.stringify(view.outcome));
  }
  assert.deepEqual(await filesOf('acme/pack'), ['config.json', 'weights/model.safetensors']);
  const file = await fetch(`${house.server.clients}/acme/pack/resolve/main/weights/model.safetensors`);
  assert.deepEqual(Buffer.from(await file.arrayBuffer()), Buffer.from(weights));
});

test('archives of KitOps and ORAS are unpacked, as GNU tar and ours write them', { skip }, async () => {
  mkdirSync(join(folder, 'tree/deep'), { recursive: true });
  const long = `${'long-'.repeat(30)}name.txt`;
  writeFileSync(join(folder, 'tree', long), 'long');
  writeFileSync(join(folder, 'tree/deep/model.safetensors'), weights);
  const gnu = execFileSync('tar', ['--format=gnu', '-czf', '-', '.'], { cwd: join(folder, 'tree') });
  const pax = encodeTar([{ name: 'code/config.json', bytes: Buffer.from('{}') }]);
  await registry.push('team/kit', 'v1', [
    { bytes: gnu, mediaType: 'application/vnd.kitops.modelkit.model.v1.tar+gzip' },
    {
      bytes: gzipSync(pax),
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      annotations: { ...title('code'), 'io.deis.oras.content.unpack': 'true' },
    },
    {
      bytes: Buffer.from('# card'),
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      annotations: title('README.md'),
    },
  ]);
  const view = await takeIn(house, { source: sourceOf(registry, 'team/kit:v1'), as: 'acme/kit' });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
  assert.deepEqual(await filesOf('acme/kit'), [
    'README.md',
    'code/config.json',
    'deep/model.safetensors',
    long,
  ]);
});

test('names that lead out, links and names taken twice are refused', { skip }, async () => {
  const out = Buffer.from(encodeTar([{ name: 'aa/bb/passwd', bytes: Buffer.from('x') }]));
  out.write('../../passwd', 0);
  const sum = out
    .subarray(0, 512)
    .reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  out.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  mkdirSync(join(folder, 'links'));
  symlinkSync('/etc/passwd', join(folder, 'links/model.bin'));
  const link = execFileSync('tar', ['-cf', '-', 'model.bin'], { cwd: join(folder, 'links') });
  const tar = 'application/vnd.cncf.model.weight.v1.tar';
  const cases = {
    traversal: [{ bytes: out, mediaType: tar }],
    link: [{ bytes: link, mediaType: tar }],
    cut: [
      { bytes: encodeTar([{ name: 'x', bytes: Buffer.alloc(5_000) }]).subarray(0, 3_000), mediaType: tar },
    ],
    'not-gzip': [{ bytes: link, mediaType: `${tar}+gzip` }],
    absolute: [{ bytes: weights, mediaType: raw, annotations: filePath('/etc/passwd') }],
    upwards: [{ bytes: weights, mediaType: raw, annotations: title('../x') }],
    twice: [
      { bytes: weights, mediaType: raw, annotations: title('x') },
      { bytes: Buffer.from('y'), mediaType: raw, annotations: title('x') },
    ],
    nameless: [{ bytes: weights, mediaType: raw }],
  };
  const codes = new Map<string, string>();
  for (const [name, layers] of Object.entries(cases)) {
    await registry.push(`bad/${name}`, 'v1', layers);
    codes.set(
      name,
      await refusalOf(house, { source: sourceOf(registry, `bad/${name}:v1`), as: `acme/bad-${name}` }),
    );
  }
  assert.deepEqual(Object.fromEntries(codes), {
    traversal: 'bundle.invalid',
    link: 'bundle.invalid',
    cut: 'upstream.lied',
    'not-gzip': 'bundle.invalid',
    absolute: 'path.invalid',
    upwards: 'path.invalid',
    twice: 'path.collision',
    nameless: 'manifest.invalid',
  });
});

test('a token is fetched from the realm with the password of the registry itself', { skip }, async () => {
  realm.url = `${guarded.url}/token`;
  const view = await takeIn(house, { source: sourceOf(guarded, 'team/model:v1'), as: 'acme/guarded' });
  assert.equal(view.state, 'done', JSON.stringify(view.fault));
});

test('a realm elsewhere never hears the password, and one inside is not asked', { skip }, async () => {
  await using thief = await openFileHost((_request, response) => void response.end('{"token":"x"}'));
  realm.url = `${thief.url}/token`;
  const refused = await refusalOf(house, { source: sourceOf(guarded, 'team/model:v1'), as: 'acme/guarded' });
  assert.equal(refused, 'request.forbidden');
  assert.equal(thief.seen.length, 1);
  assert.equal(thief.seen[0]?.headers.authorization, undefined);
  for (const inside of [
    'https://169.254.169.254/token',
    'https://10.0.0.1/',
    'https://[::ffff:7f00:1]/',
    'file:///etc/passwd',
  ]) {
    realm.url = inside;
    assert.equal(
      await refusalOf(house, { source: sourceOf(guarded, 'team/model:v1'), as: 'acme/guarded' }),
      'source.forbidden',
      inside,
    );
  }
});

test('layers and manifests that are not what their digest says', { skip }, async () => {
  await using liar = await openFileHost(async (request, response) => {
    const answer = await fetch(`${registry.url}${request.url ?? ''}`, {
      headers: { accept: request.headers.accept ?? '' },
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (request.url?.includes('/blobs/') === true) bytes[0] = (bytes[0] ?? 0) ^ 1;
    response.writeHead(answer.status, { 'content-length': bytes.length }).end(bytes);
  });
  // What the namespace holds already is not fetched again, so these bytes are new.
  const fresh = safetensors({ t: tensor(0, 99) }, 99);
  await registry.push('team/fresh', 'v1', [
    { bytes: fresh, mediaType: raw, annotations: title('f.safetensors') },
  ]);
  assert.equal(
    await refusalOf(house, { source: sourceOf(liar, 'team/fresh:v1'), as: 'acme/liar' }),
    'upstream.lied',
  );
  // Whichever of the two is noticed first: that it is no gzip, or that it has another digest.
  const packed = await refusalOf(house, { source: sourceOf(liar, 'team/kit:v1'), as: 'acme/liar' });
  assert.match(packed, /^(?:bundle\.invalid|upstream\.lied)$/);
  const wrong = `team/model@sha256:${'0'.repeat(64)}`;
  assert.equal(
    await refusalOf(house, { source: sourceOf(registry, wrong), as: 'acme/liar' }),
    'source.absent',
  );
});

test(
  'huggingface_hub pulls what came from a registry',
  { skip: skip === false ? withoutHubClient : skip },
  async () => {
    assert.deepEqual(await snapshotByHub(house, 'acme/pack'), {
      'config.json': sha256Hex('{}'),
      'weights/model.safetensors': sha256Hex(weights),
    });
  },
);
