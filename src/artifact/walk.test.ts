import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { digestOf } from './digest.ts';
import { walkTree } from './walk.ts';
import type { WalkOptions } from './walk.ts';

function makeTree(t: TestContext, files: Readonly<Record<string, string | Buffer>> = {}): string {
  const root = mkdtempSync(join(tmpdir(), 'weighbridge-walk-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

const faults = (root: string, code: string, options?: WalkOptions): Promise<void> =>
  assert.rejects(walkTree(root, options), { name: 'Fault', code });

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

test('files come in code-point order with their digests, small and large alike', async (t) => {
  const contents: Record<string, string | Buffer> = {
    b: 'b',
    'a/\u{10000}': 'above',
    'a/\uffee': 'below',
    'a-b': '',
    edge: Buffer.alloc(256 * 1024, 1),
    over: Buffer.alloc(256 * 1024 + 1, 2),
    large: Buffer.alloc(3_000_001, 3),
    '.gitattributes': '*',
  };
  const root = makeTree(t, contents);
  mkdirSync(join(root, 'empty/empty'), { recursive: true });
  const before = openDescriptors();
  const seen: string[] = [];
  const { files, notes } = await walkTree(root, { onFile: ({ path }) => seen.push(path) });
  assert.deepEqual(notes, []);
  assert.deepEqual(
    files,
    ['.gitattributes', 'a-b', 'a/\uffee', 'a/\u{10000}', 'b', 'edge', 'large', 'over'].map((path) => {
      const bytes = Buffer.from(contents[path] ?? assert.fail());
      return { path, digest: digestOf(bytes), sizeBytes: bytes.length };
    }),
  );
  assert.deepEqual(seen.sort(), files.map(({ path }) => path).sort());
  assert.equal(openDescriptors(), before);
});

test('one file is a tree of its base name, reached through links of the caller', async (t) => {
  const root = makeTree(t, { 'model.gguf': 'GGUF' });
  symlinkSync('model.gguf', join(root, 'alias'));
  for (const name of ['model.gguf', 'alias']) {
    assert.deepEqual((await walkTree(join(root, name))).files, [
      { path: 'model.gguf', digest: digestOf(Buffer.from('GGUF')), sizeBytes: 4 },
    ]);
  }
});

test('nothing to walk is a Fault', async (t) => {
  const root = makeTree(t);
  mkdirSync(join(root, 'only/directories'), { recursive: true });
  await faults(root, 'artifact.empty');
  await faults(join(root, 'absent'), 'file.unreadable');
});

test('links are refused unless they stay inside', async (t) => {
  const outside = makeTree(t, { secret: 'secret' });
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['blob', undefined],
    ['./d/../blob', undefined],
    [join(outside, 'secret'), 'file.link'],
    [`../${outside.slice(outside.lastIndexOf('/') + 1)}/secret`, 'file.link'],
    ['/etc/passwd', 'file.link'],
    ['/proc/self/environ', 'file.link'],
    ['/dev/zero', 'file.link'],
    ['absent', 'file.link'],
    ['link', 'file.link'],
    ['d', 'file.link'],
    ['.', 'file.link'],
    ['pipe', 'file.special'],
    ['detour', 'file.link'],
  ];
  for (const [target, code] of cases) {
    const root = makeTree(t, { blob: 'blob', 'd/x': 'x' });
    const parent = dirname(root);
    symlinkSync(target, join(root, 'link'));
    await faults(root, 'file.link');
    if (target === 'pipe') execFileSync('mkfifo', [join(root, 'pipe')]);
    if (target === 'detour') symlinkSync(join(outside, 'secret'), join(root, 'detour'));
    const walking = walkTree(root, { links: 'inside' });
    if (code !== undefined) {
      await assert.rejects(walking, { name: 'Fault', code }, target);
      continue;
    }
    const link = (await walking).files.find(({ path }) => path === 'link');
    assert.equal(link?.digest, digestOf(Buffer.from('blob')), `${target} in ${parent}`);
  }
});

test('a root whose name begins like the link root is outside of it', async (t) => {
  const base = makeTree(t, { 'model/a': 'a', 'model-evil/secret': 'secret' });
  symlinkSync('../model-evil/secret', join(base, 'model/link'));
  await faults(join(base, 'model'), 'file.link', { links: 'inside' });
});

test('a snapshot in a hub cache is read through its links', async (t) => {
  const cache = makeTree(t, { 'models--a--b/blobs/1234': 'weights' });
  const snapshot = join(cache, 'models--a--b/snapshots/c0ffee');
  mkdirSync(join(snapshot, 'onnx'), { recursive: true });
  symlinkSync('../../../blobs/1234', join(snapshot, 'onnx/model.onnx'));
  const { files } = await walkTree(snapshot, { links: 'inside', linkRoot: join(cache, 'models--a--b') });
  assert.deepEqual(files, [
    { path: 'onnx/model.onnx', digest: digestOf(Buffer.from('weights')), sizeBytes: 7 },
  ]);
  await faults(snapshot, 'file.link', { links: 'inside' });
});

test('special files are refused without being opened', async (t) => {
  const fifo = makeTree(t, { a: 'a' });
  execFileSync('mkfifo', [join(fifo, 'pipe')]);
  await faults(fifo, 'file.special');
  const withSocket = makeTree(t, { a: 'a' });
  const server = createServer().listen(join(withSocket, 'socket'));
  await once(server, 'listening');
  t.after(() => server.close());
  await faults(withSocket, 'file.special');
  await faults(join(fifo, 'pipe'), 'file.special');
  if (process.getuid?.() === 0) {
    const device = makeTree(t, { a: 'a' });
    execFileSync('mknod', [join(device, 'zero'), 'c', '1', '5']);
    await faults(device, 'file.special');
  }
});

test('hard links, collisions and what was left out are noted', async (t) => {
  const outside = makeTree(t, { shared: 'shared' });
  const root = makeTree(t, {
    A: '1',
    a: '2',
    'e\u0301': '3',
    é: '4',
    '.git/config': 'x',
    'sub/.git/config': 'kept',
  });
  linkSync(join(outside, 'shared'), join(root, 'shared'));
  const { files, notes } = await walkTree(root);
  assert.deepEqual(notes, [
    { kind: 'ignored', path: '.git' },
    { kind: 'hard-link', path: 'shared', links: 2 },
    { kind: 'collision', folded: 'a', paths: ['A', 'a'] },
    { kind: 'collision', folded: 'é', paths: ['e\u0301', 'é'] },
  ]);
  assert.ok(files.some(({ path }) => path === 'sub/.git/config'));
  assert.equal((await walkTree(root, { ignore: [] })).files.length, files.length + 1);
  assert.equal((await walkTree(root, { ignore: ['.git', 'sub'] })).files.length, files.length - 1);
});

test('names that no artifact may hold are refused', async (t) => {
  for (const name of [
    Buffer.from([0x61, 0xff]),
    Buffer.from('a\nb'),
    Buffer.from('a\\b'),
    Buffer.from([0xed, 0xa0, 0x80]),
  ]) {
    const root = makeTree(t, { ok: '' });
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), name]), '');
    await faults(root, 'path.invalid');
    const nested = makeTree(t, { ok: '' });
    mkdirSync(Buffer.concat([Buffer.from(`${nested}/`), name]));
    await faults(nested, 'path.invalid');
  }
});

test('a file or directory that changes while it is read is refused', async (t) => {
  const attacks: Readonly<Record<string, (root: string) => void>> = {
    'grows before it is read to its end': (root) => appendFileSync(join(root, 'd/large'), 'x'),
    shrinks: (root) => truncateSync(join(root, 'd/large'), 5),
    'is written with its old times': (root) => {
      writeFileSync(join(root, 'd/large'), Buffer.alloc(3_000_000, 9));
      utimesSync(join(root, 'd/large'), 1, 1);
    },
    'is replaced': (root) => {
      writeFileSync(join(root, 'new'), Buffer.alloc(3_000_000, 9));
      renameSync(join(root, 'new'), join(root, 'd/large'));
    },
    'gets a sibling': (root) => writeFileSync(join(root, 'd/aaa'), 'late'),
  };
  for (const [name, attack] of Object.entries(attacks)) {
    const root = makeTree(t, { 'd/a': 'a', 'd/large': Buffer.alloc(3_000_000, 1), 'd/z': 'z' });
    utimesSync(join(root, 'd/large'), 1, 1);
    let done = false;
    const onFile = (file: { path: string }): void => {
      if (file.path !== 'd/z' || done) return;
      done = true;
      attack(root);
    };
    await assert.rejects(walkTree(root, { onFile }), { name: 'Fault', code: 'file.changed' }, name);
    assert.ok(done);
  }
});

test('a directory that is swapped for a link between two of its files leads nowhere else', async (t) => {
  const outside = makeTree(t, { '1': 'secret', '2': 'secret', 'sub/3': 'secret' });
  const root = makeTree(t, { 'd/1': 'true', 'd/2': 'true', 'd/sub/3': 'true' });
  const digests: string[] = [];
  let swapped = false;
  const onFile = (file: { path: string; digest: string }): void => {
    digests.push(file.digest);
    if (swapped) return;
    swapped = true;
    renameSync(join(root, 'd'), join(root, 'hidden'));
    symlinkSync(outside, join(root, 'd'));
    assert.equal(readFileSync(join(root, 'd/2'), 'utf8'), 'secret');
  };
  await assert.rejects(walkTree(root, { onFile }), { name: 'Fault', code: 'file.changed' });
  assert.deepEqual(new Set(digests), new Set([digestOf(Buffer.from('true'))]));
  assert.equal(digests.length, 3);
});

const swapper = `
  const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
  const { workerData } = require('node:worker_threads');
  const { root, outside, counters } = workerData;
  const rest = () => Atomics.wait(counters, 2, 0, Math.random() / 2);
  while (Atomics.load(counters, 0) === 0) {
    renameSync(root + '/d', root + '/../hold');
    symlinkSync(outside, root + '/d');
    rest();
    unlinkSync(root + '/d');
    renameSync(root + '/../hold', root + '/d');
    rest();
    Atomics.add(counters, 1, 1);
  }
`;

/** Is a walk that looks at a path and then opens it led to the secret? */
function walkByPathIsFooled(root: string): boolean {
  return readdirSync(root, { withFileTypes: true }).some((entry) => {
    const path = join(root, entry.name);
    try {
      return entry.isDirectory() ? walkByPathIsFooled(path) : readFileSync(path, 'utf8') === 'secret';
    } catch {
      return false;
    }
  });
}

test('a directory swapped for a link all the time: the secret behind the link is never read', async (t) => {
  const names = Array.from({ length: 20 }, (_, index) => `d/${index}`);
  const base = makeTree(t, Object.fromEntries(names.map((name) => [`tree/${name}`, 'true'])));
  const outside = makeTree(t, Object.fromEntries(names.map((name) => [name.slice(2), 'secret'])));
  const root = join(base, 'tree');
  writeFileSync(join(root, 'a'), 'true');
  const counters = new Int32Array(new SharedArrayBuffer(12));
  const worker = new Worker(swapper, { eval: true, workerData: { root, outside, counters } });
  await once(worker, 'online');
  const allowed = new Set([digestOf(Buffer.from('true'))]);
  let fooled = false;
  let whole = 0;
  const deadline = Date.now() + 10_000;
  const enough = (): boolean => fooled && whole > 0 && Atomics.load(counters, 1) >= 200;
  while (!enough() && Date.now() < deadline) {
    try {
      const { files } = await walkTree(root);
      whole += 1;
      assert.deepEqual(new Set(files.map(({ digest }) => digest)), allowed);
    } catch (error) {
      assert.match(String((error as { code?: unknown }).code), /^file\.(changed|link)$/, String(error));
    }
    fooled ||= walkByPathIsFooled(root);
  }
  Atomics.store(counters, 0, 1);
  await once(worker, 'exit');
  assert.ok(fooled, 'positive control: a walk by paths reads the secret under the same attack');
  assert.ok(Atomics.load(counters, 1) >= 200);
  t.diagnostic(`${Atomics.load(counters, 1)} swaps, ${whole} walks found the tree at rest`);
});

test('depth is bounded and descriptors are closed after every failure', async (t) => {
  const root = makeTree(t, { [`${'d/'.repeat(128)}f`]: 'deep' });
  assert.equal((await walkTree(root)).files.length, 1);
  const deeper = makeTree(t, { [`${'d/'.repeat(129)}f`]: 'deep', large: Buffer.alloc(1_000_000) });
  const before = openDescriptors();
  await faults(deeper, 'limit.exceeded');
  await assert.rejects(walkTree(root, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  assert.equal(openDescriptors(), before);
});
