import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { memorySource, readPickle } from '#artifact/formats/pickle/read-pickle.ts';
import { readPyTorch } from '#artifact/formats/pytorch/read-pytorch.ts';
import { judgePickle } from '#producers/scan/pickle/judge.ts';
import { judgePyTorch } from '#producers/scan/pickle/judge-pytorch.ts';
import type { Finding } from '#evidence/predicates.ts';
import { missing } from '../support/foreign.ts';

const python = new URL('../../.cache/venv/bin/python', import.meta.url).pathname;
const skip = missing('the Python environment of tools/python-env.sh', existsSync(python));
const folder = mkdtempSync(join(tmpdir(), 'pickle-torch-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const writers = new URL('pickle-writers.py', import.meta.url).pathname;
let writing: Promise<unknown> | undefined;
/** The files exist once this resolves; it rejects with what the writers say when they fail. */
const written = async (): Promise<unknown> =>
  await (writing ??= promisify(execFile)(python, ['-W', 'ignore', writers, folder]));

interface Answer {
  readonly findings: readonly Finding[];
  readonly incomplete: readonly string[];
}

async function scan(bytes: Uint8Array): Promise<Answer> {
  const source = memorySource(bytes);
  const torch = await readPyTorch(source);
  if (torch !== undefined) return { findings: judgePyTorch(torch), incomplete: torch.incomplete };
  const reading = await readPickle(source);
  return { findings: judgePickle(reading), incomplete: reading.incomplete };
}

const clean: Answer = { findings: [], incomplete: [] };
const samples = (prefix: string): readonly string[] =>
  readdirSync(folder).filter((name) => name.startsWith(prefix));
const load = (name: string): Uint8Array => readFileSync(join(folder, name));

test('the writers ran', { skip }, async () => {
  await written();
  assert.ok(samples('good').length >= 15 && samples('evil').length >= 8);
});

test('what torch, numpy and the standard library write is clean and complete', { skip }, async () => {
  await written();
  for (const name of samples('good'))
    assert.deepEqual({ name, ...(await scan(load(name))) }, { name, ...clean });
});

test('what scikit-learn and joblib write is never malicious', { skip }, async () => {
  await written();
  for (const name of samples('library')) {
    const { findings } = await scan(load(name));
    assert.deepEqual(
      findings.filter(({ severity }) => severity === 'critical'),
      [],
      name,
    );
  }
});

test('a payload in every protocol and inside torch.save is malicious and shown', { skip }, async () => {
  await written();
  for (const name of samples('evil')) {
    const { findings } = await scan(load(name));
    const shown = findings.find(({ ruleId }) => ruleId === 'PKL-CALL-DENIED');
    assert.equal(shown?.message, 'would call `posix.system("touch /tmp/x")`', name);
  }
});

test('every truncation answers, and none is clean and complete', { skip }, async () => {
  await written();
  for (const name of ['good-state.pt', 'good-legacy.pt', 'evil-torch.pt', 'evil-4.pkl']) {
    const bytes = load(name);
    for (let length = 1; length < bytes.length; length++) {
      const { findings, incomplete } = await scan(bytes.subarray(0, length));
      assert.ok(findings.length + incomplete.length > 0, `${name} cut to ${length} bytes`);
    }
  }
});

test('after its call a truncated payload stays malicious', { skip }, async () => {
  await written();
  const bytes = load('evil-4.pkl');
  const call = bytes.lastIndexOf(0x52);
  for (let length = call + 1; length < bytes.length; length++) {
    const { findings } = await scan(bytes.subarray(0, length));
    assert.ok(
      findings.some(({ severity }) => severity === 'critical'),
      String(length),
    );
  }
});

test('a duplicated data.pkl is read both times', { skip }, async () => {
  await written();
  const { findings } = await scan(load('twice.pt'));
  const rules = new Set(findings.map(({ ruleId }) => ruleId));
  assert.ok(rules.has('ZIP-DUPLICATE-NAME') && rules.has('PKL-CALL-DENIED'), [...rules].join());
});

test('a pickle hidden in a storage or an extra member is read', { skip }, async () => {
  await written();
  for (const name of samples('hidden')) {
    const { findings } = await scan(load(name));
    assert.ok(
      findings.some(({ ruleId }) => ruleId === 'PKL-CALL-DENIED'),
      name,
    );
  }
});

test('a storage of another size than the pickle says is a finding', { skip }, async () => {
  await written();
  const { findings } = await scan(load('short-storage.pt'));
  assert.ok(findings.some(({ ruleId }) => ruleId === 'PT-STORAGE-SIZE'));
});
