import assert from 'node:assert/strict';
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  downloadFile,
  downloadFileToCacheDir,
  fileExists,
  listFiles,
  listModels,
  modelInfo,
  pathsInfo,
  repoExists,
  snapshotDownload,
} from '@huggingface/hub';
import { safetensors, tensor } from '../support/model-bytes.ts';

/** The server in front of the JavaScript client, and what it is made to do. */
export interface JavaScriptWorld {
  readonly hubUrl: string;
  readonly commit: (id: string, files: Readonly<Record<string, string | Uint8Array>>) => Promise<string>;
  readonly refuse: (path: string, reason: string) => Promise<void>;
  readonly revoke: (id: string, commit: string) => Promise<void>;
}

const weights = Buffer.from(safetensors({ weight: tensor(0, 2_000_003) }, 2_000_003));
const files = { 'config.json': '{"a":1}', 'empty.txt': '', 'model.safetensors': weights, 'sub/x.txt': 'x' };

async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** What a stock npm `@huggingface/hub` must see, against the gate alone or the whole server. */
export function javaScriptCases(name: string, open: (t: TestContext) => Promise<JavaScriptWorld>): void {
  const repo = `org/${name}`;

  test(`${name}: lists`, async (t) => {
    const { hubUrl, commit } = await open(t);
    const sha = await commit(repo, files);
    const listed = await collect(listFiles({ repo, recursive: true, hubUrl }));
    assert.deepEqual(listed.map(({ path }) => path).sort(), [...Object.keys(files), 'sub'].sort());
    assert.equal((await modelInfo({ name: repo, hubUrl, additionalFields: ['sha'] })).sha, sha);
    const [config] = await pathsInfo({ repo, paths: ['config.json', 'none'], expand: true, hubUrl });
    assert.equal(config?.lastCommit.id, sha);
    assert.equal(await repoExists({ repo, hubUrl }), true);
    assert.equal(await repoExists({ repo: 'org/none-at-all', hubUrl }), false);
    assert.equal(await fileExists({ repo, path: 'config.json', hubUrl }), true);
    assert.equal(await fileExists({ repo, path: 'model.safetensors', hubUrl }), true);
    assert.equal(await fileExists({ repo, path: 'none', hubUrl }), false);
    const models = await collect(listModels({ search: { query: name }, hubUrl }));
    assert.ok(models.some((model) => model.name === repo));
  });

  test(`${name}: downloads files, also an empty one and a slice`, async (t) => {
    const { hubUrl, commit } = await open(t);
    await commit(repo, files);
    for (const [path, bytes] of Object.entries(files)) {
      const blob = await downloadFile({ repo, path, hubUrl });
      assert.ok(blob !== null, path);
      assert.deepEqual(Buffer.from(await blob.arrayBuffer()), Buffer.from(bytes), path);
    }
    const blob = await downloadFile({ repo, path: 'model.safetensors', hubUrl });
    const slice = Buffer.from((await blob?.slice(1_000_000, 1_000_010).arrayBuffer()) ?? new ArrayBuffer(0));
    assert.deepEqual(slice, weights.subarray(1_000_000, 1_000_010));
    assert.equal(await downloadFile({ repo, path: 'none', hubUrl }), null);
  });

  test(`${name}: snapshots into its cache`, async (t) => {
    const { hubUrl, commit } = await open(t);
    const { 'empty.txt': _empty, ...filled } = files;
    const sha = await commit(`${repo}-snapshot`, filled);
    const cacheDir = await mkdtemp(join(tmpdir(), 'js-cache-'));
    t.after(() => rm(cacheDir, { recursive: true, force: true }));
    const folder = await snapshotDownload({ repo: `${repo}-snapshot`, cacheDir, hubUrl });
    assert.ok(folder.endsWith(sha));
    for (const [path, bytes] of Object.entries(filled)) {
      assert.deepEqual(await readFile(join(folder, path)), Buffer.from(bytes), path);
    }
    const one = await downloadFileToCacheDir({
      repo: `${repo}-snapshot`,
      path: 'config.json',
      cacheDir,
      hubUrl,
    });
    assert.equal(await readFile(one, 'utf8'), files['config.json']);
  });

  test(`${name}: a refusal and a revocation show our reason`, async (t) => {
    const { hubUrl, commit, refuse, revoke } = await open(t);
    const sha = await commit(`${repo}-refused`, { 'evil.pkl': 'cos\nsystem\n(S"id"\ntR.' });
    await refuse('evil.pkl', 'would call `os.system("id")`');
    await assert.rejects(
      downloadFile({ repo: `${repo}-refused`, path: 'evil.pkl', hubUrl }),
      /weighbridge refuses .*(posix|os)\.system/,
    );
    await revoke(`${repo}-refused`, sha);
    await assert.rejects(
      downloadFile({ repo: `${repo}-refused`, path: 'evil.pkl', hubUrl }),
      /weighbridge has withdrawn/,
    );
    await assert.rejects(
      collect(listFiles({ repo: `${repo}-refused`, hubUrl })),
      /weighbridge has withdrawn/,
    );
  });
}
