import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import { common, refuse, spend, unknown } from './compiled.ts';
import { arithmetic, compareText, equal, logical, orders, textSize } from './operators.ts';
import { futureToleranceMs, parseDuration, parseInstant } from './time.ts';
import { CelFailure, bool, describe, fits, int, listOf, string } from './types.ts';
import type { Compiled, Frame, Run } from './compiled.ts';
import type { Outcome, Type, Value } from './types.ts';

export interface Call {
  readonly name: string;
  readonly target: Compiled | undefined;
  readonly given: readonly Compiled[];
}

/** Functions that a rule may call, for "did you mean" and for docs/reference/policies.md. */
export const functionNames = [
  'age',
  'contains',
  'distinct',
  'duration',
  'endsWith',
  'expires',
  'join',
  'matches',
  'size',
  'startsWith',
  'string',
] as const;

/** An operator or function with checked argument types. Everything that is not listed here is refused. */
export function compileCall(call: Call): Compiled {
  const operands = call.target === undefined ? call.given : [call.target, ...call.given];
  const [first, second, third] = operands;
  if (first === undefined) return refuse(`\`${call.name}\` needs an argument`);
  const compiled =
    (third !== undefined &&
      call.name === '_?_:_' &&
      second !== undefined &&
      conditional(first, second, third)) ||
    (second !== undefined && operands.length === 2 && binary(call, first, second)) ||
    (operands.length === 1 && unary(call, first));
  if (compiled) return compiled;
  if (/^[a-z]+$/i.test(call.name) && !functionNames.some((name) => name === call.name))
    return refuse(unknown('function', call.name, functionNames));
  const types = operands.map((operand) => describe(operand.type)).join(', ');
  return refuse(`\`${call.name.replaceAll('_', ' ').trim()}\` cannot be applied to (${types})`);
}

/** Narrows a value at run time to what the checker promised. */
type Guard<T extends Value> = (value: Value) => value is T;
const isAny: Guard<Value> = (value): value is Value => value !== undefined;
const isFlag: Guard<boolean> = (value) => typeof value === 'boolean';
const isWhole: Guard<bigint> = (value) => typeof value === 'bigint';
const isText: Guard<string> = (value) => typeof value === 'string';
const isValues: Guard<readonly Value[]> = (value): value is readonly Value[] => Array.isArray(value);
const isTexts: Guard<readonly string[]> = (value): value is readonly string[] =>
  Array.isArray(value) && value.every((element: unknown) => typeof element === 'string');

const mistyped = new CelFailure('a value does not have its declared type');

function lift1<T extends Value>(
  operand: Run,
  guard: Guard<T>,
  apply: (value: T, frame: Frame) => Outcome,
): Run {
  return (frame) => {
    spend(frame, 1);
    const value = operand(frame);
    if (value instanceof CelFailure) return value;
    return guard(value) ? apply(value, frame) : mistyped;
  };
}

function lift2<T extends Value, U extends Value>(
  operands: { readonly left: Run; readonly right: Run },
  guards: readonly [Guard<T>, Guard<U>],
  apply: (left: T, right: U, frame: Frame) => Outcome,
): Run {
  const [isLeft, isRight] = guards;
  return (frame) => {
    spend(frame, 1);
    const left = operands.left(frame);
    if (left instanceof CelFailure) return left;
    const right = operands.right(frame);
    if (right instanceof CelFailure) return right;
    return isLeft(left) && isRight(right) ? apply(left, right, frame) : mistyped;
  };
}

const isPlain = (operand: Compiled, kind: Type['kind']): boolean =>
  operand.type.kind === kind && operand.type.nullable !== true;

function conditional(test: Compiled, yes: Compiled, no: Compiled): Compiled {
  if (!isPlain(test, 'bool')) return refuse('the condition before `?` must be a bool');
  const type = common([yes.type, no.type]);
  if (type === undefined) return refuse('both sides of `:` must have one type');
  return {
    type,
    run: (frame) => {
      spend(frame, 1);
      const value = test.run(frame);
      if (value instanceof CelFailure) return value;
      return value === true ? yes.run(frame) : no.run(frame);
    },
  };
}

function unary(call: Call, operand: Compiled): Compiled | undefined {
  const { run } = operand;
  switch (call.name) {
    case '!_':
      return isPlain(operand, 'bool')
        ? { type: bool, run: lift1(run, isFlag, (value) => !value) }
        : undefined;
    case '@not_strictly_false':
      return { type: bool, run: (frame) => run(frame) !== false };
    case '-_':
      return isPlain(operand, 'int')
        ? { type: int, run: lift1(run, isWhole, (value) => arithmetic['_-_']?.(0n, value) ?? null) }
        : undefined;
    case 'size':
      if (isPlain(operand, 'list'))
        return { type: int, run: lift1(run, isValues, (value) => BigInt(value.length)) };
      return isPlain(operand, 'string') ? { type: int, run: lift1(run, isText, sizeOfText) } : undefined;
    case 'string':
      if (call.target !== undefined) return undefined;
      return isPlain(operand, 'int') || isPlain(operand, 'bool') || isPlain(operand, 'string')
        ? {
            type: string,
            run: lift1(run, isAny, (value) =>
              isText(value) ? value : isWhole(value) || isFlag(value) ? `${value}` : mistyped,
            ),
          }
        : undefined;
    case 'distinct':
      return fits(operand.type, listOf(string))
        ? { type: operand.type, run: lift1(run, isValues, distinct) }
        : undefined;
    case 'duration':
      return compileDuration(operand);
    case 'age':
      if (operand.type.kind !== 'instant') return undefined;
      return { type: { kind: 'age' }, instant: run, run: () => new CelFailure('`age()` must be compared') };
    case 'expires':
      return operand.type.kind === 'instant' ? { type: bool, run: lift1(run, isAny, expires) } : undefined;
    default:
      return undefined;
  }
}

function sizeOfText(value: string, frame: Frame): bigint {
  spend(frame, value.length >> 4);
  return textSize(value);
}

function distinct(values: readonly Value[], frame: Frame): readonly Value[] {
  spend(frame, values.length);
  return [...new Set(values)];
}

function compileDuration(operand: Compiled): Compiled {
  const text = operand.constant;
  const durationMs = typeof text === 'string' ? parseDuration(text) : undefined;
  if (durationMs === undefined)
    return refuse('`duration()` takes a constant such as "720h", "1h30m", "90s" or "250ms"');
  return {
    type: { kind: 'duration' },
    durationMs,
    run: () => new CelFailure('a duration is compared with `age()`'),
  };
}

function expires(value: Value, frame: Frame): Outcome {
  if (value === null) return false;
  const instantMs = parseInstant(value);
  return instantMs === undefined
    ? new CelFailure('`expires()` of no instant')
    : frame.time.reached(instantMs);
}

function binary(call: Call, left: Compiled, right: Compiled): Compiled | undefined {
  const { name } = call;
  if (name === '_&&_' || name === '_||_') {
    if (!isPlain(left, 'bool') || !isPlain(right, 'bool')) return undefined;
    const absorbing = name === '_||_';
    return {
      type: bool,
      run: (frame) => {
        spend(frame, 1);
        return logical(absorbing, left.run(frame), () => right.run(frame));
      },
    };
  }
  if (name === '_==_' || name === '_!=_') return equality(name === '_==_', left, right);
  if (name in orders) return comparison(name, left, right);
  if (name in arithmetic) return plus(name, left, right);
  if (name === '@in') {
    if (right.type.kind !== 'list' || !fits(left.type, right.type.of) || !comparable(left.type))
      return undefined;
    return { type: bool, run: lift2({ left: left.run, right: right.run }, [isAny, isValues], contains) };
  }
  if (name === '_[_]') {
    if (left.type.kind !== 'list' || !isPlain(right, 'int')) return undefined;
    return { type: left.type.of, run: lift2({ left: left.run, right: right.run }, [isValues, isWhole], at) };
  }
  return call.target === undefined ? undefined : textMethod(name, left, right);
}

function contains(value: Value, list: readonly Value[], frame: Frame): boolean {
  spend(frame, list.length);
  return list.some((element) => equal(element, value));
}

function at(list: readonly Value[], index: bigint): Outcome {
  const value = index < 0n ? undefined : list[Number(index)];
  return value === undefined ? new CelFailure(`index ${index} is out of bounds`) : value;
}

const comparable = (type: Type): boolean =>
  type.kind === 'list' ? comparable(type.of) : !['record', 'instant', 'age', 'duration'].includes(type.kind);

const bare = (type: Type): Type => ({ ...type, nullable: true });

function equality(wanted: boolean, left: Compiled, right: Compiled): Compiled | undefined {
  const withNull = left.type.kind === 'null' || right.type.kind === 'null';
  const same = common([bare(left.type), bare(right.type)]) !== undefined;
  if (!withNull && !(same && comparable(left.type) && comparable(right.type))) return undefined;
  if (left.type.kind === 'age' || right.type.kind === 'age') return undefined;
  return {
    type: bool,
    run: lift2({ left: left.run, right: right.run }, [isAny, isAny], (a, b, frame) => {
      spend(frame, Array.isArray(a) ? a.length : 0);
      return equal(a, b) === wanted;
    }),
  };
}

const mirrored: Readonly<Record<string, string>> = {
  '_<_': '_>_',
  '_<=_': '_>=_',
  '_>_': '_<_',
  '_>=_': '_<=_',
};

function comparison(name: string, left: Compiled, right: Compiled): Compiled | undefined {
  if (left.instant !== undefined && right.durationMs !== undefined)
    return { type: bool, run: ageComparison(name, left.instant, right.durationMs) };
  if (right.instant !== undefined && left.durationMs !== undefined)
    return { type: bool, run: ageComparison(mirrored[name] ?? name, right.instant, left.durationMs) };
  const order = orders[name];
  if (order === undefined) return undefined;
  if (isPlain(left, 'int') && isPlain(right, 'int'))
    return {
      type: bool,
      run: lift2({ left: left.run, right: right.run }, [isWhole, isWhole], (a, b) =>
        order(a < b ? -1 : a > b ? 1 : 0),
      ),
    };
  if (isPlain(left, 'string') && isPlain(right, 'string'))
    return {
      type: bool,
      run: lift2({ left: left.run, right: right.run }, [isText, isText], (a, b) => order(compareText(a, b))),
    };
  return undefined;
}

/** `age(x) < limit` is "not yet x + limit", `<=` is "not after x + limit"; `>` and `>=` are their negations. */
function ageComparison(name: string, instant: Run, limitMs: number): Run {
  return lift1(instant, isAny, (value, frame) => {
    const instantMs = parseInstant(value);
    if (instantMs === undefined) return new CelFailure('`age()` of something that has not happened');
    if (!frame.time.reached(instantMs - futureToleranceMs))
      return new CelFailure(`\`${new Date(instantMs).toISOString()}\` lies in the future of this decision`);
    const turnMs = instantMs + limitMs;
    if (name === '_<_') return !frame.time.reached(turnMs);
    if (name === '_>=_') return frame.time.reached(turnMs);
    return name === '_>_' ? frame.time.passed(turnMs) : !frame.time.passed(turnMs);
  });
}

function plus(name: string, left: Compiled, right: Compiled): Compiled | undefined {
  const calculate = arithmetic[name];
  if (calculate !== undefined && isPlain(left, 'int') && isPlain(right, 'int'))
    return {
      type: int,
      run: lift2({ left: left.run, right: right.run }, [isWhole, isWhole], (a, b) => calculate(a, b)),
    };
  if (name !== '_+_') return undefined;
  if (isPlain(left, 'string') && isPlain(right, 'string'))
    return {
      type: string,
      run: lift2({ left: left.run, right: right.run }, [isText, isText], (a, b, frame) => {
        spend(frame, (a.length + b.length) >> 4);
        return a + b;
      }),
    };
  if (!isPlain(left, 'list') || !isPlain(right, 'list')) return undefined;
  const type = common([left.type, right.type]);
  if (type === undefined) return undefined;
  return {
    type,
    run: lift2({ left: left.run, right: right.run }, [isValues, isValues], (a, b, frame) => {
      spend(frame, a.length + b.length);
      return [...a, ...b];
    }),
  };
}

function textMethod(name: string, target: Compiled, argument: Compiled): Compiled | undefined {
  if (!isPlain(argument, 'string')) return undefined;
  if (name === 'join' && fits(target.type, listOf(string)))
    return {
      type: string,
      run: lift2({ left: target.run, right: argument.run }, [isTexts, isText], (list, separator, frame) => {
        const text = list.join(separator);
        spend(frame, list.length + (text.length >> 4));
        return text;
      }),
    };
  if (!isPlain(target, 'string')) return undefined;
  if (name === 'matches') return matches(target, argument);
  const test = textTests[name];
  if (test === undefined) return undefined;
  return {
    type: bool,
    run: lift2({ left: target.run, right: argument.run }, [isText, isText], (text, part, frame) => {
      spend(frame, text.length >> 4);
      return test(text, part);
    }),
  };
}

const textTests: Readonly<Record<string, (text: string, part: string) => boolean>> = {
  startsWith: (text, part) => text.startsWith(part),
  endsWith: (text, part) => text.endsWith(part),
  contains: (text, part) => text.includes(part),
};

const regexEnvironment = celEnv();

/** RE2 through the library, linear in the text. The pattern is a constant, so that no artifact can supply one. */
function matches(target: Compiled, pattern: Compiled): Compiled {
  if (typeof pattern.constant !== 'string') return refuse('the pattern of `matches()` must be a constant');
  const evaluate = plan(regexEnvironment, parse(`text.matches(${JSON.stringify(pattern.constant)})`));
  const probe = evaluate({ text: '' });
  if (isCelError(probe)) return refuse(`\`${pattern.constant}\` is not an RE2 pattern`);
  const perCharacter = pattern.constant.length;
  return {
    type: bool,
    run: lift1(target.run, isText, (text, frame) => {
      spend(frame, 1000 + text.length * perCharacter);
      const found = evaluate({ text });
      return typeof found === 'boolean' ? found : new CelFailure('`matches()` failed');
    }),
  };
}
