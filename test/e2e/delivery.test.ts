import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { missing } from '../support/foreign.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { openPythonHub, pythonIn } from '../support/python-hub.ts';
import { runWeighbridge } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/** `approve` mode against the real server: a person decides, and the client is told where. */
let house: WholeHouse;
const id = 'vendor/model';
const rules = "rules: [{repositories: ['vendor/*'], mode: approve}]\n";

before(async () => {
  house = await openWholeHouse();
  await house.hub.commit(id, {
    'config.json': '{"model_type":"bert"}',
    'model.safetensors': Buffer.from(safetensors({ weight: tensor(0, 4096) }, 4096)),
  });
});
after(() => house[Symbol.asyncDispose]());

async function answer(): Promise<{ readonly status: number; readonly message: string }> {
  const response = await fetch(`${house.server.clients}/${id}/resolve/main/model.safetensors`);
  await response.arrayBuffer();
  return { status: response.status, message: response.headers.get('x-error-message') ?? '' };
}

async function until(held: (now: Awaited<ReturnType<typeof answer>>) => boolean): Promise<string> {
  for (let tries = 0; ; tries++) {
    const now = await answer();
    if (held(now)) return now.message;
    assert.ok(tries < 400, `${now.status} ${now.message}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const weighbridge = (...words: readonly string[]): ReturnType<typeof runWeighbridge> =>
  runWeighbridge([...words, `--data=${house.server.data}`]);

test('a rule that asks for approval refuses at once what was allowed before, and opens it again when it goes', async () => {
  await until(({ status }) => status === 200);
  await writeFile(join(house.server.data, 'delivery.yaml'), rules);
  const message = await until(({ status }) => status === 404);
  assert.match(message, /has withdrawn .*\[delivery\.approval\]/);
  await writeFile(join(house.server.data, 'delivery.yaml'), 'rules: []\n');
  await until(({ status }) => status === 200);
});

test('broken rules are reported by `doctor` and keep what needs approval closed', async () => {
  const path = join(house.server.data, 'delivery.yaml');
  await writeFile(path, rules);
  await until(({ status }) => status === 404);
  await writeFile(path, "rules: [{repositories: ['*'], mode: tail, formats: [pickle]}]\n");
  let said = '';
  for (let tries = 0; !/FAIL\s+delivery/.test(said); tries++) {
    assert.ok(tries < 20, said);
    const { code, stdout } = await weighbridge('doctor');
    said = stdout;
    if (/FAIL\s+delivery/.test(said)) assert.equal(code, 2);
  }
  assert.match(said, /`pickle` may not stream/);
  assert.equal((await answer()).status, 404);
  const metrics = await fetch(`${house.server.console}/metrics`, {
    headers: { authorization: `Bearer ${house.server.token}` },
  });
  assert.match(await metrics.text(), /^weighbridge_delivery_faults 1$/m);
  await writeFile(path, rules);
});

test('a large cold file of a format that may stream gives not a byte in `approve`, and all of it without', async () => {
  const size = 12 * 1024 * 1024;
  const client = { 'user-agent': 'unknown/None; hf_hub/1.16.0; python/3.11' };
  for (const [name, streams] of [
    ['vendor/large', false],
    ['open/large', true],
  ] as const) {
    await house.hub.commit(name, {
      'config.json': '{"model_type":"bert"}',
      'model.safetensors': Buffer.from(safetensors({ [name]: tensor(0, size) }, size)),
    });
    // The same bytes under both names would need approval under both. The first answer counts: what follows would be warm.
    const url = `${house.server.clients}/${name}/resolve/main/model.safetensors`;
    const response = await fetch(url, { headers: client });
    const body = await response.arrayBuffer();
    assert.equal(response.status, streams ? 200 : 403, response.headers.get('x-error-message') ?? '');
    if (streams) assert.ok(body.byteLength > size);
    else assert.ok(body.byteLength < 10_000 && !Buffer.from(body).includes(Buffer.alloc(64, 1)));
  }
});

const python = pythonIn('venv');
test(
  'huggingface_hub shows who approves and where; after `weighbridge approve` the same call succeeds; revoked it is refused',
  { skip: missing('huggingface_hub in .cache/venv', python !== undefined) },
  async (t) => {
    assert.ok(python);
    const fresh = 'vendor/fresh';
    const commit = await house.hub.commit(fresh, {
      'config.json': '{"model_type":"bert"}',
      'model.safetensors': Buffer.from(safetensors({ weight: tensor(0, 8192) }, 8192)),
    });
    const client = await openPythonHub(python, house.server.clients);
    t.after(() => client[Symbol.asyncDispose]());
    const download = () => client.call('download', { repo_id: fresh, filename: 'model.safetensors' });
    const refused = await download();
    const artifact = await house.artifactOf(fresh, commit);
    assert.equal(refused.error, 'GatedRepoError');
    const words = refused.message ?? '';
    assert.match(words, /needs approval by a person/);
    assert.ok(words.includes(`${house.server.console}/console/artifacts/${artifact}`), words);
    assert.ok(words.includes(`weighbridge approve ${artifact} --environment development`), words);

    // For another environment it does not count.
    const approval = ['approve', '--reason=reviewed by two of us', artifact];
    assert.equal((await weighbridge(...approval)).code, 0);
    assert.equal((await download()).error, 'GatedRepoError');
    assert.equal((await weighbridge(...approval, '--environment=development')).code, 0);
    const passed = await download();
    assert.equal(passed.error, undefined, `${passed.error}: ${passed.message}`);

    const bundle = join(client.home, 'decision.tar');
    const exported = await weighbridge('decide', artifact, '--environment=development', `--export=${bundle}`);
    assert.equal(exported.code, 0, exported.stderr);
    const checked = await weighbridgeOffline(bundle);
    assert.equal(checked.code, 0, checked.stderr + checked.stdout);
    assert.match(checked.stdout, /delivery\.approval/);

    assert.equal((await weighbridge('deny', '--reason=it leaks', artifact)).code, 0);
    const revoked = await client.call('download', {
      repo_id: fresh,
      filename: 'model.safetensors',
      force_download: true,
    });
    assert.match(revoked.message ?? '', /integrity\.revoked/);
  },
);

const weighbridgeOffline = (path: string): ReturnType<typeof runWeighbridge> =>
  runWeighbridge(['decide', `--offline=${path}`, `--trust=${house.server.fingerprint}`]);
