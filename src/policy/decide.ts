import { Fault } from '#lib/fault.ts';
import { formatInstant } from '#lib/clock.ts';
import { limits } from '#lib/limits.ts';
import { DecisionTime, parseInstant } from './cel/time.ts';
import { approvalReasons } from './approval.ts';
import { collectFacts } from './facts.ts';
import type { EvidenceIndex } from './evidence-index.ts';
import { builtInDeny, builtInReasons } from './integrity.ts';
import { evaluatePolicy } from './evaluate.ts';
import { ruleValues } from './values.ts';
import type { Digest } from '#artifact/digest.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import type { CompiledPolicy, CompiledPolicySet } from './compile.ts';
import type { Decision, DecisionSubject, Question, Reason, Verdict } from './decision.ts';

import type { AppliesTo } from './policy.ts';

export interface DecisionInput {
  readonly policy: CompiledPolicySet;
  readonly question: Question;
  readonly subject: DecisionSubject;
  /**
   * Only what `evidence/verify` accepted; what is not about the subject is ignored. Whoever asks several questions about
   * one subject makes the index once; the answers are the same.
   */
  readonly evidence: readonly VerifiedEvidence[] | EvidenceIndex;
  /** RFC 3339 UTC with whole seconds; max(clock, time of the last checkpoint). */
  readonly at: string;
  readonly trustDigest: Digest;
  readonly checkpoint: { readonly size: number; readonly rootHash: string };
}

/**
 * The one decision: pure, synchronous, the same bytes for the same input whatever the order of the evidence. Built-in
 * integrity first, then every policy that applies to the question; no policy = deny. An error anywhere is a deny with
 * the error as its reason; it never throws for what policies or evidence say. Fault `request.invalid` when `at` is not
 * an instant of whole seconds.
 */
export function decide(input: DecisionInput): Decision {
  const atMs = parseInstant(input.at);
  if (atMs === undefined || formatInstant(atMs) !== input.at)
    throw new Fault(
      'request.invalid',
      `\`${input.at.slice(0, 40)}\` is not an instant of whole seconds in UTC`,
    );
  const time = new DecisionTime(atMs);
  const used = new Set<Digest>();
  const reasons = sortReasons(reasonsFor(input, time, used));
  for (const digest of reasons.flatMap((reason) => reason.evidence)) used.add(digest);
  return {
    version: 1,
    question: { ...input.question, files: input.question.files === null ? null : [...input.question.files] },
    verdict: verdictOf(reasons),
    reasons,
    evidenceUsed: [...used].toSorted(),
    policyDigest: input.policy.digest,
    trustDigest: input.trustDigest,
    checkpoint: { size: input.checkpoint.size, rootHash: input.checkpoint.rootHash },
    at: input.at,
    validUntil: time.crossingMs === undefined ? null : formatInstant(time.crossingMs),
  };
}

function reasonsFor(input: DecisionInput, time: DecisionTime, used: Set<Digest>): readonly Reason[] {
  try {
    const facts = collectFacts(input.question, input.subject, input.evidence);
    const applicable = input.policy.policies.filter((policy) => applies(policy.appliesTo, input));
    const newest = facts.observed.at(-1);
    if (newest !== undefined) used.add(newest.evidence);
    const values = ruleValues(facts, time.atMs);
    const context = { facts, values, time, used, budget: { steps: limits.policyDecisionSteps } };
    return [
      ...builtInReasons(facts),
      ...(applicable.length === 0 ? [noPolicy(input)] : []),
      ...applicable.flatMap((policy: CompiledPolicy) => evaluatePolicy(policy, context)),
      // Last: nobody is asked for an approval before what stands against the artifact itself was said.
      ...approvalReasons(facts, time),
    ];
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return [
      builtInDeny('evaluation.failed', `the decision could not be taken: ${message}`, {
        who: 'the operator of Weighbridge',
        remedy: 'report this decision with its evidence: it is a defect',
      }),
    ];
  }
}

const names = <T>(list: readonly T[] | null, value: T): boolean => list === null || list.includes(value);

/** Does a policy answer this question about a subject of this tier? */
export function applies(
  appliesTo: AppliesTo,
  input: { readonly question: Question; readonly subject: DecisionSubject },
): boolean {
  const { question, subject } = input;
  return (
    names(appliesTo.actions, question.action) &&
    names(appliesTo.environments, question.environment) &&
    names(appliesTo.tiers, subject.tier) &&
    names(appliesTo.namespaces, question.namespace)
  );
}

function noPolicy({ question, subject }: DecisionInput): Reason {
  return builtInDeny(
    'evaluation.no-policy',
    `no policy answers \`${question.action}\` in ${question.environment} for tier ${subject.tier}`,
    {
      missing: 'a policy that applies to this question',
      who: 'an administrator',
      remedy: 'add a policy whose `appliesTo` covers this action, environment, tier and namespace',
    },
  );
}

const ranks: Readonly<Record<Verdict, number>> = { deny: 0, warn: 1, allow: 2 };

/** Worst first; within one effect in the order of built-ins, policy names, rules and paths. */
function sortReasons(reasons: readonly Reason[]): readonly Reason[] {
  return reasons.toSorted((a, b) => ranks[a.effect] - ranks[b.effect]);
}

/** The worst effect; a decision without a reason is a deny. */
function verdictOf(reasons: readonly Reason[]): Verdict {
  return reasons[0]?.effect ?? 'deny';
}
