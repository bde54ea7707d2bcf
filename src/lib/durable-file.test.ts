import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { temporarySuffix, writeFileDurably, writeFilesDurably } from './durable-file.ts';
import { faultSites, injectFault, parseFaultAt } from './fault-point.ts';

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weighbridge-durable-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const sites = faultSites.filter((site) => site.startsWith('durable-file.'));

test('files are made, replaced and given their mode, with the directories above them', async (t) => {
  const root = makeDirectory(t);
  const path = join(root, 'a/b/c/key');
  await writeFileDurably(path, Buffer.from('old'), { mode: 0o600 });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await writeFileDurably(path, Buffer.from('new'));
  assert.equal(readFileSync(path, 'utf8'), 'new');
  assert.equal(statSync(path).mode & 0o777, 0o644);
  assert.deepEqual(readdirSync(join(root, 'a/b/c')), ['key']);
  await writeFilesDurably([
    { path: join(root, 'a/x'), bytes: Buffer.from('1') },
    { path: join(root, 'd/y'), bytes: new Uint8Array() },
    { path: join(root, 'a/x'), bytes: Buffer.from('2') },
  ]);
  assert.equal(readFileSync(join(root, 'a/x'), 'utf8'), '2');
  assert.equal(readFileSync(join(root, 'd/y'), 'utf8'), '');
  await writeFilesDurably([]);
});

test('many files in one call are all there, and a failure among them leaves no temporary file', async (t) => {
  t.after(() => injectFault(undefined));
  const root = makeDirectory(t);
  const files = Array.from({ length: 50 }, (_, index) => ({
    path: join(root, `${index % 3}/${index}`),
    bytes: Buffer.alloc(index * 100, index),
  }));
  await writeFilesDurably(files);
  for (const { path, bytes } of files) assert.deepEqual(readFileSync(path), bytes);
  for (const site of ['durable-file.write', 'durable-file.rename'] as const) {
    injectFault({ site, moment: 'before', action: 'fail', passing: 20 });
    await assert.rejects(writeFilesDurably(files), { code: 'EIO' });
    injectFault(undefined);
    const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
    assert.equal(names.length, 53, names.filter((name) => name.endsWith(temporarySuffix)).join(' '));
  }
});

test('a link is replaced, never written through', async (t) => {
  const root = makeDirectory(t);
  writeFileSync(join(root, 'victim'), 'untouched');
  symlinkSync('victim', join(root, 'link'));
  await writeFileDurably(join(root, 'link'), Buffer.from('new'));
  assert.equal(readFileSync(join(root, 'victim'), 'utf8'), 'untouched');
  assert.equal(readFileSync(join(root, 'link'), 'utf8'), 'new');
});

test('a directory made again after it was removed is durable again', async (t) => {
  const root = makeDirectory(t);
  await writeFileDurably(join(root, 'd/f'), Buffer.from('1'));
  rmSync(join(root, 'd'), { recursive: true });
  await writeFileDurably(join(root, 'd/f'), Buffer.from('2'));
  assert.equal(readFileSync(join(root, 'd/f'), 'utf8'), '2');
});

test('a file in place of a directory is an error, and nothing is left over', async (t) => {
  const root = makeDirectory(t);
  writeFileSync(join(root, 'f'), '');
  await assert.rejects(writeFileDurably(join(root, 'f/g'), Buffer.from('1')), { code: 'ENOTDIR' });
  mkdirSync(join(root, 'd/full'), { recursive: true });
  await assert.rejects(writeFileDurably(join(root, 'd'), Buffer.from('1')), { code: 'EISDIR' });
  assert.deepEqual(readdirSync(root).sort(), ['d', 'f']);
});

test('each write failing, before and after it was done, leaves the old bytes or the new ones', async (t) => {
  t.after(() => injectFault(undefined));
  for (const site of sites) {
    for (const moment of ['before', 'after'] as const) {
      const root = makeDirectory(t);
      const path = join(root, 'd/file');
      const creating = site === 'durable-file.create-directory' || site === 'durable-file.sync-parent';
      if (!creating) await writeFileDurably(path, Buffer.from('old'));
      injectFault({ site, moment, action: 'fail', passing: 1 });
      await assert.rejects(writeFileDurably(path, Buffer.from('new')), { code: 'EIO' }, `${site} ${moment}`);
      injectFault(undefined);
      if (creating) assert.ok(!existsSync(path));
      else assert.match(readFileSync(path, 'utf8'), /^(old|new)$/);
      assert.deepEqual(
        existsSync(join(root, 'd')) ? readdirSync(join(root, 'd')) : [],
        creating ? [] : ['file'],
      );
      await writeFileDurably(path, Buffer.from('again'));
      assert.equal(readFileSync(path, 'utf8'), 'again');
    }
  }
});

const program = `
  import { writeFileDurably } from '#lib/durable-file.ts';
  await writeFileDurably(process.argv[1] + '/d/file', Buffer.from('new'));
  process.stdout.write('done');
`;

test('a process killed at a site dies there and nowhere else, and the file is old, new or absent', (t) => {
  const root = makeDirectory(t);
  const kill = (faultAt: string | undefined): { signal: string | null; stdout: string } => {
    const { WEIGHBRIDGE_FAULT_AT: _, ...environment } = process.env;
    if (faultAt !== undefined) environment['WEIGHBRIDGE_FAULT_AT'] = faultAt;
    return spawnSync(process.execPath, ['--input-type=module', '--eval', program, root], {
      env: environment,
      encoding: 'utf8',
    });
  };
  const killedBefore = kill('durable-file.sync');
  assert.equal(killedBefore.signal, 'SIGKILL');
  assert.ok(!existsSync(join(root, 'd/file')));
  assert.ok(readdirSync(join(root, 'd')).every((name) => name.endsWith(temporarySuffix)));
  const killedAfter = kill('durable-file.sync-directory:after:kill@1');
  assert.equal(killedAfter.signal, 'SIGKILL');
  assert.equal(killedAfter.stdout, '');
  assert.equal(readFileSync(join(root, 'd/file'), 'utf8'), 'new');
  for (const notPassed of [undefined, 'durable-file.sync@2', 'blob.rename']) {
    const run = kill(notPassed);
    assert.equal(run.signal, null);
    assert.equal(run.stdout, 'done');
  }
  const mistyped = kill('durable-file.snyc');
  assert.equal(mistyped.signal, null);
  assert.equal(mistyped.stdout, '');
});

test('fault sites are sorted and named once, and only their spelling is taken', () => {
  assert.deepEqual([...faultSites], [...new Set(faultSites)].sort());
  assert.deepEqual(parseFaultAt('blob.write'), {
    site: 'blob.write',
    moment: 'before',
    action: 'kill',
    passing: 1,
  });
  assert.deepEqual(parseFaultAt('blob.sync-directory:after:fail@12'), {
    site: 'blob.sync-directory',
    moment: 'after',
    action: 'fail',
    passing: 12,
  });
  for (const text of [
    '',
    'blob',
    'blob.write:',
    'blob.write@0',
    'blob.write:now',
    'blob.write:kill:after',
    'x.y',
  ]) {
    assert.throws(() => parseFaultAt(text), text);
  }
});
