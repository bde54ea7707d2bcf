import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { safetensors, tensor } from '../support/model-bytes.ts';
import type { PythonAnswer, PythonHub } from '../support/python-hub.ts';

/** A world in which the cases run: a client session, and what the server in front of it is made to do. */
export interface ClientWorld {
  readonly python: PythonHub;
  /** New files as a commit of a repository; answers the commit. */
  readonly commit: (id: string, files: Readonly<Record<string, string | Uint8Array>>) => Promise<string>;
  /** From now on this file is refused for this reason. */
  readonly refuse: (path: string, reason: string) => Promise<void>;
  /** From now on this commit is revoked. */
  readonly revoke: (id: string, commit: string) => Promise<void>;
}

export const sha256 = (bytes: string | Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

function value(answer: PythonAnswer): unknown {
  assert.equal(answer.error, undefined, `${answer.error}: ${answer.message}`);
  return answer.value;
}

const weights = Buffer.from(safetensors({ weight: tensor(0, 3_000_001) }, 3_000_001));
const files = {
  'config.json': '{"architectures":["X"]}',
  'model.safetensors': weights,
  'sub/deep/tokenizer.json': '{"t":1}',
  'sub/notes.txt': 'notes',
};
const digests = Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, sha256(bytes)]));

/**
 * What a stock huggingface_hub must see; the same cases run against the gate alone and against the whole server.
 * `name` distinguishes worlds and keeps repositories apart.
 */
export function hubClientCases(name: string, open: (t: TestContext) => Promise<ClientWorld>): void {
  const id = `org/${name}`;

  test(`${name}: lists a repository in every way`, async (t) => {
    const { python, commit } = await open(t);
    const sha = await commit(id, files);
    const paths = Object.keys(files).sort();
    const info = value(await python.call('info', { repo_id: id })) as { sha: string; files: string[] };
    assert.equal(info.sha, sha);
    assert.deepEqual(info.files.sort(), paths);
    const sizes = value(await python.call('sizes', { repo_id: id })) as Record<string, number>;
    assert.equal(sizes['model.safetensors'], weights.length);
    assert.deepEqual((value(await python.call('files', { repo_id: id })) as string[]).sort(), paths);
    assert.deepEqual(
      (value(await python.call('tree', { repo_id: id, recursive: true })) as string[]).sort(),
      [...paths, 'sub', 'sub/deep'].sort(),
    );
    assert.deepEqual(value(await python.call('tree', { repo_id: id, path_in_repo: 'sub/deep' })), [
      'sub/deep/tokenizer.json',
    ]);
    assert.deepEqual(
      value(await python.call('paths', { repo_id: id, paths: ['config.json', 'sub', 'none'], expand: true })),
      [
        ['config.json', sha],
        ['sub', sha],
      ],
    );
    assert.deepEqual(value(await python.call('refs', { repo_id: id })), [['main', sha]]);
    assert.deepEqual(value(await python.call('commits', { repo_id: id, revision: 'main' })), [sha]);
    assert.equal(value(await python.call('revision_exists', { repo_id: id, revision: 'none' })), false);
    assert.equal(value(await python.call('repo_exists', { repo_id: id })), true);
    assert.equal(value(await python.call('repo_exists', { repo_id: 'org/none-at-all' })), false);
    assert.equal(value(await python.call('file_exists', { repo_id: id, filename: 'config.json' })), true);
    assert.equal(value(await python.call('file_exists', { repo_id: id, filename: 'none.json' })), false);
    assert.match(
      (await python.call('tree', { repo_id: id, path_in_repo: 'none' })).error ?? '',
      /EntryNotFoundError$/,
    );
    assert.equal(
      (await python.call('info', { repo_id: id, revision: 'none' })).error,
      'RevisionNotFoundError',
    );
    assert.equal(
      (await python.call('info', { repo_id: 'org/none-at-all' })).error,
      'RepositoryNotFoundError',
    );
  });

  test(`${name}: downloads into the cache and into a folder`, async (t) => {
    const { python, commit } = await open(t);
    const sha = await commit(id, files);
    for (const path of Object.keys(files)) {
      const found = value(await python.call('download', { repo_id: id, filename: path })) as {
        sha256: string;
      };
      assert.equal(found.sha256, digests[path]);
    }
    const into = join(python.home, 'folder');
    const found = value(
      await python.call('download', { repo_id: id, filename: 'model.safetensors', local_dir: into }),
    );
    assert.deepEqual(found, {
      sha256: digests['model.safetensors'],
      name: 'model.safetensors',
      bytes: weights.length,
    });
    const metadata = value(
      await python.call('metadata', { path: `/${id}/resolve/main/model.safetensors` }),
    ) as Record<string, unknown>;
    assert.equal(metadata['commit'], sha);
    assert.equal(metadata['etag'], digests['model.safetensors']);
    assert.equal(metadata['size'], weights.length);
  });

  test(`${name}: snapshots of models, datasets and spaces, whole and by pattern`, async (t) => {
    const { python, commit } = await open(t);
    await commit(id, files);
    assert.deepEqual(value(await python.call('snapshot', { repo_id: id })), digests);
    const some = value(
      await python.call('snapshot', {
        repo_id: id,
        allow_patterns: ['*.json'],
        local_dir: join(python.home, 'some'),
      }),
    );
    assert.deepEqual(Object.keys(some as object).sort(), ['config.json', 'sub/deep/tokenizer.json']);
    for (const type of ['dataset', 'space']) {
      await commit(`${type}s/${id}-data`, { 'data.txt': `of a ${type}` });
      const found = value(await python.call('snapshot', { repo_id: `${id}-data`, repo_type: type }));
      assert.deepEqual(found, { 'data.txt': sha256(`of a ${type}`) });
    }
    await commit(`bare-${name}`, { 'x.txt': 'bare' });
    assert.deepEqual(value(await python.call('snapshot', { repo_id: `bare-${name}` })), {
      'x.txt': sha256('bare'),
    });
  });

  test(`${name}: reads ranges as a file system`, async (t) => {
    const { python, commit } = await open(t);
    await commit(id, files);
    const ranges = [
      [0, 10],
      [2_999_990, 11],
      [1_000_000, 5],
    ];
    const parts = value(await python.call('read_ranges', { path: `${id}/model.safetensors`, ranges }));
    assert.deepEqual(
      parts,
      ranges.map(([start = 0, length = 0]) => weights.subarray(start, start + length).toString('hex')),
    );
  });

  test(`${name}: a refused file shows our reason in the exception`, async (t) => {
    const { python, commit, refuse } = await open(t);
    await commit(`${id}-refused`, { 'config.json': '{}', 'evil.pkl': 'cos\nsystem\n(S"id"\ntR.' });
    await refuse('evil.pkl', 'would call `os.system("id")`');
    for (const call of ['download', 'snapshot']) {
      const values = call === 'download' ? { filename: 'evil.pkl' } : {};
      const answer = await python.call(call, { repo_id: `${id}-refused`, ...values });
      assert.equal(answer.error, 'GatedRepoError');
      assert.match(answer.message ?? '', /weighbridge refuses/);
      assert.match(answer.message ?? '', /(posix|os)\.system/);
      assert.match(answer.message ?? '', /read more: http/);
    }
    const left = value(await python.call('leftovers', { root: python.home })) as { published: string[] };
    assert.deepEqual(
      left.published.filter((path) => path.includes('evil')),
      [],
    );
  });

  test(`${name}: a revoked commit is an error even though the client has it cached`, async (t) => {
    const { python, commit, revoke } = await open(t);
    const repo_id = `${id}-revoked`;
    const sha = await commit(repo_id, { 'config.json': '{"b":1}' });
    value(await python.call('download', { repo_id, filename: 'config.json' }));
    await revoke(repo_id, sha);
    for (const call of ['download', 'snapshot', 'info']) {
      const values = call === 'download' ? { filename: 'config.json' } : {};
      const answer = await python.call(call, { repo_id, ...values });
      assert.equal(answer.error, 'RevisionNotFoundError', call);
      assert.match(answer.message ?? '', /weighbridge has withdrawn/);
    }
  });
}
