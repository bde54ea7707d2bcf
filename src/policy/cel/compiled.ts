import { limits } from '#lib/limits.ts';
import { nearest } from '#lib/nearest.ts';
import { fits } from './types.ts';
import type { DecisionTime } from './time.ts';
import type { Fields, Outcome, Type, Value } from './types.ts';

/** What one evaluation works on. `locals` are the variables of macros, by slot. */
export interface Frame {
  readonly variables: Fields;
  readonly locals: Outcome[];
  readonly time: DecisionTime;
  readonly budget: Budget;
}

/** Steps that are left; shared by all rules of a decision. Running out is thrown, because nothing may absorb it. */
export interface Budget {
  steps: number;
}

export class BudgetExceeded extends Error {}

export type Run = (frame: Frame) => Outcome;

/** An expression with its type, its constant value if it is one, and how to run it. */
export interface Compiled {
  readonly type: Type;
  readonly run: Run;
  readonly constant?: Value;
  /** `age(x)`: the instant, for the comparison around it. */
  readonly instant?: Run;
  /** `duration("…")` in milliseconds. */
  readonly durationMs?: number;
}

/** Names in sight and what was read: `scan` and `file.scan` style names, from which a rule's evidence follows. */
export interface Scope {
  readonly variables: Readonly<Record<string, Type>>;
  readonly locals: ReadonlyMap<string, { readonly type: Type; readonly slot: number }>;
  readonly slots: { next: number };
  readonly reads: Set<string>;
  readonly depth: number;
  /** Macros around this place. */
  readonly macros: number;
}

/** Why an expression is refused at compile time. */
export class ExpressionRefused extends Error {}

export const refuse = (message: string): never => {
  throw new ExpressionRefused(message);
};

/** Takes steps from the budget. */
export function spend(frame: Frame, steps: number): void {
  frame.budget.steps -= steps;
  if (frame.budget.steps < 0) throw new BudgetExceeded('evaluation exceeded its step budget');
}

export function deeper(scope: Scope): Scope {
  if (scope.depth >= limits.policyExpressionDepth) refuse('the expression is nested too deeply');
  return { ...scope, depth: scope.depth + 1 };
}

/** `unknown variable `scna`; did you mean `scan`?` */
export function unknown(what: string, name: string, known: readonly string[]): string {
  const guess = nearest(name, known);
  return `unknown ${what} \`${name}\`${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`;
}

/** The type that all of these have, the empty list giving way. */
export function common(types: readonly Type[]): Type | undefined {
  let result: Type = { kind: 'never' };
  for (const type of types) {
    if (fits(type, result)) continue;
    if (!fits(result, type)) return undefined;
    result = type;
  }
  return result;
}
