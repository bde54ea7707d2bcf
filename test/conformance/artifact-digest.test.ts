import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import * as fc from 'fast-check';
import { digestOf } from '#artifact/digest.ts';
import { buildManifest } from '#artifact/manifest.ts';
import type { ManifestFile } from '#artifact/manifest.ts';
import { have, missing } from '../support/foreign.ts';

const script = join(import.meta.dirname, '../vectors/artifact-digest/compute.py');

interface Computed {
  readonly manifest: string;
  readonly config: string;
  readonly digest: string;
  readonly configDigest: string;
}

const interesting = fc.constantFrom(
  ...'aAz0-._ "\'<>&'.split(''),
  'é',
  '\u0301',
  '\u2028',
  '\ud7ff',
  '\ue000',
  '\uffee',
  '\ufeff',
  '\u{10000}',
  '\u{1f600}',
  '\u{10ffff}',
);
const component = fc
  .oneof(
    fc.string({ unit: interesting, minLength: 1, maxLength: 6 }),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }),
  )
  .filter((text) => !/[\p{Cc}\\/]/u.test(text) && text !== '.' && text !== '..');
const paths = fc
  .uniqueArray(
    fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
    { minLength: 1, maxLength: 12 },
  )
  .filter((all) => all.every((path) => !all.some((other) => other.startsWith(`${path}/`))));
const file = (path: string, sizeBytes: number): ManifestFile => ({
  path,
  digest: digestOf(Buffer.from(`${path} ${sizeBytes}`)),
  sizeBytes,
});
const fileLists = fc
  .tuple(paths, fc.array(fc.maxSafeNat(), { minLength: 12, maxLength: 12 }))
  .map(([all, sizes]) => all.map((path, index) => file(path, sizes[index] ?? 0)));

test(
  'an independent implementation in Python computes the same bytes for 1 000 random artifacts',
  { skip: missing('python3', have('python3')) },
  () => {
    const cases = fc.sample(fileLists, 1_000);
    const output = execFileSync('python3', ['-B', script], {
      input: JSON.stringify(cases),
      maxBuffer: 64 * 1024 * 1024,
    });
    const computed = JSON.parse(output.toString()) as readonly Computed[];
    assert.equal(computed.length, cases.length);
    for (const [index, files] of cases.entries()) {
      const ours = buildManifest(files);
      assert.deepEqual(
        {
          manifest: Buffer.from(ours.bytes).toString(),
          config: Buffer.from(ours.config.bytes).toString(),
          digest: ours.digest,
          configDigest: ours.config.digest,
        },
        computed[index],
      );
    }
  },
);
