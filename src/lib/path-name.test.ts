import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { compareCodePoints, findPathCollisions, foldPathName, parsePathName } from './path-name.ts';

test('paths of real repositories pass unchanged', () => {
  for (const path of [
    'config.json',
    'model-00001-of-00163.safetensors',
    'onnx/model_O4.onnx',
    '.gitattributes',
    '1_Pooling/config.json',
    'a b/c',
    '...',
    '..a',
    '模型/权重.bin',
    'e\u0301',
    'é',
    '\u{1f600}',
    'x'.repeat(255),
    `${'d/'.repeat(2047)}f`,
    'C:/x',
    '~',
    '-rf',
  ]) {
    assert.equal(parsePathName(path), path);
  }
});

test('paths that could leave the artifact or mean two things are refused', () => {
  for (const path of [
    '',
    '/',
    '/etc/passwd',
    'a//b',
    'a/',
    '.',
    '..',
    '../a',
    'a/../b',
    'a/..',
    './a',
    'a/./b',
    'a\\b',
    '..\\a',
    'a\0b',
    'a\nb',
    'a\rb',
    'a\u007f',
    'a\u0085',
    'a\u001b[2J',
    '\ud800',
    'a/\udfff',
    'x'.repeat(256),
    '€'.repeat(86),
    `${'d/'.repeat(2048)}f`,
  ]) {
    assert.throws(() => parsePathName(path), { name: 'Fault', code: 'path.invalid' }, JSON.stringify(path));
  }
});

test('the message of a refusal cannot steer a terminal', () => {
  const attack = 'a\u001b[2J\r\n\u202e\u2028\ud800/../x';
  try {
    parsePathName(attack);
    assert.fail('it passed');
  } catch (error) {
    assert.doesNotMatch((error as Error).message, /[\p{C}\p{Zl}\p{Zp}]/u);
  }
});

test('code-point order is the order of the UTF-8 bytes, which the default sort is not', () => {
  const above = '\u{10000}';
  const below = '\uffee';
  assert.ok(compareCodePoints(below, above) < 0);
  assert.deepEqual([below, above].sort(), [above, below]);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
      assert.equal(
        Math.sign(compareCodePoints(left, right)),
        Buffer.compare(Buffer.from(left), Buffer.from(right)),
      );
    }),
    { numRuns: 500 },
  );
  const unit = fc.constantFrom('a', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}');
  fc.assert(
    fc.property(fc.string({ unit }), fc.string({ unit }), (left, right) => {
      assert.equal(
        Math.sign(compareCodePoints(left, right)),
        Buffer.compare(Buffer.from(left), Buffer.from(right)),
      );
    }),
    { numRuns: 500 },
  );
});

test('folding joins what other file systems join', () => {
  for (const [left, right] of [
    ['README.md', 'readme.MD'],
    ['é', 'e\u0301'],
    ['É', 'e\u0301'],
    ['\u212a', 'k'],
    ['ſ', 'S'],
    ['ß', 'SS'],
    ['ΑΣ', 'ας'],
    ['ΑΣ', 'ασ'],
    ['\ufb01', 'fi'],
    ['\u01c5', '\u01c6'],
  ] as const) {
    assert.equal(foldPathName(left), foldPathName(right), `${left} ${right}`);
  }
  assert.notEqual(foldPathName('a'), foldPathName('b'));
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(foldPathName(text), foldPathName(text.normalize('NFD')));
      assert.equal(foldPathName(text), foldPathName(text.normalize('NFC')));
    }),
  );
});

test('collisions name files and directories', () => {
  assert.deepEqual(findPathCollisions(['a', 'b', 'c/d', 'c/e']), []);
  assert.deepEqual(findPathCollisions(['x/A', 'X/b', 'x/a', 'e\u0301', 'é']), [
    { folded: 'x', paths: ['X', 'x'] },
    { folded: 'x/a', paths: ['x/A', 'x/a'] },
    { folded: 'é', paths: ['e\u0301', 'é'] },
  ]);
});
