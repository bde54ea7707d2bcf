import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogFiles } from '#evidence/log/log-files.ts';

/** Every implementation of `LogFiles` passes this. `open` gives an empty log each time. */
export function logFilesContract(
  name: string,
  open: () => Promise<{ readonly files: LogFiles; close(): Promise<void> }>,
): void {
  const contract = (title: string, body: (files: LogFiles) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const { files, close } = await open();
      try {
        await body(files);
      } finally {
        await close();
      }
    });
  };

  contract('an empty log has nothing', async (files) => {
    assert.equal(await files.read('checkpoint'), undefined);
    assert.deepEqual(await listed(files), []);
    await files.write([]);
    await files.remove(['tile/0/000.p/3']);
  });

  contract('files come back, are replaced, and are listed with their size', async (files) => {
    await files.write([
      { path: 'tile/entries/x001/x234/067', bytes: Buffer.from('entries') },
      { path: 'tile/0/000.p/3', bytes: Buffer.from('partial') },
      { path: 'tile/0/000', bytes: Buffer.from('full') },
      { path: 'checkpoint', bytes: Buffer.from('one') },
    ]);
    await files.write([{ path: 'checkpoint', bytes: Buffer.from('two, longer') }]);
    assert.equal(Buffer.from((await files.read('checkpoint')) ?? []).toString(), 'two, longer');
    assert.equal(Buffer.from((await files.read('tile/0/000')) ?? []).toString(), 'full');
    assert.deepEqual(await listed(files), [
      'checkpoint 11',
      'tile/0/000 4',
      'tile/0/000.p/3 7',
      'tile/entries/x001/x234/067 7',
    ]);
    await files.remove(['tile/0/000.p/3', 'tile/0/000.p/4']);
    assert.equal(await files.read('tile/0/000.p/3'), undefined);
    assert.equal((await listed(files)).length, 3);
  });

  contract('other paths are never read nor written', async (files) => {
    for (const path of [
      '../checkpoint',
      'tile/../checkpoint',
      '/etc/passwd',
      '',
      'tile/0',
      'tile/7/000',
      'x',
    ]) {
      assert.equal(await files.read(path), undefined, path);
      await assert.rejects(files.write([{ path, bytes: Buffer.from('x') }]), { code: 'path.invalid' }, path);
    }
    assert.deepEqual(await listed(files), []);
  });
}

async function listed(files: LogFiles): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const { path, sizeBytes } of files.list()) lines.push(`${path} ${sizeBytes}`);
  return lines.sort();
}
