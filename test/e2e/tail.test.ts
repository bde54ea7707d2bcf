import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { missing } from '../support/foreign.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { openPythonHub, pythonIn } from '../support/python-hub.ts';
import { openRawDownload } from '../support/raw-download.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/**
 * `tail` by the real server with its default rules. Upstream stops in the middle of each file and is asked for the rest
 * after 30 s, three time-outs of huggingface_hub: long enough to see what leaves before anything is known.
 */
const MiB = 1024 * 1024;
const dataBytes = 22 * MiB;
const weights = Buffer.from(safetensors({ w: tensor(0, dataBytes) }, dataBytes));
/** Other bytes: while the same ones come from elsewhere, a file is held. */
const others = Buffer.from(weights);
others[others.length - 1] = 2;
const pickle = Buffer.concat([
  Buffer.from("\x80\x04cposix\nsystem\n(S'id'\ntR"),
  Buffer.alloc(12 * MiB, 'N'),
]);
const path = 'model.safetensors';
const hf = { 'user-agent': 'unknown/None; hf_hub/1.33.0; python/3.11' };
const environments = ['hub-0.36.0', 'hub-1.16.0', 'venv'] as const;

describe('tail by the whole server', { concurrency: true }, () => {
  let house: WholeHouse;

  before(async () => {
    house = await openWholeHouse();
    const { hub } = house;
    await hub.commit('org/clean', { 'config.json': '{"model_type":"bert"}', [path]: weights });
    await hub.commit('org/refused', {
      'config.json': '{"auto_map":{"AutoModel":"modeling_x.X"}}',
      'modeling_x.py': 'import os\nos.system("id")\n',
      [path]: others,
    });
    await hub.commit('org/pickle', { 'config.json': '{}', 'pytorch_model.bin': pickle });
    for (const id of ['org/clean', 'org/refused']) hub.lie(id, 'stall', { path, times: 1 });
  });
  after(() => house[Symbol.asyncDispose]());

  const download = async (t: TestContext, environment: string, id: string) => {
    const python = pythonIn(environment);
    assert.ok(python);
    const session = await openPythonHub(python, house.server.clients);
    t.after(() => session[Symbol.asyncDispose]());
    const target = join(session.home, 'into');
    const answer = await session.call('download', { repo_id: id, filename: path, local_dir: target });
    return { answer, bytes: await readFile(join(target, path)).catch(() => undefined) };
  };
  const streams = async (id: string) => {
    const url = `/${id}/resolve/main/${path}`;
    const head = await openRawDownload(house.server.clients, url, hf, 'HEAD');
    await head.until((answer) => answer.status() !== 0, 60_000);
    assert.equal(head.status(), 200);
    head.close();
    const get = await openRawDownload(house.server.clients, url, hf);
    await get.until((answer) => answer.received() >= 10 * MiB, 60_000);
    assert.equal(get.status(), 200);
    assert.ok(get.received() < 12 * MiB, 'upstream has not sent more');
    return get;
  };

  test('clean: streamed before its end is here, complete after the verdict', async () => {
    const get = await streams('org/clean');
    await get.until((answer) => answer.received() === weights.length, 120_000);
    assert.ok(get.body().equals(weights));
    get.close();
  });

  test('refused: nothing that was withheld ever leaves, and later requests hear why', async () => {
    const get = await streams('org/refused');
    await get.until((answer) => answer.ended() !== undefined, 120_000);
    assert.equal(get.ended(), 'end');
    assert.ok(get.received() <= weights.length - MiB);
    for (const method of ['HEAD', 'GET']) {
      const url = `/org/refused/resolve/main/${path}`;
      const again = await openRawDownload(house.server.clients, url, hf, method);
      await again.until((answer) => answer.status() !== 0);
      assert.equal(again.status(), 403);
      assert.match(again.header('x-error-message') ?? '', /weighbridge refuses/);
      again.close();
    }
  });

  test('a pickle is held: no byte before it is refused', async () => {
    const url = '/org/pickle/resolve/main/pytorch_model.bin';
    const get = await openRawDownload(house.server.clients, url, hf);
    await get.until((answer) => answer.status() !== 0, 60_000);
    assert.equal(get.status(), 403);
    get.close();
  });

  for (const environment of environments) {
    const skip = missing(`huggingface_hub in .cache/${environment}`, pythonIn(environment) !== undefined);
    test(`${environment}: completes what is clean`, { skip }, async (t) => {
      const { answer, bytes } = await download(t, environment, 'org/clean');
      assert.equal(answer.error, undefined, `${answer.message}`);
      assert.ok(bytes?.equals(weights));
    });
    test(`${environment}: shows why a file is refused`, { skip }, async (t) => {
      const { answer, bytes } = await download(t, environment, 'org/refused');
      assert.equal(answer.error, 'GatedRepoError', `${answer.message}`);
      assert.match(answer.message ?? '', /weighbridge refuses/);
      assert.equal(bytes, undefined);
    });
  }
});
