import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '..');
const program = `
import { exitWithParent } from './parent.ts';
exitWithParent();
const [verb, value] = process.argv.slice(2);
if (verb === 'exit') process.exitCode = Number(value);
else if (verb === 'cat') process.stdin.pipe(process.stdout);
else if (verb === 'die') process.kill(process.pid, 'SIGKILL');
else if (verb === 'wait') {
  process.on('SIGTERM', () => process.exit(7));
  console.log(process.pid);
  setInterval(() => {}, 1000);
} else console.log(JSON.stringify({ words: process.argv.slice(2), version: process.version, cache: process.env.NODE_COMPILE_CACHE }));
`;

let checkout = '';

before(() => {
  checkout = mkdtempSync(join(tmpdir(), 'weighbridge-launch-'));
  for (const name of ['bin', 'package.json', 'package-lock.json']) {
    cpSync(join(root, name), join(checkout, name), { recursive: true });
  }
  mkdirSync(join(checkout, 'src', 'app'), { recursive: true });
  cpSync(join(root, 'src', 'app', 'parent.ts'), join(checkout, 'src', 'app', 'parent.ts'));
  writeFileSync(join(checkout, 'src', 'app', 'main.ts'), program);
  symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
  writeFileSync(join(checkout, 'old-node.cjs'), 'delete process.execve;');
  writeFileSync(
    join(checkout, 'other-system.cjs'),
    "Object.defineProperty(process, 'platform', { value: 'darwin' });",
  );
});

after(() => rmSync(checkout, { recursive: true, force: true }));

/** With `execve` the launcher becomes the program; without it (Node 20) it has a child. */
const modes = [
  ['as one process', []],
  ['with a child', ['--require', './old-node.cjs']],
] as const;

function launch(
  options: readonly string[],
  words: readonly string[],
  more: { input?: string; path?: string } = {},
): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [...options, 'bin/weighbridge', ...words], {
    cwd: checkout,
    encoding: 'utf8',
    env: { PATH: more.path ?? process.env['PATH'], HOME: checkout },
    input: more.input ?? '',
    timeout: 30_000,
  });
}

function start(options: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...options, 'bin/weighbridge', 'wait'], {
    cwd: checkout,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
  return chunk.toString().trim();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

for (const [mode, options] of modes) {
  test(`${mode}: arguments, input, output and exit code pass through the launcher`, () => {
    const told = launch(options, ['scan', '--output', 'json', 'a b']);
    assert.equal(told.stderr, '');
    const answer = JSON.parse(told.stdout) as { words: string[]; version: string; cache: string };
    assert.deepEqual(answer.words, ['scan', '--output', 'json', 'a b']);
    assert.equal(answer.version, process.version);
    assert.equal(answer.cache, join(checkout, '.cache', 'compile'));
    assert.equal(launch(options, ['exit', '2']).status, 2);
    assert.equal(launch(options, ['cat'], { input: 'through' }).stdout, 'through');
  });

  test(`${mode}: a program that a signal killed ends the launcher by the same signal`, () => {
    assert.equal(launch(options, ['die']).signal, 'SIGKILL');
  });

  test(`${mode}: SIGTERM reaches the program, which ends in order`, async () => {
    const child = start(options);
    await firstLine(child);
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 7);
  });

  test(`${mode}: kill -9 of the launcher leaves no program behind`, async () => {
    const child = start(options);
    const pid = Number(await firstLine(child));
    assert.equal(pid === child.pid, options.length === 0);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const deadline = Date.now() + 5_000;
    while (isAlive(pid) && Date.now() < deadline) await sleep(50);
    assert.equal(isAlive(pid), false);
  });
}

test('a system that is not supported is told so, without a stack', () => {
  const result = launch(['--require', './other-system.cjs'], ['x']);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^weighbridge: this platform \(darwin \w+\) is not supported\nhint: .+\n$/);
});

/** A folder with an `npm` that does as `script` says, first on the path. */
function fakeNpm(name: string, script: string): string {
  const folder = join(checkout, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'npm'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'npm'), 0o755);
  return `${folder}:/usr/bin:/bin`;
}

test('missing dependencies are installed once, without scripts, and the output stays clean', () => {
  const modules = join(checkout, 'node_modules');
  rmSync(modules);
  try {
    const nothing = launch([], ['x'], { path: join(checkout, 'empty') });
    assert.equal(nothing.status, 1);
    assert.match(nothing.stderr, /npm was not found, and dependencies are missing\nhint: /);
    assert.doesNotMatch(nothing.stderr, /\n\s+at /);

    const failing = launch([], ['x'], { path: fakeNpm('failing', 'echo "no network" >&2; exit 1') });
    assert.equal(failing.status, 1);
    assert.match(
      failing.stderr,
      /no network\nweighbridge: npm ci could not install the dependencies\nhint: /,
    );
    assert.doesNotMatch(failing.stderr, /\n\s+at /);

    const asked = join(checkout, 'asked');
    const path = fakeNpm(
      'working',
      `echo "$@" >> ${asked}; echo noise; ln -s ${join(root, 'node_modules')} ${modules}`,
    );
    const first = launch([], ['x'], { path });
    assert.equal(first.status, 0, first.stderr);
    assert.equal((JSON.parse(first.stdout) as { words: string[] }).words[0], 'x');
    assert.match(
      first.stderr,
      /^weighbridge: installing dependencies with npm ci --ignore-scripts \(once\)\n/,
    );
    assert.match(readFileSync(asked, 'utf8'), /^ci --ignore-scripts/);
    const second = launch([], ['x'], { path });
    assert.equal(second.stderr, '');
    assert.equal(readFileSync(asked, 'utf8').trim().split('\n').length, 1);
  } finally {
    if (!existsSync(modules)) symlinkSync(join(root, 'node_modules'), modules);
  }
});

test('dependencies at another version than the lock names are installed again', () => {
  const lockFile = join(checkout, 'package-lock.json');
  const before = readFileSync(lockFile, 'utf8');
  const lock = JSON.parse(before) as { packages: Record<string, { version: string }> };
  const fastify = lock.packages['node_modules/fastify'];
  assert.ok(fastify);
  fastify.version = '0.0.1';
  writeFileSync(lockFile, JSON.stringify(lock));
  try {
    const result = launch([], ['x'], { path: fakeNpm('stale', 'exit 0') });
    assert.match(result.stderr, /installing dependencies/);
  } finally {
    writeFileSync(lockFile, before);
  }
});
