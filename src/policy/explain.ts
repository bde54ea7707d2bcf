import { printable } from '#lib/printable.ts';
import type { Decision, Reason, Verdict } from './decision.ts';

/** Something that would turn a deny into something else: what is needed, who can do it, and how. */
export interface Change {
  readonly need: string;
  readonly who: string;
  readonly remedy: string;
  /** The rules that it would satisfy. */
  readonly rules: readonly string[];
}

export interface Explanation {
  readonly verdict: Verdict;
  /** One sentence. */
  readonly summary: string;
  /** Worst first. */
  readonly because: readonly Reason[];
  /** Everything that has to happen, each thing once; empty unless denied. */
  readonly wouldChange: readonly Change[];
  /** False when an integrity reason stands: no evidence, approval or waiver lifts it. */
  readonly changeable: boolean;
  /** RFC 3339, or null: until when this answer holds if nothing new is learnt. */
  readonly holdsUntil: string | null;
  /** Where each rule is described. */
  readonly documentation: string;
}

/** What a decision means and what would change it. Text is as evidence gave it: escape it where it is shown. */
export function explanationOf(decision: Decision): Explanation {
  const denies = decision.reasons.filter(({ effect }) => effect === 'deny');
  const changeable = !denies.some(({ rule }) => rule.startsWith('integrity.'));
  return {
    verdict: decision.verdict,
    summary: summaryOf(decision),
    because: decision.reasons,
    wouldChange: changesFor(denies),
    changeable,
    holdsUntil: decision.validUntil,
    documentation: 'docs/reference/deny-reasons.md',
  };
}

function summaryOf({ verdict, question, validUntil }: Decision): string {
  const files =
    question.files === null
      ? 'the whole artifact'
      : question.files.length === 1
        ? `\`${question.files[0] ?? ''}\``
        : `${question.files.length} files`;
  const what = `to ${question.action} ${files} in ${question.environment}`;
  const until = validUntil === null ? 'until new evidence, policy or trust' : `at most until ${validUntil}`;
  if (verdict === 'deny') return `denied: ${what} is refused`;
  return verdict === 'warn'
    ? `allowed with warnings: ${what} is allowed, ${until}`
    : `allowed: ${what} is allowed, ${until}`;
}

/** The same need is stated once, however many rules wait for it. */
function changesFor(denies: readonly Reason[]): readonly Change[] {
  const changes = new Map<string, { need: string; who: string; remedy: string; rules: string[] }>();
  for (const { rule, message, missing, who, remedy } of denies) {
    const need = missing ?? `resolve: ${message}`;
    const known = changes.get(need);
    if (known === undefined) changes.set(need, { need, who, remedy, rules: [rule] });
    else if (!known.rules.includes(rule)) known.rules.push(rule);
  }
  return [...changes.values()];
}

const marks: Readonly<Record<Verdict, string>> = { deny: 'deny ', warn: 'warn ', allow: 'ok   ' };

/**
 * A decision in plain words for a terminal, ending with a line break: verdict, reasons (worst first), what would change
 * it, until when it holds, what it rests on. Everything that came from artifacts or evidence is escaped.
 */
export function explain(decision: Decision): string {
  const explanation = explanationOf(decision);
  const lines = [printable(explanation.summary), ''];
  for (const { effect, rule, message, missing, evidence } of decision.reasons) {
    lines.push(`${marks[effect]} ${printable(rule)}: ${printable(message)}`);
    if (effect !== 'allow' && missing !== null) lines.push(`      missing: ${printable(missing)}`);
    if (effect !== 'allow' && evidence.length > 0)
      lines.push(`      evidence: ${evidence.map((digest) => digest.slice(0, 19)).join(' ')}`);
  }
  if (decision.verdict === 'deny') {
    lines.push(
      '',
      explanation.changeable ? 'What would change it:' : 'Nothing lifts this for this artifact:',
    );
    for (const { need, who, remedy } of explanation.wouldChange)
      lines.push(`  - ${printable(need)}`, `    who: ${printable(who)}`, `    how: ${printable(remedy)}`);
  }
  lines.push(
    '',
    `decided at ${decision.at} with the evidence up to log size ${decision.checkpoint.size}`,
    `policy ${decision.policyDigest}`,
    `trust  ${decision.trustDigest}`,
    `rules are described in ${explanation.documentation}`,
    '',
  );
  return lines.join('\n');
}
