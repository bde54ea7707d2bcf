import { limits } from '#lib/limits.ts';
import { CelFailure } from './cel/types.ts';
import { builtInDeny } from './integrity.ts';
import { waiverFor } from './waive.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Budget } from './cel/compiled.ts';
import type { DecisionTime } from './cel/time.ts';
import type { Fields } from './cel/types.ts';
import type { CompiledPolicy, CompiledRule } from './compile.ts';
import type { Reason } from './decision.ts';
import type { Facts, FileFacts } from './facts.ts';
import type { RuleValues } from './values.ts';

/** What all rules of one decision share. */
export interface EvaluationContext {
  readonly facts: Facts;
  readonly values: RuleValues;
  readonly time: DecisionTime;
  readonly budget: Budget;
  /** Collects every envelope that a reason rests on, also beyond `limits.evidencePerReason`. */
  readonly used: Set<Digest>;
}

/** The reasons that one applicable policy gives, at least one. */
export function evaluatePolicy(policy: CompiledPolicy, context: EvaluationContext): readonly Reason[] {
  if (policy.error !== null) {
    return [
      builtInDeny('evaluation.policy-invalid', policy.error, {
        who: 'an administrator',
        remedy: `correct the policy document \`${policy.name}\``,
      }),
    ];
  }
  return policy.rules.flatMap((rule) => evaluateRule(rule, context));
}

function evaluateRule(rule: CompiledRule, context: EvaluationContext): readonly Reason[] {
  if (rule.rule.for === 'artifact') {
    return [
      judge(rule, { variables: context.values.artifact, file: null }, context) ??
        satisfied(rule, null, context),
    ];
  }
  const reasons: Reason[] = [];
  const further = { deny: 0, warn: 0 };
  let holds = 0;
  for (const { facts: file, variables } of context.values.files) {
    const reason = judge(rule, { variables, file }, context);
    if (reason === undefined) holds++;
    else if (reasons.length < limits.reasonsPerRule || !hasDeny(reasons, reason)) reasons.push(reason);
    else further[reason.effect === 'deny' ? 'deny' : 'warn']++;
  }
  const rest = (['deny', 'warn'] as const).flatMap((effect) =>
    further[effect] === 0 ? [] : [remaining(rule, effect, further[effect])],
  );
  return reasons.length === 0 ? [satisfied(rule, holds, context)] : [...reasons, ...rest];
}

/** A deny is always listed, even after the limit has been reached by warnings. */
function hasDeny(reasons: readonly Reason[], next: Reason): boolean {
  return next.effect !== 'deny' || reasons.some(({ effect }) => effect === 'deny');
}

function remaining(rule: CompiledRule, effect: 'deny' | 'warn', count: number): Reason {
  return {
    rule: rule.name,
    effect,
    message: `the same holds for ${count} more files`,
    evidence: [],
    missing: null,
    who: rule.rule.who,
    remedy: rule.rule.remedy,
  };
}

interface Place {
  readonly variables: Fields;
  readonly file: FileFacts | null;
}

/** The reason against, or undefined when the rule holds here. */
function judge(rule: CompiledRule, place: Place, context: EvaluationContext): Reason | undefined {
  if (rule.require === undefined) return broken(rule, place, rule.error ?? 'not compiled');
  consult(rule, context);
  const outcome = rule.require.evaluate(place.variables, context.time, context.budget);
  if (outcome === true) return undefined;
  if (outcome !== false) {
    const error = outcome instanceof CelFailure ? outcome.message : 'the rule did not answer true or false';
    return broken(rule, place, error);
  }
  const reason = violated(rule, place, context);
  if (rule.rule.effect === 'warn' || rule.rule.integrity) return reason;
  const waiver = waiverFor(rule.name, place.file?.file.role ?? null, context.facts.waivers, context);
  if (waiver === undefined) return reason;
  const { breakGlass, expiresAt, people } = waiver.reading;
  const how = breakGlass ? 'by break-glass' : `by ${new Set(people).size} people`;
  return {
    ...reason,
    effect: 'warn',
    message: `${reason.message} (waived ${how} until ${expiresAt}: ${waiver.reading.reason})`.toWellFormed(),
    evidence: [...new Set([...reason.evidence, waiver.evidence])].toSorted(),
  };
}

/** A rule that looks at approvals or waivers looks at when they begin and end. */
function consult(rule: CompiledRule, { facts, time }: EvaluationContext): void {
  const reads = rule.require?.reads;
  if (reads?.has('approvals') === true || reads?.has('approvers') === true) {
    for (const { approvedAtMs, expiresAtMs } of facts.approvals) {
      time.reached(approvedAtMs);
      if (expiresAtMs !== null) time.reached(expiresAtMs);
    }
  }
}

const prefix = (file: FileFacts | null): string => (file === null ? '' : `\`${file.file.path}\`: `);

function broken(rule: CompiledRule, place: Place, error: string): Reason {
  return {
    rule: rule.name,
    effect: 'deny',
    message: `${prefix(place.file)}the rule could not be evaluated: ${error}`.toWellFormed(),
    evidence: [],
    missing: null,
    who: 'an administrator',
    remedy: `correct the rule \`${rule.name}\``,
  };
}

function violated(rule: CompiledRule, place: Place, context: EvaluationContext): Reason {
  const { rule: written } = rule;
  return {
    rule: rule.name,
    effect: written.effect,
    message: `${prefix(place.file)}${messageOf(rule, place, context)}`.slice(0, 4096).toWellFormed(),
    evidence: evidenceOf(rule, place.file === null ? null : [place.file], context),
    missing: missingOf(rule, place.file, context)?.toWellFormed() ?? null,
    who: written.who,
    remedy: written.remedy,
  };
}

function messageOf(rule: CompiledRule, place: Place, context: EvaluationContext): string {
  if (rule.messageExpression === undefined) return rule.rule.message ?? rule.rule.description;
  const said = rule.messageExpression.evaluate(place.variables, context.time, context.budget);
  if (typeof said === 'string' && said !== '') return said;
  const error = said instanceof CelFailure ? said.message : 'it gave no text';
  return `${rule.rule.description} (its message failed: ${error})`;
}

function satisfied(rule: CompiledRule, files: number | null, context: EvaluationContext): Reason {
  const scope = files === null ? '' : ` (${files} ${files === 1 ? 'file' : 'files'})`;
  return {
    rule: rule.name,
    effect: 'allow',
    message: `${rule.rule.description}${scope}`.toWellFormed(),
    evidence: evidenceOf(rule, context.facts.files, context),
    missing: null,
    who: rule.rule.who,
    remedy: 'nothing to do',
  };
}

const looksAt = (rule: CompiledRule, name: string): boolean => rule.require?.reads.has(name) === true;

/** The evidence behind what a rule read, sorted; `files` = the files it was asked about (null: about none of its own). */
function evidenceOf(
  rule: CompiledRule,
  files: readonly FileFacts[] | null,
  context: EvaluationContext,
): readonly Digest[] {
  const { facts } = context;
  const used = new Set<Digest>();
  if (looksAt(rule, 'file.scan')) {
    const which = looksAt(rule, 'files') ? facts.files : (files ?? []);
    for (const { scan } of which) for (const { evidence } of scan.newest) used.add(evidence);
  }
  if (looksAt(rule, 'scan')) for (const { evidence } of facts.scan.newest) used.add(evidence);
  const observed = facts.observed.at(-1);
  if (looksAt(rule, 'observed') && observed !== undefined) used.add(observed.evidence);
  if ((looksAt(rule, 'bom') || looksAt(rule, 'file.inBom')) && facts.bom !== undefined)
    used.add(facts.bom.evidence);
  if (looksAt(rule, 'sandbox') && facts.sandbox !== undefined) used.add(facts.sandbox.evidence);
  if (looksAt(rule, 'approvals') || looksAt(rule, 'approvers'))
    for (const { evidence } of facts.approvals) used.add(evidence);
  if (looksAt(rule, 'waivers')) for (const { evidence } of facts.waivers) used.add(evidence);
  for (const digest of used) context.used.add(digest);
  return [...used].toSorted().slice(0, limits.evidencePerReason);
}

/** Which evidence would have to exist; null when all that the rule reads is there. */
function missingOf(rule: CompiledRule, file: FileFacts | null, context: EvaluationContext): string | null {
  const { facts } = context;
  const absent: string[] = [];
  if (looksAt(rule, 'file.scan')) {
    const which = looksAt(rule, 'files') || file === null ? facts.files : [file];
    const unscanned = which.filter(({ scan }) => scan.newest.length === 0);
    const first = unscanned[0];
    if (first !== undefined)
      absent.push(
        `a scan of \`${first.file.path}\`${unscanned.length > 1 ? ` and ${unscanned.length - 1} more files` : ''}`,
      );
  }
  if (looksAt(rule, 'scan') && facts.scan.newest.length === 0)
    absent.push('a scan of what the paths make of the files');
  if (looksAt(rule, 'observed') && facts.observed.length === 0) absent.push('a record of where it came from');
  if ((looksAt(rule, 'bom') || looksAt(rule, 'file.inBom')) && facts.bom === undefined)
    absent.push('a bill of materials');
  if (looksAt(rule, 'sandbox') && facts.sandbox === undefined) absent.push('a run in the sandbox');
  if (looksAt(rule, 'approvals') || looksAt(rule, 'approvers')) absent.push('an approval');
  return absent.length === 0 ? null : (rule.rule.missing ?? absent.join('; '));
}
