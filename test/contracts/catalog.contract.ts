import assert from 'node:assert/strict';
import test from 'node:test';
import type { Catalog, Reference, RepositoryName, Snapshot, SnapshotFile } from '#artifact/catalog.ts';
import { digestOf } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';

/** An empty catalog. */
export interface OpenedCatalog {
  readonly catalog: Catalog;
  close(): Promise<void>;
}

const repository: RepositoryName = { type: 'models', id: 'org/name' };
const commit = (digit: string) => digit.repeat(40);
const digest = (text: string) => digestOf(Buffer.from(text));

function file(path: string, content = path): SnapshotFile {
  return {
    path,
    digest: digest(content),
    sizeBytes: content.length,
    gitOid: 'a'.repeat(40),
    lfs: content.length % 2 === 0,
  };
}

function snapshot(change: Partial<Snapshot> = {}): Snapshot {
  const files = change.files ?? [file('README.md'), file('config.json'), file('weights/é 🎉.safetensors')];
  return {
    namespace: 'team-a',
    repository,
    commit: commit('1'),
    artifact: digest(files.map(({ path, digest }) => path + digest).join()),
    files,
    provisional: false,
    ...change,
  };
}

const isFault = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;

/** Every implementation of `Catalog` passes this. */
export function catalogContract(name: string, open: () => Promise<OpenedCatalog>): void {
  const contract = (title: string, body: (catalog: Catalog) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const opened = await open();
      try {
        await body(opened.catalog);
      } finally {
        await opened.close();
      }
    });
  };

  contract('a snapshot comes back as it was saved, only in its namespace', async (catalog) => {
    const saved = snapshot();
    await catalog.saveSnapshot(saved);
    await catalog.saveSnapshot(saved);
    assert.deepEqual(await catalog.findSnapshot('team-a', repository, saved.commit), saved);
    assert.deepEqual(await catalog.findArtifact('team-a', saved.artifact), [saved]);
    assert.equal(await catalog.findSnapshot('team-b', repository, saved.commit), undefined);
    assert.deepEqual(await catalog.findArtifact('team-b', saved.artifact), []);
    assert.equal(await catalog.findSnapshot('team-a', repository, commit('2')), undefined);
    assert.equal(
      await catalog.findSnapshot('team-a', { type: 'datasets', id: 'org/name' }, saved.commit),
      undefined,
    );
    const other = snapshot({ namespace: 'team-b', files: [file('README.md', 'forged')] });
    await catalog.saveSnapshot(other);
    assert.deepEqual(
      await catalog.findSnapshot('team-b', repository, saved.commit),
      other,
      'and is no oracle for others',
    );
  });

  contract('the same commit with other bytes is a lie', async (catalog) => {
    const saved = snapshot();
    await catalog.saveSnapshot(saved);
    const [first, ...others] = saved.files;
    assert.ok(first !== undefined);
    for (const files of [
      [{ ...first, digest: digest('other') }, ...others],
      [{ ...first, sizeBytes: first.sizeBytes + 1 }, ...others],
      others,
      [...saved.files, file('z.bin')],
    ]) {
      await assert.rejects(catalog.saveSnapshot(snapshot({ files })), isFault('upstream.lied'));
      await assert.rejects(
        catalog.saveSnapshot(snapshot({ files, artifact: saved.artifact })),
        isFault('upstream.lied'),
      );
    }
    assert.deepEqual(await catalog.findSnapshot('team-a', repository, saved.commit), saved);
  });

  contract('a provisional snapshot is completed once and never taken back', async (catalog) => {
    const [first, second, third] = [file('a'), file('b'), file('c')];
    const started = snapshot({ files: [first], provisional: true });
    const complete = snapshot({ files: [first, second, third] });
    await catalog.saveSnapshot(started);
    const forged = snapshot({ files: [file('a', 'forged'), second, third] });
    await assert.rejects(catalog.saveSnapshot(forged), isFault('upstream.lied'));
    await catalog.saveSnapshot(snapshot({ files: [first, second], provisional: true }));
    await catalog.saveSnapshot(complete);
    assert.deepEqual(await catalog.findSnapshot('team-a', repository, complete.commit), complete);
    await catalog.saveSnapshot(started);
    assert.deepEqual(await catalog.findSnapshot('team-a', repository, complete.commit), complete);
    await assert.rejects(catalog.saveSnapshot(snapshot({ files: [first, third] })), isFault('upstream.lied'));
  });

  contract('two writers of one commit agree or one is refused', async (catalog) => {
    const left = snapshot();
    const right = snapshot({ files: [file('config.json', 'other')] });
    const answers = await Promise.allSettled(
      [left, right, left, right].map((one) => catalog.saveSnapshot(one)),
    );
    assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 2);
    const kept = await catalog.findSnapshot('team-a', repository, left.commit);
    assert.ok([left.artifact, right.artifact].some((artifact) => artifact === kept?.artifact));
  });

  contract('snapshots are listed newest first, in pages, by name', async (catalog) => {
    const names = Array.from({ length: 7 }, (_, index) => `org/model-${index}`);
    for (const id of [...names, 'other/100%_x', 'Org/MODEL-0-big']) {
      await catalog.saveSnapshot(snapshot({ repository: { type: 'models', id } }));
    }
    await catalog.saveSnapshot(snapshot({ namespace: 'team-b' }));
    const seen: string[] = [];
    let before: string | undefined;
    do {
      const page = await catalog.listSnapshots('team-a', {
        limit: 4,
        ...(before === undefined ? {} : { before }),
      });
      seen.push(...page.snapshots.map((one) => one.repository.id));
      before = page.next;
    } while (before !== undefined);
    assert.deepEqual(seen, ['Org/MODEL-0-big', 'other/100%_x', ...names.reverse()]);
    const search = async (text: string) =>
      (await catalog.listSnapshots('team-a', { limit: 50, search: text })).snapshots.map(
        (one) => one.repository.id,
      );
    assert.deepEqual(await search('model-0'), ['Org/MODEL-0-big', 'org/model-0']);
    assert.deepEqual(await search('0%_'), ['other/100%_x']);
    assert.deepEqual(await search('%'), ['other/100%_x']);
    assert.deepEqual(await search('\\'), []);
    assert.equal((await search('')).length, 9);
    for (const cursor of ['x', '-1', '1 OR true', '9'.repeat(30)]) {
      await assert.rejects(
        catalog.listSnapshots('team-a', { limit: 1, before: cursor }),
        isFault('request.invalid'),
      );
    }
  });

  contract('a reference moves, and a late answer does not move it back', async (catalog) => {
    const first: Reference = {
      namespace: 'team-a',
      repository,
      name: 'main',
      commit: commit('1'),
      checkedAtMs: 1_800_000_000_000,
    };
    const moved: Reference = { ...first, commit: commit('2'), checkedAtMs: first.checkedAtMs + 5 };
    await catalog.saveReference(first);
    await catalog.saveReference(moved);
    await catalog.saveReference(first);
    assert.deepEqual(await catalog.findReference('team-a', repository, 'main'), moved);
    assert.equal(await catalog.findReference('team-b', repository, 'main'), undefined);
    assert.equal(await catalog.findReference('team-a', repository, 'v1'), undefined);
  });

  contract('a link shows a blob in its namespace only', async (catalog) => {
    const blobs = ['x', 'y'].map((text) => ({ digest: digest(text), sizeBytes: 1 }));
    const [x, y] = blobs.map((blob) => blob.digest);
    assert.ok(x !== undefined && y !== undefined);
    await catalog.link('team-a', blobs);
    await catalog.link('team-a', blobs);
    await catalog.link('team-a', []);
    assert.deepEqual(await catalog.linked('team-a', [y, x, digest('z')]), new Set([x, y]));
    assert.deepEqual(await catalog.linked('team-b', [x, y]), new Set());
    assert.deepEqual(await catalog.linked('team-a', []), new Set());
  });

  contract('a namespace that is none is refused', async (catalog) => {
    for (const namespace of ['', '*', 'A', `x' OR true --`, 'a.b', '-a', 'é', 'x'.repeat(64)]) {
      await assert.rejects(
        async () => catalog.findSnapshot(namespace, repository, commit('1')),
        isFault('request.invalid'),
      );
      await assert.rejects(
        async () => catalog.saveSnapshot(snapshot({ namespace })),
        isFault('request.invalid'),
      );
    }
  });

  contract('ten thousand files are one snapshot', async (catalog) => {
    const files = Array.from({ length: 10_000 }, (_, index) =>
      file(`data/part-${String(index).padStart(5, '0')}.json`),
    );
    const saved = snapshot({ files });
    await catalog.saveSnapshot(saved);
    await catalog.link('team-a', files);
    assert.deepEqual(await catalog.findSnapshot('team-a', repository, saved.commit), saved);
    assert.equal(
      (
        await catalog.linked(
          'team-a',
          files.map((one) => one.digest),
        )
      ).size,
      10_000,
    );
  });
}
