import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { parseJson } from './json.ts';
import type { JsonBounds } from './json.ts';

const refuses = (input: Uint8Array | string, code: string, bounds?: JsonBounds): void => {
  assert.throws(() => parseJson(input, bounds), { name: 'Fault', code });
};

const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

test('JSON comes through as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: 'binary' }), (text) => {
      fc.pre(text.isWellFormed());
      assert.deepEqual(parseJson(text, { duplicateKeys: 'last' }), JSON.parse(text));
      assert.deepEqual(parseJson(Buffer.from(text), { duplicateKeys: 'last' }), JSON.parse(text));
    }),
  );
});

test('no distinct members are taken for duplicates', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parseJson(text), JSON.parse(text));
    }),
  );
});

test('duplicate members are refused however they are spelt', () => {
  for (const text of [
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '[{"x":{"b":1,"c":[{}],"b":2}}]',
    '{"__proto__":1,"__proto__":2}',
    '{"":0,"":0}',
  ]) {
    refuses(text, 'json.invalid');
    assert.doesNotThrow(() => parseJson(text, { duplicateKeys: 'last' }));
  }
  assert.deepEqual(parseJson('{"a":1,"a":2}', { duplicateKeys: 'last' }), { a: 2 });
  assert.doesNotThrow(() => parseJson('{"a:b":"c:d","e":"\\":","f":"\\\\"}'));
});

test('depth is bounded before the parser runs', () => {
  assert.doesNotThrow(() => parseJson(deep(128)));
  refuses(deep(129), 'limit.exceeded');
  refuses('['.repeat(5_000_000), 'limit.exceeded');
  refuses('{"a":'.repeat(5_000_000), 'limit.exceeded');
  assert.doesNotThrow(() => parseJson('["[[[[","\\"[[["]', { depth: 1 }));
  refuses('[[]]', 'limit.exceeded', { depth: 1 });
});

test('size is bounded', () => {
  assert.doesNotThrow(() => parseJson('"abc"', { bytes: 5 }));
  refuses('"abcd"', 'limit.exceeded', { bytes: 5 });
  refuses('"€"', 'limit.exceeded', { bytes: 4 });
});

test('what is not JSON is refused', () => {
  const texts = [
    '',
    ' ',
    '{',
    '[1,]',
    '{"a"}',
    '{"a":1,}',
    "{'a':1}",
    'NaN',
    '01',
    '"\n"',
    '"\\',
    '1 2',
    '::',
    ']]][',
  ];
  for (const text of texts) refuses(text, 'json.invalid');
  refuses(Buffer.from('\ufeff{}'), 'json.invalid');
  refuses(Buffer.from([0x22, 0xc3, 0x28, 0x22]), 'json.invalid');
  refuses(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'json.invalid');
  refuses('"\ud800"', 'json.invalid');
});

test('__proto__ never reaches a prototype', () => {
  const value = parseJson('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}');
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
  assert.ok(Object.hasOwn(value as object, '__proto__'));
});

test('arbitrary bytes give a value or a Fault', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parseJson(bytes);
      } catch (error) {
        assert.match(String((error as { code?: unknown }).code), /^(json\.invalid|limit\.exceeded)$/);
      }
    }),
  );
});
