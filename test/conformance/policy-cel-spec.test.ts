import assert from 'node:assert/strict';
import test from 'node:test';
import { tests as suite } from '@bufbuild/cel-spec/testdata/conformance.js';
import { compileCel } from '#policy/cel/expression.ts';
import type { Expression } from '#policy/cel/expression.ts';
import { DecisionTime } from '#policy/cel/time.ts';
import { CelFailure, bool, int, listOf, string } from '#policy/cel/types.ts';
import type { Type, Value } from '#policy/cel/types.ts';

type Suite = typeof suite;
type Case = NonNullable<Suite['tests']>[number]['original'];

/** The official conformance suite (cel-spec, as @bufbuild/cel-spec carries it), flattened; cases without variables. */
function casesOf(
  part: Suite,
  path: readonly string[],
): readonly { readonly name: string; readonly given: Case }[] {
  const here = [...path, part.name];
  return [
    ...(part.tests ?? []).map(({ original }) => ({
      name: [...here, original.name].join('/'),
      given: original,
    })),
    ...(part.suites ?? []).flatMap((inner) => casesOf(inner, here)),
  ];
}

/** A value of the suite as ours; undefined for kinds that the subset does not have. */
function expectedOf(value: unknown): Value | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const [[kind, content] = []] = Object.entries(value) as [string, unknown][];
  if (kind === 'boolValue' && typeof content === 'boolean') return content;
  if (kind === 'int64Value' && typeof content === 'string') return BigInt(content);
  if (kind === 'stringValue' && typeof content === 'string') return content;
  if (kind !== 'listValue' || typeof content !== 'object' || content === null) return undefined;
  const values = 'values' in content && Array.isArray(content.values) ? content.values.map(expectedOf) : [];
  return values.every((entry) => entry !== undefined) ? values : undefined;
}

const types: readonly Type[] = [
  bool,
  int,
  string,
  listOf(bool),
  listOf(int),
  listOf(string),
  listOf(listOf(int)),
];

function compiled(source: string): Expression | undefined {
  for (const type of types) {
    try {
      return compileCel(source, {}, type);
    } catch {
      continue;
    }
  }
  return undefined;
}

test('whatever of the CEL conformance suite is accepted gives what the suite says', () => {
  const count = { agreed: 0, refused: 0, passedOver: 0 };
  for (const { name, given } of casesOf(suite, [])) {
    const wantsError = given['evalError'] !== undefined;
    const expected = expectedOf(given['value']);
    if (
      given['bindings'] !== undefined ||
      given['typeEnv'] !== undefined ||
      (!wantsError && expected === undefined)
    ) {
      count.passedOver++;
      continue;
    }
    const expression = compiled(given.expr);
    if (expression === undefined) {
      count.refused++;
      continue;
    }
    const outcome = expression.evaluate({}, new DecisionTime(0), { steps: 1_000_000 });
    if (wantsError) assert.ok(outcome instanceof CelFailure, `${name}: ${given.expr}`);
    else assert.deepEqual(outcome, expected, `${name}: ${given.expr}`);
    count.agreed++;
  }
  assert.ok(count.agreed > 300, JSON.stringify(count));
});
