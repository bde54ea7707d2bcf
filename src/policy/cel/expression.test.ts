import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import { limits } from '#lib/limits.ts';
import { compileCel } from './expression.ts';
import { DecisionTime, parseDuration, parseInstant } from './time.ts';
import { CelFailure, bool, int, listOf, optionalInstant, optionalString, record, string } from './types.ts';
import type { Fields, Type, Value } from './types.ts';

const variables: Readonly<Record<string, Type>> = {
  n: int,
  m: int,
  s: string,
  t: string,
  b: bool,
  c: bool,
  list: listOf(int),
  names: listOf(string),
  maybe: optionalString,
  item: record('item', { n: int, s: string, names: listOf(string), when: optionalInstant }),
};
const values: Fields = {
  n: 3n,
  m: 0n,
  s: 'model',
  t: '',
  b: true,
  c: false,
  list: [1n, 2n, 3n],
  names: ['a', 'b', 'a'],
  maybe: null,
  item: { n: 7n, s: 'x', names: [], when: '2026-01-01T00:00:00Z' },
};
const atMs = Date.parse('2026-01-31T00:00:00Z');

function run(
  source: string,
  wanted: Type = bool,
  given: Fields = values,
  time = new DecisionTime(atMs),
): unknown {
  const outcome = compileCel(source, variables, wanted).evaluate(given, time, {
    steps: limits.policyDecisionSteps,
  });
  return outcome instanceof CelFailure ? `error: ${outcome.message}` : outcome;
}

test('the language', () => {
  const cases: readonly (readonly [string, Type, unknown])[] = [
    ['n + 1 == 4', bool, true],
    ['n / 2', int, 1n],
    ['-7 / 2', int, -3n],
    ['-7 % 2', int, -1n],
    ['n / m', int, 'error: division by zero'],
    ['9223372036854775807 + 1', int, 'error: integer overflow'],
    ['-(-9223372036854775808)', int, 'error: integer overflow'],
    ['n / m == 1 || true', bool, true],
    ['n / m == 1 && false', bool, false],
    ['n / m == 1 && true', bool, 'error: division by zero'],
    ['list.exists(x, 1 / (x - 1) == 1)', bool, true],
    ['list.all(x, 1 / (x - 1) == 1)', bool, false],
    ['list.all(x, x > 0)', bool, true],
    ['list.exists_one(x, x == 2)', bool, true],
    ['list.filter(x, x > 1)', listOf(int), [2n, 3n]],
    ['list.map(x, x * 2)', listOf(int), [2n, 4n, 6n]],
    ['list.map(x, x > 1, string(x))', listOf(string), ['2', '3']],
    ['[].map(x, x)', listOf(int), []],
    ['names.distinct().join("+")', string, 'a+b'],
    ['size(distinct(names)) == 2', bool, true],
    ['"b" in names && !("z" in names)', bool, true],
    ['list[3] == 1', bool, 'error: index 3 is out of bounds'],
    ['list[-1] == 1', bool, 'error: index -1 is out of bounds'],
    ['item.n == 7 && item.s + "y" == "xy"', bool, true],
    ['maybe == null && maybe != "x"', bool, true],
    ['b ? "yes" : "no"', string, 'yes'],
    ['s.startsWith("mo") && s.endsWith("el") && s.contains("od")', bool, true],
    ['s.matches("^[a-z]+$")', bool, true],
    ['size("é👍") == 2', bool, true],
    ['"\\uFFFD" < "\\U0001F44D"', bool, true],
    ['list.exists(x, names.exists(y, size(y) == x))', bool, true],
    ['list.map(x, names.map(y, y)) == [names, names, names]', bool, true],
  ];
  for (const [source, wanted, expected] of cases) assert.deepEqual(run(source, wanted), expected, source);
});

test('what is refused, and the words for it', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['itme.n == 7', /unknown variable `itme`; did you mean `item`\?/],
    ['item.nn == 7', /unknown field `nn`; did you mean `n`\?/],
    ['item.constructor == null', /unknown field/],
    ['item.__proto__ == null', /unknown field/],
    ['constructor == null', /unknown variable/],
    ['siez(list) == 1', /unknown function `siez`; did you mean `size`\?/],
    ['n == "3"', /cannot be applied to \(int, string\)/],
    ['n', /gives a int where a bool is needed/],
    ['s', /gives a string/],
    ['maybe + "x" == ""', /cannot be applied/],
    ['item == item', /cannot be applied/],
    ['now == null', /unknown variable `now`/],
    ['timestamp("2026-01-01T00:00:00Z") == null', /unknown function `timestamp`/],
    ['age(item.when)', /gives a age/],
    ['age(item.when) == duration("1h")', /cannot be applied/],
    ['age(item.when) < n', /cannot be applied/],
    ['age(item.when) < duration(s)', /takes a constant/],
    ['age(item.when) < duration("1d")', /takes a constant/],
    ['[age(item.when)] == []', /one type/],
    ['item.when == "2026-01-01T00:00:00Z"', /cannot be applied/],
    ['s.matches(t)', /must be a constant/],
    ['s.matches("(")', /not an RE2 pattern/],
    ['s.matches("(?=x)")', /not an RE2 pattern/],
    ['has(item.n)', /compare with `null`/],
    ['{"a": 1} == {"a": 1}', /cannot be built/],
    ['1.5 > 1.0', /can be constants/],
    ["b'x' == b'x'", /can be constants/],
    ['[1, "a"] == []', /one type/],
    ['n.map(x, x) == []', /go over lists/],
    ['b &&', /expecting/],
    ['', /expecting/],
  ];
  for (const [source, message] of cases) assert.throws(() => run(source), message, source);
});

test('bounds: length, nesting, macros and steps', () => {
  const started = process.cpuUsage();
  assert.throws(() => run(`s == "${'x'.repeat(5000)}"`), /too long/);
  assert.throws(() => run(`${'('.repeat(60)}b${')'.repeat(60)}`), /nested too deeply/);
  assert.equal(run(`${'!'.repeat(500)}b`), true, 'the parser folds double negation');
  assert.throws(() => run(`${'n + '.repeat(200)}n == 1`), /nested too deeply/);
  assert.throws(() => run('list.all(a, list.all(b, list.all(c, list.all(d, list.all(e, true)))))'), /macros/);
  const long: Fields = { ...values, list: Array.from({ length: 2000 }, (_, index) => BigInt(index)) };
  assert.match(String(run('list.all(x, list.all(y, x + y >= 0))', bool, long)), /step budget/);
  assert.match(
    String(run('list.map(x, list).map(l, l + l + l + l).map(l, l + l + l + l) == []', bool, long)),
    /step budget/,
  );
  assert.match(String(run('list.exists(x, list.exists(y, x + y < 0)) || true', bool, long)), /step budget/);
  const doubling = `${'['.repeat(12)}s${'].map(a, a + a + a + a)[0]'.repeat(12)} == s`;
  assert.match(String(run(doubling)), /step budget/);
  const shared = { steps: 1000 };
  const expression = compileCel('list.all(x, x >= 0)', variables, bool);
  const outcomes = Array.from({ length: 200 }, () =>
    expression.evaluate(values, new DecisionTime(atMs), shared),
  );
  assert.equal(outcomes[0], true);
  assert.ok(outcomes.at(-1) instanceof CelFailure, 'the budget of a decision is shared by its rules');
  const evil = compileCel('s.matches("(a+)+$")', variables, bool);
  assert.equal(
    evil.evaluate({ ...values, s: `${'a'.repeat(5000)}!` }, new DecisionTime(atMs), { steps: 1e7 }),
    false,
  );
  assert.ok(process.cpuUsage(started).user < 5_000_000, 'all of this together stays within seconds');
});

test('age and expires answer by second and note when they would answer otherwise', () => {
  const cases: readonly (readonly [string, boolean, string | null])[] = [
    ['age(item.when) < duration("720h")', false, null],
    ['age(item.when) <= duration("720h")', true, '2026-01-31T00:00:01Z'],
    ['age(item.when) > duration("720h")', false, '2026-01-31T00:00:01Z'],
    ['age(item.when) >= duration("720h")', true, null],
    ['duration("720h") >= age(item.when)', true, '2026-01-31T00:00:01Z'],
    ['age(item.when) < duration("721h")', true, '2026-01-31T01:00:00Z'],
    ['age(item.when) < duration("720h0m0s500ms")', true, '2026-01-31T00:00:01Z'],
    ['expires(item.when)', true, null],
    ['!expires(item.when)', false, null],
    ['b || age(item.when) < duration("721h")', true, null],
    ['b && age(item.when) < duration("721h")', true, '2026-01-31T01:00:00Z'],
    ['age(item.when) < duration("900h") && age(item.when) < duration("721h")', true, '2026-01-31T01:00:00Z'],
  ];
  for (const [source, expected, crossing] of cases) {
    const time = new DecisionTime(atMs);
    assert.equal(run(source, bool, values, time), expected, source);
    const crossingText =
      time.crossingMs === undefined ? null : new Date(time.crossingMs).toISOString().replace('.000', '');
    assert.equal(crossingText, crossing, source);
  }
  const never: Fields = { ...values, item: { n: 1n, s: '', names: [], when: null } };
  assert.match(String(run('age(item.when) < duration("1h")', bool, never)), /has not happened/);
  assert.equal(run('expires(item.when)', bool, never), false);
  const future: Fields = { ...values, item: { n: 1n, s: '', names: [], when: '2026-02-05T00:00:00Z' } };
  assert.match(String(run('age(item.when) < duration("1h")', bool, future)), /lies in the future/);
});

test('the crossing is exact: the answer stands one second before it and changes at it', () => {
  const compiled = (['<', '<=', '>', '>='] as const).flatMap((operator) =>
    ['1s', '90s', '1h', '1s500ms'].map((limit) =>
      compileCel(`age(item.when) ${operator} duration("${limit}")`, variables, bool),
    ),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...compiled),
      fc.integer({ min: -200_000, max: 4_000_000 }),
      (expression, agoMs) => {
        const when = new Date(atMs - agoMs).toISOString();
        const given: Fields = { ...values, item: { n: 1n, s: '', names: [], when } };
        const ask = (nowMs: number): readonly [Value | CelFailure, number | undefined] => {
          const time = new DecisionTime(nowMs);
          return [expression.evaluate(given, time, { steps: 1000 }), time.crossingMs];
        };
        const [answer, crossingMs] = ask(atMs);
        if (crossingMs === undefined) {
          for (const laterMs of [1000, 86_400_000, 1e12]) assert.equal(ask(atMs + laterMs)[0], answer);
          return;
        }
        assert.equal(crossingMs % 1000, 0);
        assert.equal(ask(crossingMs - 1000)[0], answer);
        assert.notEqual(ask(crossingMs)[0], answer);
      },
    ),
    { numRuns: 300 },
  );
});

test('instants and durations are read exactly or not at all', () => {
  assert.equal(parseInstant('2026-01-01T00:00:00Z'), Date.UTC(2026, 0, 1));
  assert.equal(parseInstant('2026-01-01T00:00:00.0001Z'), Date.UTC(2026, 0, 1) + 1);
  for (const text of [
    '2026-02-29T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:00:60Z',
    '2026-01-01',
    1,
    null,
    '',
  ])
    assert.equal(parseInstant(text), undefined, String(text));
  assert.equal(parseDuration('1h30m'), 5_400_000);
  assert.equal(parseDuration('250ms'), 250);
  for (const text of ['', '1', '1d', '-1h', '1.5h', 'h', '1h 1m'])
    assert.equal(parseDuration(text), undefined, text);
});

/** Expressions of a type, from its operators and the variables above. */
const { expr } = fc.letrec<{ expr: string; flag: string; whole: string; text: string; wholes: string }>(
  (tie) => ({
    expr: tie('flag'),
    flag: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom('true', 'false', 'b', 'c'),
      fc
        .tuple(tie('flag'), fc.constantFrom('&&', '||', '==', '!='), tie('flag'))
        .map(([l, o, r]) => `(${l} ${o} ${r})`),
      tie('flag').map((f) => `!${f}`),
      fc
        .tuple(tie('whole'), fc.constantFrom('<', '<=', '>', '>=', '==', '!='), tie('whole'))
        .map(([l, o, r]) => `(${l} ${o} ${r})`),
      fc
        .tuple(tie('text'), fc.constantFrom('<', '<=', '>', '==', '!='), tie('text'))
        .map(([l, o, r]) => `(${l} ${o} ${r})`),
      fc
        .tuple(tie('text'), fc.constantFrom('startsWith', 'endsWith', 'contains'), tie('text'))
        .map(([l, o, r]) => `${l}.${o}(${r})`),
      fc.tuple(tie('whole'), tie('wholes')).map(([l, r]) => `(${l} in ${r})`),
      fc
        .tuple(tie('wholes'), fc.constantFrom('all', 'exists', 'exists_one'), tie('flag'), tie('whole'))
        .map(([l, o, f, w]) => `${l}.${o}(x, ${f} || x < ${w})`),
      fc.tuple(tie('flag'), tie('flag'), tie('flag')).map(([t, y, n]) => `(${t} ? ${y} : ${n})`),
    ),
    whole: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('0', '1', '3', '-2', '9223372036854775807', 'n', 'm', 'item.n'),
      fc
        .tuple(tie('whole'), fc.constantFrom('+', '-', '*', '/', '%'), tie('whole'))
        .map(([l, o, r]) => `(${l} ${o} ${r})`),
      tie('wholes').map((l) => `size(${l})`),
      tie('text').map((l) => `size(${l})`),
      fc.tuple(tie('wholes'), tie('whole')).map(([l, w]) => `${l}[${w}]`),
    ),
    text: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('"a"', '""', '"é👍"', 's', 't', 'item.s'),
      fc.tuple(tie('text'), tie('text')).map(([l, r]) => `(${l} + ${r})`),
      tie('whole').map((w) => `string(${w})`),
    ),
    wholes: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('list', '[1]', '[2, 3]'),
      fc.tuple(tie('wholes'), tie('wholes')).map(([l, r]) => `(${l} + ${r})`),
      fc.tuple(tie('wholes'), tie('flag')).map(([l, f]) => `${l}.filter(x, ${f} && x > 1)`),
      fc.tuple(tie('wholes'), tie('whole')).map(([l, w]) => `${l}.map(x, x + ${w})`),
    ),
  }),
);

test('the evaluator agrees with the library on random expressions', () => {
  const oracle = celEnv();
  const bindings = { ...values, item: { n: 7n, s: 'x', names: [] } };
  const seen = { value: 0, error: 0, refused: 0 };
  fc.assert(
    fc.property(expr, (source) => {
      if (source.length > 600) return;
      let ours: unknown;
      try {
        ours = run(source);
      } catch (thrown) {
        assert.match(thrown instanceof Error ? thrown.message : '', /nested too deeply/);
        seen.refused++;
        return;
      }
      const theirs: unknown = plan(oracle, parse(source))(bindings);
      if (isCelError(theirs)) {
        assert.match(String(ours), /^error: /, source);
        seen.error++;
      } else {
        assert.equal(ours, theirs, source);
        seen.value++;
      }
    }),
    { numRuns: 500 },
  );
  assert.ok(seen.value > 150 && seen.error > 10, JSON.stringify(seen));
});
