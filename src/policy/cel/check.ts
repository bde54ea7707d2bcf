import type { parse } from '@bufbuild/cel';
import { limits } from '#lib/limits.ts';
import { compileCall } from './calls.ts';
import { common, deeper, refuse, spend, unknown } from './compiled.ts';
import { CelFailure, describe, fits, listOf } from './types.ts';
import type { Compiled, Scope } from './compiled.ts';
import type { Fields, Type, Value } from './types.ts';

export type Expr = ReturnType<typeof parse>['expr'];

/** One node of the library's syntax tree: checked and turned into a closure that counts its steps. */
export function compileExpression(expr: Expr | undefined, outer: Scope): Compiled {
  const scope = deeper(outer);
  const kind = expr?.exprKind;
  switch (kind?.case) {
    case 'constExpr':
      return compileConstant(kind.value.constantKind);
    case 'identExpr':
      return compileName(kind.value.name, scope);
    case 'selectExpr':
      if (kind.value.testOnly)
        return refuse('`has()` is not needed: every field exists; compare with `null`');
      return compileSelect(compileExpression(kind.value.operand, scope), kind.value.field, scope);
    case 'listExpr':
      return compileList(kind.value.elements.map((element) => compileExpression(element, scope)));
    case 'callExpr':
      return compileCall({
        name: kind.value.function,
        target: kind.value.target === undefined ? undefined : compileExpression(kind.value.target, scope),
        given: kind.value.args.map((argument) => compileExpression(argument, scope)),
      });
    case 'comprehensionExpr':
      return compileComprehension(kind.value, scope);
    default:
      return refuse('maps and messages cannot be built in a rule');
  }
}

function constant(type: Type, value: Value): Compiled {
  return { type, constant: value, run: () => value };
}

function compileConstant(value: { readonly case: string | undefined; readonly value?: unknown }): Compiled {
  if (typeof value.value === 'string') return constant({ kind: 'string' }, value.value);
  if (typeof value.value === 'boolean') return constant({ kind: 'bool' }, value.value);
  if (value.case === 'int64Value' && typeof value.value === 'bigint')
    return constant({ kind: 'int' }, value.value);
  if (value.case === 'nullValue') return constant({ kind: 'null' }, null);
  return refuse('only text, whole numbers, `true`, `false` and `null` can be constants');
}

function compileName(name: string, scope: Scope): Compiled {
  const local = scope.locals.get(name);
  if (local !== undefined) {
    const slot = local.slot;
    return {
      type: local.type,
      run: (frame) => frame.locals[slot] ?? null,
    };
  }
  const type = Object.hasOwn(scope.variables, name) ? scope.variables[name] : undefined;
  if (type === undefined) return refuse(unknown('variable', name, Object.keys(scope.variables)));
  scope.reads.add(name);
  return {
    type,
    run: (frame) => {
      spend(frame, 1);
      return frame.variables[name] ?? null;
    },
  };
}

function compileSelect(operand: Compiled, field: string, scope: Scope): Compiled {
  const { type, run } = operand;
  if (type.kind !== 'record') return refuse(`\`.${field}\` of a ${describe(type)}: only records have fields`);
  const found = Object.hasOwn(type.fields, field) ? type.fields[field] : undefined;
  if (found === undefined)
    return refuse(`${unknown('field', field, Object.keys(type.fields))} (of ${type.name})`);
  scope.reads.add(`${type.name}.${field}`);
  return {
    type: found,
    run: (frame) => {
      spend(frame, 1);
      const value = run(frame);
      if (value instanceof CelFailure) return value;
      if (value === null || typeof value !== 'object')
        return new CelFailure(`no ${type.name} to take \`${field}\` of`);
      return (value as Fields)[field] ?? null;
    },
  };
}

function compileList(elements: readonly Compiled[]): Compiled {
  if (elements.length > limits.policyListLiteral) return refuse('the list is too long');
  const type = common(elements.map((element) => element.type));
  if (type === undefined || type.kind === 'age' || type.kind === 'duration')
    return refuse('a list holds values of one type');
  return {
    type: listOf(type),
    run: (frame) => {
      spend(frame, 1 + elements.length);
      const values: Value[] = [];
      for (const element of elements) {
        const value = element.run(frame);
        if (value instanceof CelFailure) return value;
        values.push(value);
      }
      return values;
    },
  };
}

type Comprehension = Extract<NonNullable<Expr>['exprKind'], { case: 'comprehensionExpr' }>['value'];

/** The macros `all exists exists_one filter map`, which the parser turns into folds (cel-spec "Macros"). */
function compileComprehension(fold: Comprehension, scope: Scope): Compiled {
  const range = compileExpression(fold.iterRange, scope);
  if (range.type.kind !== 'list' || range.type.nullable === true)
    return refuse(`macros go over lists, not over a ${describe(range.type)}`);
  if (scope.macros >= limits.policyMacroDepth) refuse('macros are nested too deeply');
  const initial = compileExpression(fold.accuInit, scope);
  const element = { type: range.type.of, slot: scope.slots.next++ };
  const slot = scope.slots.next++;
  const inside = (type: Type): Scope => ({
    ...scope,
    macros: scope.macros + 1,
    locals: new Map([...scope.locals, [fold.iterVar, element], [fold.accuVar, { type, slot }]]),
  });
  let type = initial.type;
  let step = compileExpression(fold.loopStep, inside(type));
  if (!fits(step.type, type)) {
    type = step.type;
    step = compileExpression(fold.loopStep, inside(type));
    if (!fits(step.type, type)) return refuse('the macro mixes types');
  }
  const condition = compileExpression(fold.loopCondition, inside(type));
  const result = compileExpression(fold.result, inside(type));
  return {
    type: result.type,
    run: (frame) => {
      const values = range.run(frame);
      if (values instanceof CelFailure) return values;
      if (!Array.isArray(values)) return new CelFailure('no list to go over');
      frame.locals[slot] = initial.run(frame);
      for (const value of values as readonly Value[]) {
        spend(frame, 1);
        if (condition.run(frame) !== true) break;
        frame.locals[element.slot] = value;
        frame.locals[slot] = step.run(frame);
      }
      return result.run(frame);
    },
  };
}
