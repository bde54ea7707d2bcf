import assert from 'node:assert/strict';
import { globSync, readFileSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Manifest {
  readonly version: string;
  readonly license?: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
interface Lock {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockEntry>>;
}

const manifest = JSON.parse(read('package.json')) as Manifest;
const lockText = read('package-lock.json');
const lock = JSON.parse(lockText) as Lock;
const page = read('docs/reference/dependencies.md');
const runtime = { ...manifest.dependencies, ...manifest.optionalDependencies };

function section(title: string): string {
  const [, rest = ''] = page.split(`## ${title}\n`);
  return rest.split('\n## ')[0] ?? '';
}

function rows(title: string): readonly (readonly string[])[] {
  return section(title)
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

const names = (list: readonly (readonly string[])[]): readonly string[] => list.map(([name = '']) => name);

test('the runtime table names every dependency, sorted, at its exact version, with a reason', () => {
  const table = rows('At run time');
  assert.deepEqual(names(table), Object.keys(runtime).toSorted());
  for (const [name = '', version, , , reason = ''] of table) {
    assert.equal(version, runtime[name], name);
    assert.ok(reason.length > 20, `${name} has no reason`);
  }
});

test('the development table names every development dependency, with a reason', () => {
  const table = rows('In development only');
  assert.deepEqual(names(table), Object.keys(manifest.devDependencies).toSorted());
  for (const [name = '', reason = ''] of table) assert.ok(reason.length > 5, `${name} has no reason`);
});

test('every version in package.json is exact', () => {
  for (const [name, version] of Object.entries({ ...runtime, ...manifest.devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/, name);
  }
});

test('the licences in the table are those of the packages', () => {
  for (const [name = '', version, licence] of rows('At run time')) {
    const entry = lock.packages[`node_modules/${name}`];
    assert.equal(entry?.version, version, `${name} is locked at another version`);
    assert.equal(entry?.license, licence, name);
    const installed = installedManifest(name);
    if (installed !== undefined) assert.equal(installed.license, licence, name);
  }
});

test('the sizes in the table are those of the packages, to a fifth', () => {
  for (const [name = '', , , size = ''] of rows('At run time')) {
    if (installedManifest(name) === undefined) continue;
    const told = Number(/^([\d.]+) MB$/.exec(size)?.[1]) * 1e6;
    const real = globSync('**/*', { cwd: join(root, 'node_modules', name), exclude: ['node_modules/**'] })
      .map((file) => lstatSync(join(root, 'node_modules', name, file)))
      .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
    assert.ok(
      Math.abs(real - told) <= Math.max(told / 5, 1e5),
      `${name}: ${(real / 1e6).toFixed(1)} MB, not ${size}`,
    );
  }
});

test('every licence among what is shipped is a permissive one', () => {
  const permissive =
    /^(?:MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0|\(?(?:MIT|Apache-2\.0) (?:OR|AND) .*\)?)$/;
  for (const [name, entry] of shipped()) assert.match(entry.license ?? 'none', permissive, name);
});

test('the lock has an integrity hash for every package', () => {
  assert.equal(lock.lockfileVersion, 3);
  assert.deepEqual(withoutIntegrity(lock), []);
});

test('the lock names every dependency of every package, also those for other platforms', () => {
  // `npm ci` refuses a lock with a gap; `npm install` leaves one, silently, where a version does not resolve.
  assert.deepEqual(gaps(lock), []);
});

test('the lock names no registry', () => {
  assert.deepEqual(registryLines(lockText), []);
});

test('what is shipped needs no install script beyond those the page explains', () => {
  const scripts = shipped()
    .filter(([, entry]) => entry.hasInstallScript === true)
    .map(([path]) => path.replace(/^.*node_modules\//, ''));
  const explained = [...section('Install scripts').matchAll(/`(@?[a-z][\w./-]*)`/g)].map(
    ([, name = '']) => name,
  );
  assert.deepEqual(scripts.toSorted(), explained.filter((name) => name in runtime).toSorted());
});

test('a lock without integrity, with a gap or with a registry is caught', () => {
  assert.deepEqual(
    withoutIntegrity({ lockfileVersion: 3, packages: { 'node_modules/a': { version: '1.0.0' } } }),
    ['node_modules/a'],
  );
  const gap = {
    lockfileVersion: 3,
    packages: { 'node_modules/a': { optionalDependencies: { 'a-windows': '1.0.0' } } },
  };
  assert.deepEqual(gaps(gap), ['node_modules/a: a-windows']);
  assert.equal(registryLines('"resolved": "https://packages.example/a.tgz"').length, 1);
});

function gaps(candidate: Lock): readonly string[] {
  return Object.entries(candidate.packages).flatMap(([path, entry]) =>
    Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
      .filter((name) => !resolves(candidate, path, name))
      .map((name) => `${path}: ${name}`),
  );
}

/** Node's own search: the nearest node_modules first. */
function resolves(candidate: Lock, path: string, name: string): boolean {
  const parts = path === '' ? [] : path.split('/node_modules/');
  return [...parts.keys(), parts.length].some((depth) => {
    const folder = parts.slice(0, depth).join('/node_modules/');
    return candidate.packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`] !== undefined;
  });
}

function withoutIntegrity(candidate: Lock): readonly string[] {
  return Object.entries(candidate.packages)
    .filter(([path, entry]) => path !== '' && !/^sha512-[A-Za-z0-9+/]{86}==$/.test(entry.integrity ?? ''))
    .map(([path]) => path);
}

/** Lines with an address, except the authors' pages that npm copies under `funding`. */
function registryLines(text: string): readonly string[] {
  return text
    .split('\n')
    .filter((line) => /"resolved"|\.tgz|https?:\/\//.test(line))
    .filter(
      (line) => line.includes('.tgz') || !/^\s*(?:"(?:url|funding)": )?"https?:\/\/[^"]*",?$/.test(line),
    );
}

function shipped(): readonly (readonly [string, LockEntry])[] {
  return Object.entries(lock.packages).filter(([path, entry]) => path !== '' && entry.dev !== true);
}

function installedManifest(name: string): Manifest | undefined {
  try {
    return JSON.parse(read(`node_modules/${name}/package.json`)) as Manifest;
  } catch {
    return undefined;
  }
}
