import { limits } from '#lib/limits.ts';
import { builtInDeny } from './integrity.ts';
import type { DecisionTime } from './cel/time.ts';
import type { Reason } from './decision.ts';
import type { ApprovalFacts, Facts } from './facts.ts';

/**
 * Where the operator's delivery rules ask for a person (`DecisionSubject.approvalRequired`): the approval that is in force
 * for this environment as an allow with its evidence, else a deny that says who can approve and how; empty where nobody
 * has to. What counts binds everything that steers loading: an approval of weights alone says nothing about the code
 * beside them.
 */
export function approvalReasons(facts: Facts, time: DecisionTime): readonly Reason[] {
  if (facts.subject.approvalRequired !== true) return [];
  const { roots } = facts.subject;
  const bound = facts.approvals.filter(
    ({ reading }) =>
      roots[reading.root] !== null &&
      (roots[reading.root] === roots.all || roots[reading.root] === roots.loading),
  );
  const inForce = bound.filter((approval) => isInForce(approval, time.atMs)).toSorted(longestFirst)[0];
  if (inForce === undefined) return [needed(facts, bound, time)];
  if (inForce.expiresAtMs !== null) time.reached(inForce.expiresAtMs);
  const until = inForce.reading.expiresAt === null ? '' : ` until ${inForce.reading.expiresAt}`;
  return [
    {
      rule: 'delivery.approval',
      effect: 'allow',
      message:
        `a person approved it for ${facts.question.environment}${until}, binding its \`${inForce.reading.root}\` root`.toWellFormed(),
      evidence: [inForce.evidence],
      missing: null,
      who: 'nobody',
      remedy: 'nothing to do',
    },
  ];
}

function isInForce({ approvedAtMs, expiresAtMs }: ApprovalFacts, atMs: number): boolean {
  return approvedAtMs <= atMs && (expiresAtMs === null || atMs < expiresAtMs);
}

/** The one that holds longest carries the decision, so that the end of a shorter one is no news. */
function longestFirst(a: ApprovalFacts, b: ApprovalFacts): number {
  const [endA, endB] = [a.expiresAtMs ?? Infinity, b.expiresAtMs ?? Infinity];
  return endA === endB ? a.logIndex - b.logIndex : endB > endA ? 1 : -1;
}

/** The deny. It rests on the newest approvals that are over or have not begun, because one of them may begin. */
function needed({ question }: Facts, bound: readonly ApprovalFacts[], time: DecisionTime): Reason {
  const known = bound.slice(-limits.reasonsPerRule);
  for (const { approvedAtMs } of known) time.reached(approvedAtMs);
  const over = known.at(-1)?.reading.expiresAt;
  const why = over === undefined || over === null ? '' : `; the last approval ended at ${over}`;
  const { artifact, environment, namespace } = question;
  return builtInDeny(
    'delivery.approval',
    `it needs approval by a person before anything of it leaves here for ${environment}${why}`,
    {
      evidence: known.map(({ evidence }) => evidence),
      missing: `an approval for ${environment}`,
      who: `an administrator of the namespace \`${namespace}\``,
      remedy: `look at it in the console, or run \`weighbridge approve ${artifact} --environment ${environment} --reason WHY\``,
    },
  );
}
