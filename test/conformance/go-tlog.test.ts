import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { promisify } from 'node:util';
import { openLogDirectory } from '../../src/adapters/filesystem/log-files.ts';
import { encodeVerifierKey } from '#evidence/log/note.ts';
import { openProjector } from '#evidence/log/project.ts';
import { encodeProof, proveEntry } from '#evidence/log/proof.ts';
import { expectedPaths, tilePath } from '#evidence/log/tile.ts';
import { find, missing } from '../support/foreign.ts';
import { openTestLog, type TestLog } from '../support/log.ts';

const run = promisify(execFile);
const go = find('go');
const skip = missing('go', go !== undefined);
const source = join(import.meta.dirname, 'go');
const cache = join(import.meta.dirname, '../../.cache/go-conformance');
const program = join(cache, 'conformance');

let root = '';
let log: TestLog;
let directory = '';
let older = '';
let vkey = '';

async function verify(...more: readonly string[]): Promise<string> {
  return (await run(program, ['-vkey', vkey, ...more], { timeout: 60_000 })).stdout;
}
async function refused(because: RegExp, ...more: readonly string[]): Promise<void> {
  await assert.rejects(verify(...more), (thrown: { stderr?: string }) => {
    assert.match(thrown.stderr ?? '', because);
    return true;
  });
}

before(async () => {
  if (skip !== false || go === undefined) return;
  await mkdir(cache, { recursive: true });
  await run(go, ['build', '-trimpath', '-o', program, '.'], { cwd: source, timeout: 180_000 });
  root = await mkdtemp(join(tmpdir(), 'weighbridge-tlog-'));
  directory = join(root, 'log');
  older = join(root, 'older');
  log = await openTestLog();
  const files = openLogDirectory(directory);
  const projector = await openProjector({ ...log, files });
  // A full tile, a level above it, partial tiles, and an older head that ends inside a tile.
  await log.grow(299);
  await projector.project();
  await copyFile(join(directory, 'checkpoint'), older);
  await log.grow(260);
  await projector.project();
  vkey = encodeVerifierKey(log.log.noteKey);
});

test.after(async () => {
  if (root !== '') await rm(root, { recursive: true });
});

test(
  'Go verifies checkpoint, every tile, an inclusion proof of every entry, and consistency',
  { skip },
  async () => {
    assert.equal(await verify('-log', directory, '-old', older), '560 entries, extends 300\n');
  },
);

test('Go verifies our proof sidecars alone', { skip }, async () => {
  for (const index of [0, 255, 256, 512, 559]) {
    const path = join(root, `${index}.tlog-proof`);
    await writeFile(path, encodeProof(await proveEntry(openLogDirectory(directory), log.log, index)));
    const leaf = Buffer.from(log.store.entries[index]?.leaf ?? assert.fail()).toString('hex');
    assert.equal(await verify('-proof', path, '-leaf', leaf), `entry ${index} of 560\n`);
    await refused(/proof/, '-proof', path, '-leaf', `${leaf}00`);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(`index ${index}\n`, `index ${index === 0 ? 1 : index - 1}\n`));
    await refused(/proof/, '-proof', path, '-leaf', leaf);
    await writeFile(path, text.replace('\n560\n', '\n561\n'));
    await refused(/checkpoint/, '-proof', path, '-leaf', leaf);
  }
});

test(
  'Go refuses one altered byte in any file, a missing tile, another key and a foreign older head',
  { skip },
  async () => {
    for (const path of ['checkpoint', ...expectedPaths(560)]) {
      const altered = join(root, 'altered');
      await cp(directory, altered, { recursive: true });
      const bytes = await readFile(join(altered, path));
      const at = path === 'checkpoint' ? bytes.indexOf('\n') + 1 : bytes.length - 1;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      await writeFile(join(altered, path), bytes);
      await refused(/./, '-log', altered);
      await rm(altered, { recursive: true });
    }
    const short = join(root, 'short');
    await cp(directory, short, { recursive: true });
    await rm(join(short, tilePath(0, 1)));
    await refused(/no such file/, '-log', short);

    const foreign = await openTestLog();
    const otherOlder = join(root, 'foreign');
    await writeFile(otherOlder, foreign.store.head?.checkpoint ?? assert.fail());
    await refused(/checkpoint/, '-log', directory, '-old', otherOlder);
    vkey = encodeVerifierKey(foreign.log.noteKey);
    await refused(/checkpoint/, '-log', directory);
  },
);
