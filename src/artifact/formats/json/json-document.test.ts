import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isJsonArray, isJsonObject, parseJsonDocument, type JsonValue } from './json-document.ts';

const bounds = { depth: 128, values: 100_000 };

/** Plain JavaScript for a value, as `JSON.parse` would give it. */
function plain(value: JsonValue): unknown {
  if (isJsonArray(value)) return value.map(plain);
  if (isJsonObject(value)) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return typeof value === 'bigint' ? Number(value) : value;
}

test('reads what JSON.parse reads, to the same value', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(undefined, 1, '\t'), (text, space) => {
      const spaced = JSON.stringify(JSON.parse(text), null, space);
      const outcome = parseJsonDocument(` ${spaced}\r\n`, bounds);
      assert.ok(outcome.kind === 'value');
      assert.deepEqual(plain(outcome.value), JSON.parse(spaced));
      assert.deepEqual(
        outcome.flaws.filter(({ code }) => code !== 'lone-surrogate'),
        [],
      );
    }),
  );
});

test('refuses what JSON.parse refuses, but for the numbers of Python', () => {
  const alphabet = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    '1',
    '-',
    '.',
    'e',
    '\\',
    'u',
    '0',
    't',
    'true',
    'null',
    ' ',
    '\n',
    '\u0000',
    'a',
  );
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 12 }), (parts) => {
      const text = parts.join('');
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        assert.notEqual(parseJsonDocument(text, bounds).kind, 'value', text);
        return;
      }
      const outcome = parseJsonDocument(text, bounds);
      assert.ok(outcome.kind === 'value', text);
      assert.deepEqual(plain(outcome.value), parsed);
    }),
    { numRuns: 5000 },
  );
});

const rows: readonly (readonly [text: string, flaws: readonly string[]])[] = [
  ['{"a":1,"a":2}', ['duplicate-key']],
  ['{"a":1,"\\u0061":2,"a":3}', ['duplicate-key', 'duplicate-key']],
  ['[NaN,Infinity,-Infinity]', ['not-a-number', 'not-a-number', 'not-a-number']],
  ['{"__proto__":{"x":1}}', []],
];

for (const [text, flaws] of rows) {
  test(`flaws of ${text}`, () => {
    const outcome = parseJsonDocument(text, bounds);
    assert.ok(outcome.kind === 'value');
    assert.deepEqual(
      outcome.flaws.map(({ code }) => code),
      flaws,
    );
  });
}

test('integers stay exact, the last duplicate wins, prototypes are out of reach', () => {
  const outcome = parseJsonDocument('{"a":18446744073709551615,"b":1,"b":2,"__proto__":3}', bounds);
  assert.ok(outcome.kind === 'value' && isJsonObject(outcome.value));
  assert.deepEqual(
    [...outcome.value],
    [
      ['a', 18446744073709551615n],
      ['b', 2],
      ['__proto__', 3],
    ],
  );
});

test('depth, number of values and flaws are bounded', () => {
  assert.equal(parseJsonDocument('['.repeat(100_000), bounds).kind, 'limit');
  assert.equal(parseJsonDocument('['.repeat(128) + ']'.repeat(128), bounds).kind, 'value');
  assert.equal(parseJsonDocument(`[${'1,'.repeat(100_000)}1]`, bounds).kind, 'limit');
  const outcome = parseJsonDocument(`{${'"a":1,'.repeat(10_000)}"a":1}`, bounds);
  assert.ok(outcome.kind === 'value');
  assert.equal(outcome.flaws.length, 100);
});

test('a byte order mark, single quotes, comments and open ends are no JSON', () => {
  for (const text of [
    '\ufeff{}',
    "{'a':1}",
    '{}//',
    '{"a":1,}',
    '[1',
    '"\n"',
    '01',
    '{"a" 1}',
    '',
    '"\\x41"',
  ]) {
    assert.equal(parseJsonDocument(text, bounds).kind, 'syntax', text);
  }
});
