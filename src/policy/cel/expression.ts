import { parse } from '@bufbuild/cel';
import { limits } from '#lib/limits.ts';
import { compileExpression } from './check.ts';
import { BudgetExceeded, refuse } from './compiled.ts';
import { CelFailure, describe, fits } from './types.ts';
import type { Budget, Scope } from './compiled.ts';
import type { DecisionTime } from './time.ts';
import type { Fields, Outcome, Type } from './types.ts';

/** A checked expression. `reads` names the variables and record fields it can look at (`scan`, `file.scan`). */
export interface Expression {
  readonly source: string;
  readonly reads: ReadonlySet<string>;
  /** Never throws: an error, also running out of steps, is a `CelFailure`. */
  evaluate(variables: Fields, time: DecisionTime, budget: Budget): Outcome;
}

/**
 * CEL text to a checked expression of the wanted type. The language is the subset of cel-spec described in
 * docs/reference/policies.md; syntax is the library's, names and types are checked here once, evaluation counts its
 * steps. Throws `ExpressionRefused` (or the parser's error) with words for the author.
 */
export function compileCel(
  source: string,
  variables: Readonly<Record<string, Type>>,
  wanted: Type,
): Expression {
  if (Buffer.byteLength(source) > limits.policyExpressionBytes) refuse('the expression is too long');
  const scope: Scope = {
    variables,
    locals: new Map(),
    slots: { next: 0 },
    reads: new Set(),
    depth: 0,
    macros: 0,
  };
  const compiled = compileExpression(parseCel(source), scope);
  if (!fits(compiled.type, wanted))
    refuse(`the expression gives a ${describe(compiled.type)} where a ${describe(wanted)} is needed`);
  return {
    source,
    reads: scope.reads,
    evaluate(values, time, budget) {
      const allowed = Math.min(budget.steps, limits.policyRuleSteps);
      const own: Budget = { steps: allowed };
      try {
        return compiled.run({ variables: values, locals: [], time, budget: own });
      } catch (thrown) {
        if (thrown instanceof BudgetExceeded) return new CelFailure(thrown.message);
        return new CelFailure(
          `evaluation failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
        );
      } finally {
        budget.steps -= allowed - Math.max(0, own.steps);
      }
    },
  };
}

/** Brackets are counted before parsing: the parser recurses over them. */
function parseCel(source: string): ReturnType<typeof parse>['expr'] {
  let open = 0;
  for (const character of source) {
    if ('([{'.includes(character)) open++;
    else if (')]}'.includes(character)) open--;
    if (open > limits.policyExpressionDepth) refuse('the expression is nested too deeply');
  }
  try {
    return parse(source).expr;
  } catch (thrown) {
    return refuse(thrown instanceof Error ? thrown.message.replaceAll('<input>:', '') : 'syntax error');
  }
}
