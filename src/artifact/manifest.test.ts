import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { encodeJcs } from '#lib/jcs.ts';
import { compareCodePoints } from '#lib/path-name.ts';
import { digestOf } from './digest.ts';
import { buildManifest, parseManifest } from './manifest.ts';
import type { ManifestFile } from './manifest.ts';

const file = (path: string, content = path): ManifestFile => ({
  path,
  digest: digestOf(Buffer.from(content)),
  sizeBytes: Buffer.byteLength(content),
});
const faults = (files: readonly ManifestFile[], code: string): void => {
  assert.throws(() => buildManifest(files), { name: 'Fault', code });
};

const component = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 12 })
  .filter((text) => !/[\p{Cc}\\/]/u.test(text) && text !== '.' && text !== '..');
const pathNames = fc
  .uniqueArray(
    fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
    {
      minLength: 1,
      maxLength: 20,
    },
  )
  .filter((paths) => paths.every((path) => !paths.some((other) => other.startsWith(`${path}/`))));

test('the bytes are what the generic canonical encoder gives', () => {
  fc.assert(
    fc.property(pathNames, fc.maxSafeNat(), (paths, sizeBytes) => {
      const files = paths.map((path) => ({ ...file(path), sizeBytes }));
      const manifest = buildManifest(files);
      const sorted = files.toSorted((left, right) => compareCodePoints(left.path, right.path));
      const config = encodeJcs({
        descriptor: {},
        config: {},
        modelfs: { type: 'layers', diffIds: sorted.map(({ digest }) => digest) },
      });
      assert.deepEqual(manifest.config.bytes, config);
      const generic = encodeJcs({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        artifactType: 'application/vnd.cncf.model.manifest.v1+json',
        config: {
          mediaType: 'application/vnd.cncf.model.config.v1+json',
          digest: digestOf(config),
          size: config.length,
        },
        layers: sorted.map(({ path, digest }) => ({
          mediaType: 'application/vnd.cncf.model.weight.v1.raw',
          digest,
          size: sizeBytes,
          annotations: { 'org.cncf.model.filepath': path },
        })),
      });
      assert.deepEqual(manifest.bytes, generic);
      assert.equal(manifest.digest, digestOf(generic));
      assert.deepEqual(parseManifest(manifest.bytes), manifest);
      assert.deepEqual(buildManifest(files.toReversed()), manifest);
    }),
  );
});

test('any change of a file changes the digest', () => {
  const files = [file('a'), file('b')];
  const { digest } = buildManifest(files);
  assert.notEqual(buildManifest([file('a')]).digest, digest);
  assert.notEqual(buildManifest([file('a'), file('B', 'b')]).digest, digest);
  assert.notEqual(buildManifest([file('a'), file('b', 'c')]).digest, digest);
  assert.notEqual(buildManifest([file('a', 'b'), file('b', 'a')]).digest, digest);
});

test('what is no artifact is refused', () => {
  faults([], 'artifact.empty');
  faults([file('../a')], 'path.invalid');
  faults([file('a\0')], 'path.invalid');
  faults([file('a'), file('a')], 'path.collision');
  faults([file('a'), file('b'), file('a', 'x')], 'path.collision');
  faults([file('a'), file('a-b'), file('a/b')], 'path.collision');
  faults([file('x/a/b/c'), file('x/a-b'), file('x/a')], 'path.collision');
  for (const sizeBytes of [-1, 0.5, Number.NaN, 2 ** 53]) {
    faults([{ ...file('a'), sizeBytes }], 'manifest.invalid');
  }
  faults(
    Array.from({ length: 100_001 }, (_, index) => file(`f${index}`)),
    'artifact.too-large',
  );
});

test('names that differ only in case or Unicode form are different files', () => {
  assert.equal(buildManifest([file('A'), file('a'), file('é'), file('e\u0301')]).files.length, 4);
});

test('only the canonical bytes are taken back', () => {
  const { bytes } = buildManifest([file('a'), file('b')]);
  const text = Buffer.from(bytes).toString();
  const swapped = JSON.parse(text);
  swapped.layers.reverse();
  const attacks = [
    `${text} `,
    `\n${text}`,
    text.replace('"schemaVersion":2', '"schemaVersion":2.0'),
    text.replace('"size":1}', '"size":1e0}'),
    text.replace('"size":1}', '"size":1,"urls":["https://example.org"]}'),
    text.replace('weight.v1.raw', 'doc.v1.raw'),
    text.replace('"org.cncf.model.filepath":"a"', '"org.cncf.model.filepath":"\\u0061"'),
    text.replace('{"artifactType"', '{"annotations":{},"artifactType"'),
    text.replace('"schemaVersion":2', '"schemaVersion":2,"schemaVersion":2'),
    text.replace('"layers":[{', '"layers":[null,{'),
    text.replace(/"layers":\[.*\],"mediaType"/, '"layers":{},"mediaType"'),
    Buffer.from(encodeJcs(swapped)).toString(),
    '[]',
    'null',
  ];
  for (const attack of attacks) {
    assert.notEqual(attack, text);
    assert.throws(
      () => parseManifest(Buffer.from(attack)),
      { name: 'Fault', code: 'manifest.invalid' },
      attack,
    );
  }
  for (let cut = 0; cut < bytes.length; cut += 7) {
    assert.throws(() => parseManifest(bytes.subarray(0, cut)), { name: 'Fault' });
  }
  for (let index = 0; index < bytes.length; index += 1) {
    const altered = Uint8Array.from(bytes);
    altered[index] = (altered[index] ?? 0) ^ 1;
    let digest;
    try {
      ({ digest } = parseManifest(altered));
    } catch {
      continue;
    }
    assert.equal(digest, digestOf(altered));
    assert.notEqual(digest, digestOf(bytes));
  }
});
