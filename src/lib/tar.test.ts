import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';
import * as fc from 'fast-check';
import { encodeTar, parseTar } from './tar.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const plain = (archive: Uint8Array): readonly (readonly [string, string])[] =>
  parseTar(archive).map((entry) => [entry.name, Buffer.from(entry.bytes).toString()]);
const sample = [
  { name: 'a', bytes: bytes('one') },
  { name: 'b/empty', bytes: bytes('') },
  { name: `long/${'n'.repeat(200)}/é`, bytes: bytes('x'.repeat(513)) },
];

const gnuTar = ((): boolean => {
  try {
    return execFileSync('tar', ['--version'], { encoding: 'utf8' }).includes('tar');
  } catch {
    return false;
  }
})();

test('what is written is read, and the same files give the same bytes', () => {
  const archive = encodeTar(sample);
  assert.deepEqual(
    plain(archive),
    sample.map((entry) => [entry.name, Buffer.from(entry.bytes).toString()]),
  );
  assert.deepEqual(encodeTar(sample), archive);
});

test(
  'the system tar reads it, and what the system tar writes is read',
  { skip: gnuTar ? false : 'tar is missing' },
  () => {
    const listed = execFileSync('tar', ['-tf', '-'], { input: encodeTar(sample), encoding: 'utf8' });
    assert.equal(listed.split('\n').length, 4);
    const directory = import.meta.dirname;
    for (const format of ['ustar', 'pax']) {
      const written = execFileSync('tar', [
        '-c',
        `--format=${format}`,
        '-C',
        directory,
        '-f',
        '-',
        'clock.ts',
        'tar.ts',
      ]);
      assert.deepEqual(
        parseTar(written).map(({ name }) => name),
        ['clock.ts', 'tar.ts'],
      );
    }
  },
);

test('links, directories, unsafe and repeated names, damage and additions are refused', () => {
  const archive = encodeTar(sample.slice(0, 1));
  const reseal = (change: (header: Buffer) => void): Uint8Array => {
    const copy = Buffer.from(archive);
    change(copy);
    let sum = 0;
    for (let index = 0; index < 512; index++) sum += index >= 148 && index < 156 ? 32 : (copy[index] ?? 0);
    copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return copy;
  };
  const bad: readonly Uint8Array[] = [
    ...['1', '2', '3', '5', '6', 'L', 'g'].map((type) => reseal((copy) => copy.write(type, 156))),
    ...['../a', '/a', 'a/../b', 'a\\b', 'a//b', './a', 'a\nb'].map((name) =>
      reseal((copy) => copy.write(name, 0)),
    ),
    reseal((copy) => copy.write('77777777777', 124)),
    reseal((copy) => copy.write('-0000000001', 124)),
    archive.subarray(0, 512),
    archive.subarray(0, 1024),
    archive.subarray(0, 1536),
    archive.subarray(0, -1),
    Buffer.concat([archive, Buffer.alloc(511), Buffer.from('x')]),
    Buffer.concat([archive.subarray(0, 1024), archive]),
    Buffer.from(archive.map((byte, index) => (index === 3 ? 65 : byte))),
    new Uint8Array(0),
  ];
  for (const [index, archive] of bad.entries())
    assert.throws(() => parseTar(archive), { code: 'bundle.invalid' }, `case ${index}`);
  assert.throws(() => encodeTar([{ name: '../a', bytes: bytes('') }]), { code: 'path.invalid' });
  assert.throws(() => encodeTar([...sample, ...sample]), { code: 'bundle.invalid' });
});

test('foreign bytes give files or a fault', () => {
  const archive = encodeTar(sample);
  fc.assert(
    fc.property(fc.nat(archive.length - 1), fc.nat(255), (offset, byte) => {
      const copy = Uint8Array.from(archive);
      copy[offset] = byte;
      try {
        parseTar(copy);
      } catch (thrown) {
        assert.match(String((thrown as { code?: unknown }).code), /^(bundle\.invalid|limit\.exceeded)$/);
      }
    }),
    { numRuns: 500 },
  );
});
