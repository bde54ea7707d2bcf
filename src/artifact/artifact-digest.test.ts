import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { digestOf, parseDigest } from './digest.ts';
import { buildManifest, parseManifest } from './manifest.ts';
import { roleOf } from './roles.ts';
import { rootsOf } from './roots.ts';

interface GoldenVector {
  readonly files: readonly {
    path: string;
    role: string;
    digest: string;
    sizeBytes: number;
    content?: string;
  }[];
  readonly config: string;
  readonly configDigest: string;
  readonly manifest: string;
  readonly digest: string;
  readonly roots: { readonly all: string; readonly loading: string | null; readonly weights: string | null };
}

const folder = join(import.meta.dirname, '../../test/vectors/artifact-digest');
const page = readFileSync(join(import.meta.dirname, '../../docs/reference/artifact-digest.md'), 'utf8');
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));

test('there are at least twelve golden vectors', () => {
  assert.ok(names.length >= 12);
});

for (const name of names) {
  test(`golden vector ${name}`, () => {
    const vector = JSON.parse(readFileSync(join(folder, name), 'utf8')) as GoldenVector;
    const files = vector.files.map((file) => ({
      path: file.path,
      digest: parseDigest(file.digest),
      sizeBytes: file.sizeBytes,
    }));
    const manifest = buildManifest(files);
    assert.equal(Buffer.from(manifest.config.bytes).toString(), vector.config);
    assert.equal(manifest.config.digest, vector.configDigest);
    assert.equal(Buffer.from(manifest.bytes).toString(), vector.manifest);
    assert.equal(manifest.digest, vector.digest);
    assert.deepEqual(rootsOf(files), vector.roots);
    assert.deepEqual(parseManifest(Buffer.from(vector.manifest)), manifest);
    for (const file of vector.files) {
      assert.equal(roleOf(file.path), file.role, file.path);
      if (file.content === undefined) continue;
      assert.equal(digestOf(Buffer.from(file.content)), file.digest);
      assert.equal(Buffer.byteLength(file.content), file.sizeBytes);
    }
    assert.ok(page.includes(`| \`${name.slice(0, -'.json'.length)}\` |`));
    assert.ok(page.includes(vector.digest));
  });
}
