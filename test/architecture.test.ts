import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { importsOf, violations, type SourceTree } from './support/architecture.ts';

const root = join(import.meta.dirname, '..');
const packages = new Set<string>(
  Object.keys(
    (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }).dependencies,
  ),
);

function readTree(): SourceTree {
  const paths = globSync('**/*.{ts,json,sql}', { cwd: join(root, 'src') });
  return new Map(paths.map((path) => [path, readFileSync(join(root, 'src', path), 'utf8')]));
}

test('the source keeps to the table of who may import whom', () => {
  assert.deepEqual(violations(readTree(), packages), []);
});

const sound: SourceTree = new Map([
  ['lib/limits.ts', 'export const limit = 1;\n'],
  ['artifact/digest.ts', "import { limit } from '#lib/limits.ts';\nexport const digest = limit;\n"],
  [
    'evidence/statement.ts',
    "import type { digest } from '#artifact/digest.ts';\nexport type S = typeof digest;\n",
  ],
  ['producers/producer.ts', "import type { S } from '#evidence/statement.ts';\nexport type P = S;\n"],
  [
    'producers/producers.ts',
    "import { scan } from './scan/scan.ts';\nimport { bom } from './bom/bom.ts';\nexport const producers = [scan, bom];\n",
  ],
  ['producers/scan/scan.ts', "import type { P } from '../producer.ts';\nexport const scan: P = 1;\n"],
  ['producers/bom/bom.ts', 'export const bom = 1;\n'],
  [
    'policy/decide.ts',
    "import type { S } from '#evidence/statement.ts';\nexport const decide = (s: S): S => s;\n",
  ],
  [
    'gates/gates.ts',
    "import { pull } from './pull/pull.ts';\nimport { promote } from './promote/promote.ts';\nexport const gates = [pull, promote];\n",
  ],
  ['gates/pull/pull.ts', "import { decide } from '#policy/decide.ts';\nexport const pull = decide;\n"],
  ['gates/promote/promote.ts', 'export const promote = 1;\n'],
  ['adapters/postgres/open.ts', "import pg from 'pg';\nexport const open = pg;\n"],
  [
    'adapters/filesystem/open.ts',
    "import { readFile } from 'node:fs/promises';\nexport const open = readFile;\n",
  ],
  [
    'app/main.ts',
    "import { gates } from '#gates/gates.ts';\nimport { open } from '#adapters/postgres/open.ts';\nexport const main = [gates, open];\n",
  ],
]);

/** What some plants need around them; sound on their own. */
const surroundings: SourceTree = new Map([
  ['lib/reached.ts', 'export const reached = 1;\n'],
  ['policy/reaches.ts', "import { reached } from '#lib/reached.ts';\nexport const reaches = reached;\n"],
  ['artifact/tree/b.ts', "import type { y } from '../formats/c.ts';\nexport const x: y = 1;\n"],
  ['artifact/formats/c.ts', 'export type y = 1;\n'],
  ['producers/scan/reader-port.ts', 'export type Port = 1;\n'],
  [
    'adapters/filesystem/reader.ts',
    "import type { Port } from '#producers/scan/reader-port.ts';\nexport const reader: Port = 1;\n",
  ],
]);

test('a sound tree has no violation', () => {
  assert.deepEqual(violations(new Map([...sound, ...surroundings]), packages), []);
});

const plants: readonly (readonly [name: string, path: string, text: string, expected: RegExp])[] = [
  ['lib imports ours', 'lib/a.ts', "import { digest } from '#artifact/digest.ts';", /`lib` may not import/],
  [
    'a type import counts',
    'artifact/a.ts',
    "import type { S } from '#evidence/statement.ts';",
    /`artifact` may not import/,
  ],
  [
    'evidence imports policy',
    'evidence/a.ts',
    "import { decide } from '#policy/decide.ts';",
    /`evidence` may not import/,
  ],
  [
    'a producer imports another',
    'producers/bom/a.ts',
    "import { scan } from '../scan/scan.ts';",
    /may not import/,
  ],
  [
    'a producer imports the table',
    'producers/bom/a.ts',
    "import { producers } from '../producers.ts';",
    /may not import/,
  ],
  [
    'a producer imports an adapter',
    'producers/bom/a.ts',
    "import { open } from '#adapters/postgres/open.ts';",
    /may not import/,
  ],
  [
    'a gate imports another',
    'gates/pull/a.ts',
    "import { promote } from '#gates/promote/promote.ts';",
    /may not import/,
  ],
  [
    'an adapter imports another',
    'adapters/postgres/a.ts',
    "import { open } from '../filesystem/open.ts';",
    /may not import/,
  ],
  [
    'an adapter imports a gate',
    'adapters/postgres/a.ts',
    "import { pull } from '#gates/pull/pull.ts';",
    /may not import/,
  ],
  [
    'an adapter imports more of a producer than its port',
    'adapters/postgres/a.ts',
    "import { scan } from '#producers/scan/scan.ts';",
    /may not import/,
  ],
  [
    'a gate imports app dynamically',
    'gates/pull/a.ts',
    "const x = await import('#app/main.ts');",
    /may not import/,
  ],
  [
    'an import over several lines',
    'lib/a.ts',
    "import {\n  digest,\n} from '#artifact/digest.ts';",
    /may not import/,
  ],
  [
    'a worker by URL',
    'lib/a.ts',
    "new Worker(new URL('../artifact/digest.ts', import.meta.url));",
    /may not import/,
  ],
  ['policy reads files', 'policy/a.ts', "import { readFile } from 'node:fs/promises';", /policy would reach/],
  [
    'policy reads files through lib',
    'lib/reached.ts',
    "import { open } from 'node:fs';",
    /policy would reach `node:fs`/,
  ],
  ['policy reads the clock', 'policy/a.ts', 'export const now = Date.now();', /not pure/],
  ['unknown folder', 'misc/a.ts', 'export const a = 1;', /unknown folder/],
  ['a file beside the folders', 'a.ts', 'export const a = 1;', /belongs to a folder/],
  ['a banned file name', 'lib/string-utils.ts', 'export const a = 1;', /banned file name/],
  ['a banned export', 'lib/a.ts', 'export class KeyManager {}', /banned name/],
  ['a barrel', 'lib/a.ts', "export { limit } from './limits.ts';", /no barrels/],
  ['a barrel of all', 'lib/a.ts', "export * from './limits.ts';\nexport const b = 1;", /no barrels/],
  ['a default export', 'lib/a.ts', 'export default 1;', /default export/],
  ['too many lines', 'lib/a.ts', '\n'.repeat(501), /more than 500/],
  ['a development dependency', 'lib/a.ts', "import fc from 'fast-check';", /not a runtime dependency/],
  ['a library away from home', 'gates/pull/a.ts', "import pg from 'pg';", /belongs to adapters\/postgres/],
  ['a file that is not there', 'lib/a.ts', "import { a } from './gone.ts';", /not there/],
  ['a cycle of types', 'lib/limits.ts', "import type { digest } from '#artifact/digest.ts';", /cycle: /],
  [
    'folders that import each other',
    'artifact/formats/a.ts',
    "import type { x } from '../tree/b.ts';",
    /import each other/,
  ],
  ['a producer without a row', 'producers/sign/sign.ts', 'export const sign = 1;', /no row in/],
  ['a gate without a row', 'gates/load/load.ts', 'export const load = 1;', /no row in/],
];

for (const [name, path, text, expected] of plants) {
  test(`is caught: ${name}`, () => {
    const found = violations(new Map([...sound, ...surroundings, [path, text]]), packages);
    assert.ok(
      found.some((line) => expected.test(line)),
      `found only: ${found.join('; ')}`,
    );
  });
}

test('a missing table is caught', () => {
  const planted = new Map(sound);
  planted.delete('gates/gates.ts');
  assert.ok(violations(planted, packages).includes('gates/gates.ts: the table is missing'));
});

test('code between `export` and a text after `from` is not an import', () => {
  assert.deepEqual(
    importsOf('lib/a.ts', "export function a(b: string) {\n  return `read from 'GLOBAL'`;\n}\n"),
    [],
  );
});

test('prose about imports is not an import', () => {
  assert.deepEqual(importsOf('lib/a.ts', "// import x from 'y'\n * import { a } from '#app/main.ts'\n"), []);
});
