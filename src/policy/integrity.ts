import { limits } from '#lib/limits.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Reason } from './decision.ts';
import type { Facts } from './facts.ts';

/** The reasons that no policy can switch off and no waiver can lift. docs/reference/deny-reasons.md has each. */
export const builtInRules = [
  'delivery.approval',
  'evaluation.absent',
  'evaluation.evidence-malformed',
  'evaluation.failed',
  'evaluation.no-policy',
  'evaluation.policy-invalid',
  'evaluation.subject',
  'evaluation.unknown-file',
  'integrity.observed-mismatch',
  'integrity.provisional',
  'integrity.revoked',
] as const;

export type BuiltInRule = (typeof builtInRules)[number];

/** A deny of a built-in rule. */
export function builtInDeny(
  rule: BuiltInRule,
  message: string,
  rest: {
    readonly evidence?: readonly Digest[];
    readonly missing?: string;
    readonly who: string;
    readonly remedy: string;
  },
): Reason {
  return {
    rule,
    effect: 'deny',
    message: message.toWellFormed(),
    evidence: rest.evidence ?? [],
    missing: rest.missing?.toWellFormed() ?? null,
    who: rest.who,
    remedy: rest.remedy,
  };
}

/** Paths in words, cut after `limits.reasonsPerRule`. */
function listed(paths: readonly string[]): string {
  const shown = paths.slice(0, limits.reasonsPerRule).map((path) => `\`${path}\``);
  const rest = paths.length - shown.length;
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ');
}

/** Everything that is wrong whatever the policies say, in a fixed order; empty for a sound question and subject. */
export function builtInReasons(facts: Facts): readonly Reason[] {
  return [
    ...subjectReasons(facts),
    ...revokedReasons(facts),
    ...observedReasons(facts),
    ...malformedReasons(facts),
    ...absentReasons(facts),
  ];
}

function subjectReasons({ question, subject, unknownPaths }: Facts): readonly Reason[] {
  const reasons: Reason[] = [];
  if (question.artifact !== subject.artifact || subject.roots.all !== subject.artifact) {
    reasons.push(
      builtInDeny(
        'evaluation.subject',
        'the question is about another artifact than the files that were put forward',
        {
          who: 'whoever runs this gate',
          remedy: 'report it: a gate asked about one artifact and presented another',
        },
      ),
    );
  }
  if (unknownPaths.length > 0) {
    reasons.push(
      builtInDeny('evaluation.unknown-file', `the artifact has no file ${listed(unknownPaths)}`, {
        who: 'the caller',
        remedy: 'ask for a file that the artifact has',
      }),
    );
  }
  return reasons;
}

function revokedReasons({ revocations }: Facts): readonly Reason[] {
  return revocations.slice(0, limits.reasonsPerRule).map(({ what, reason, evidence }) =>
    builtInDeny('integrity.revoked', `${what} was revoked: ${reason}`, {
      evidence: [evidence],
      who: 'nobody: a revocation has no bypass',
      remedy: 'use another version of the model',
    }),
  );
}

function observedReasons({ question, observed }: Facts): readonly Reason[] {
  const reasons: Reason[] = [];
  for (const { differing, evidence } of observed) {
    if (differing.length === 0 || reasons.length >= limits.reasonsPerRule) continue;
    const paths = listed(differing);
    reasons.push(
      builtInDeny(
        'integrity.observed-mismatch',
        `${paths}: observed with other bytes than the artifact names`,
        {
          evidence: [evidence],
          who: 'the owner of the source',
          remedy: 'find out why one commit had two contents; pull a new commit',
        },
      ),
    );
  }
  const newest = observed.at(-1);
  if (
    newest?.reading.provisional === true &&
    (question.action === 'promote' || question.action === 'deploy')
  ) {
    reasons.push(
      builtInDeny(
        'integrity.provisional',
        'the snapshot is provisional: not all of its small files are known yet',
        {
          evidence: [newest.evidence],
          missing: 'the complete snapshot',
          who: 'whoever asks for promotion',
          remedy: 'pull the whole artifact first, then ask again',
        },
      ),
    );
  }
  return reasons;
}

function malformedReasons({ malformed }: Facts): readonly Reason[] {
  return malformed.slice(0, limits.reasonsPerRule).map(({ evidence, predicateType }) =>
    builtInDeny('evaluation.evidence-malformed', `evidence of type \`${predicateType}\` cannot be read`, {
      evidence: [evidence],
      who: 'the operator of Weighbridge',
      remedy: 'produce the evidence again with this version, or upgrade to the version that wrote it',
    }),
  );
}

function absentReasons({ files }: Facts): readonly Reason[] {
  const absent = files.filter(({ file }) => !file.present).map(({ file }) => file.path);
  if (absent.length === 0) return [];
  return [
    builtInDeny('evaluation.absent', `not here yet: ${listed(absent)}`, {
      missing: `the bytes of ${listed(absent)}`,
      who: 'nobody: Weighbridge fetches them',
      remedy: 'ask again in a moment; the intake of these files has begun or begins with this request',
    }),
  ];
}
