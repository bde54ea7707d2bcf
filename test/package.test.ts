import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { after, before } from 'node:test';
import { compile } from '../tools/build.ts';
import { missingSandbox, systemPython } from './support/sandbox.ts';

const root = join(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
let elsewhere = '';

function npm(...args: readonly string[]): string {
  return execFileSync('npm', [...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

before(() => {
  elsewhere = mkdtempSync(join(tmpdir(), 'weighbridge-package-'));
  const packed = JSON.parse(npm('pack', '--json', '--silent', '--pack-destination', elsewhere)) as unknown;
  const [{ filename }] = packed as readonly [{ readonly filename: string }];
  writeFileSync(join(elsewhere, 'package.json'), '{ "name": "elsewhere", "private": true }\n');
  const tarball = join(elsewhere, filename);
  const install = spawnSync(
    'npm',
    [
      'install',
      tarball,
      '--ignore-scripts',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ],
    { cwd: elsewhere, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 600_000 },
  );
  if (install.status === 0) return;
  // Only the lack of a network is forgiven; then npm's layout is made by hand from what the checkout has.
  assert.match(install.stderr, /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH/, install.stderr);
  layOut(tarball);
});

function layOut(tarball: string): void {
  const home = join(elsewhere, 'node_modules', 'weighbridge');
  mkdirSync(home, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '-C', home, '--strip-components=1']);
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
  };
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '' || entry.dev === true || !existsSync(join(root, path))) continue;
    mkdirSync(dirname(join(elsewhere, path)), { recursive: true });
    cpSync(join(root, path), join(elsewhere, path), { recursive: true, verbatimSymlinks: true });
  }
}

after(() => rmSync(elsewhere, { recursive: true, force: true }));

function run(
  ...args: readonly string[]
): ReturnType<typeof spawnSync> & { readonly stdout: string; readonly stderr: string } {
  const launcher = join(elsewhere, 'node_modules', 'weighbridge', 'bin', 'weighbridge');
  return spawnSync(process.execPath, [launcher, ...args], {
    cwd: elsewhere,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: homedir(), XDG_CACHE_HOME: join(elsewhere, 'cache') },
    timeout: 60_000,
  });
}

test('the tarball holds what runs and nothing else', () => {
  const home = join(elsewhere, 'node_modules', 'weighbridge');
  const sandbox = ['dist/producers/sandbox/loader.py', 'dist/adapters/sandbox/enter.sh'];
  for (const name of [
    ...sandbox,
    'bin/weighbridge',
    'dist/app/main.js',
    'console/dist/index.html',
    'LICENSE',
  ]) {
    assert.ok(existsSync(join(home, name)), `${name} is missing`);
  }
  const files = readdirSync(home, { recursive: true, encoding: 'utf8' }).filter(
    (path) => !path.startsWith('node_modules'),
  );
  const stray = files.filter((path) =>
    /\.test\.js$|\.ts$|^(?:src|test|tools|bench|\.cache|data)(?:\/|$)/.test(path),
  );
  assert.deepEqual(stray, []);
});

test('the installed command line says its version', () => {
  const result = run('--version');
  assert.equal(result.status, 0, result.stderr);
  assert.match(result.stdout, new RegExp(`\\b${version.replaceAll('.', '\\.')}\\b`));
});

test('the installed command line scans: a pickle that would run a command is found', () => {
  // protocol 0: global `posix system`, its argument, REDUCE. Never loaded by anything here.
  const bad = join(elsewhere, 'bad.pkl');
  writeFileSync(bad, "cposix\nsystem\n(S'true'\ntR.");
  const found = run('scan', '--output', 'json', bad);
  assert.equal(found.status, 2, `${found.stdout}${found.stderr}`);
  assert.match(found.stdout, /posix/);
  const good = join(elsewhere, 'good.pkl');
  writeFileSync(good, '(lp0\nI1\na.');
  const clean = run('scan', '--output', 'json', good);
  assert.equal(clean.status, 0, `${clean.stdout}${clean.stderr}`);
});

test('the installed package gives its tour, and every step goes as expected', () => {
  const result = run('serve', '--demo=once');
  assert.equal(result.status, 0, `${result.stdout}${result.stderr}`);
  assert.match(result.stdout, /\n4 of 4 steps went as expected/);
});

test(
  'the installed command line loads in the sandbox, with the loader that was shipped',
  {
    skip: missingSandbox(),
  },
  () => {
    const path = join(elsewhere, 'model.pkl');
    writeFileSync(path, "cposix\nsystem\n(S'id -u'\ntR.");
    const acted = run('sandbox', '--python', systemPython, path);
    assert.equal(acted.status, 2, `${acted.stdout}${acted.stderr}`);
    assert.match(acted.stdout, /started `\/bin\/sh -c id -u`/);
  },
);

test('every specifier is rewritten, and one that cannot be is refused', () => {
  assert.equal(compile('app/a.ts', "import { x } from '#lib/b.ts';\n"), "import { x } from '../lib/b.js';\n");
  assert.equal(
    compile('app/a.ts', "import { x } from '#app/cli/b.ts';\n"),
    "import { x } from './cli/b.js';\n",
  );
  assert.equal(compile('a/b/c.ts', "export * as d from '../d.ts';\n"), "export * as d from '../d.js';\n");
  assert.equal(compile('a/c.ts', "await import('./d.ts');\n"), "await import('./d.js');\n");
  assert.equal(
    compile('a/c.ts', "new Worker(new URL('./d.ts', import.meta.url));\n"),
    "new Worker(new URL('./d.js', import.meta.url));\n",
  );
  assert.throws(() => compile('a/c.ts', "const path = './d.ts';\nawait import(path);\n"), /cannot rewrite/);
});
