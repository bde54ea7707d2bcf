import { digestOf, hexOf } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { statementType } from '#evidence/statement.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcs, encodeJcsText } from '#lib/jcs.ts';
import { parseDecision } from './parse-decision.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Statement } from '#evidence/statement.ts';
import type { Decision, DecisionSubject } from './decision.ts';

/** The extension member of the VSA predicate that carries the whole decision. */
export const decisionExtension = 'https://weighbridge.dev/decision/v1';
/** The extension member that binds what was known about the subject apart from evidence (tier, roles, references). */
export const subjectExtension = 'https://weighbridge.dev/decision-subject/v1';

/** SLSA v1.2 Verification Summary Attestation, as far as we write it. */
export interface DecisionPredicate {
  readonly verifier: { readonly id: string };
  readonly timeVerified: string;
  readonly resourceUri: string;
  readonly policy: { readonly uri: string; readonly digest: { readonly sha256: string } };
  readonly inputAttestations: readonly {
    readonly uri: string;
    readonly digest: { readonly sha256: string };
  }[];
  readonly verificationResult: 'PASSED' | 'FAILED';
  readonly verifiedLevels: readonly string[];
  readonly slsaVersion: '1.2';
  readonly [decisionExtension]: Decision;
  readonly [subjectExtension]?: { readonly sha256: string };
}

/** SHA-256 of the JCS bytes of a subject. */
export function subjectDigest(subject: DecisionSubject): Digest {
  return digestOf(encodeJcs(subject));
}

/** What a decision statement binds: the envelopes that it rests on, and the subject where it names one. */
export function boundInputs(statement: Statement): {
  readonly evidence: readonly string[];
  readonly subject: string | null;
} {
  const members = new Map<string, unknown>(Object.entries(statement.predicate ?? {}));
  const sha256Of = (value: unknown): string | null =>
    typeof value === 'object' && value !== null && 'sha256' in value && typeof value.sha256 === 'string'
      ? value.sha256
      : null;
  const inputs = members.get('inputAttestations');
  return {
    evidence: Array.isArray(inputs)
      ? inputs.map((input: { readonly digest?: unknown } | null) => sha256Of(input?.digest) ?? '')
      : [],
    subject: sha256Of(members.get(subjectExtension)),
  };
}

/**
 * A decision as a Verification Summary Attestation (SLSA v1.2 "verification_summary/v1"): subject = the artifact.
 * `allow` and `warn` are PASSED, `deny` is FAILED; `verifiedLevels` says which of them, in our own words, because we do
 * not verify SLSA levels. `inputs` are the envelope digests that the decision rests on (`evidenceUsed`). With `subject` its
 * SHA-256 (JCS) is signed too: without it a decision cannot be reproduced offline.
 */
export function makeDecisionStatement(
  decision: Decision,
  options: {
    readonly verifierId: string;
    readonly resourceUri: string;
    readonly inputs: readonly Digest[];
    readonly subject?: DecisionSubject;
  },
): Statement<DecisionPredicate> {
  const denied = decision.verdict === 'deny';
  return {
    _type: statementType,
    subject: [{ digest: { sha256: hexOf(decision.question.artifact) } }],
    predicateType: predicateTypes.decision,
    predicate: {
      verifier: { id: options.verifierId },
      timeVerified: decision.at,
      resourceUri: options.resourceUri,
      policy: {
        uri: `urn:weighbridge:policy:${decision.policyDigest}`,
        digest: { sha256: hexOf(decision.policyDigest) },
      },
      inputAttestations: options.inputs.map((input) => ({
        uri: `urn:weighbridge:evidence:${input}`,
        digest: { sha256: hexOf(input) },
      })),
      verificationResult: denied ? 'FAILED' : 'PASSED',
      verifiedLevels: denied ? ['FAILED'] : [`WEIGHBRIDGE_${decision.verdict.toUpperCase()}`],
      slsaVersion: '1.2',
      [decisionExtension]: decision,
      ...(options.subject === undefined
        ? {}
        : { [subjectExtension]: { sha256: hexOf(subjectDigest(options.subject)) } }),
    },
  };
}

const refuse = (what: string): never => {
  throw new Fault('statement.invalid', `this is not a decision: ${what}`);
};

/**
 * The decision inside a statement that `makeDecisionStatement` wrote. Fault `statement.invalid` for any other statement
 * and for one whose summary contradicts the decision it carries (subject, time, policy or result).
 */
export function parseDecisionStatement(statement: Statement): Decision {
  if (statement.predicateType !== predicateTypes.decision) return refuse('another predicate type');
  const predicate = statement.predicate;
  if (typeof predicate !== 'object' || predicate === null) return refuse('no predicate');
  const members = new Map<string, unknown>(Object.entries(predicate));
  const decision = parseDecision(members.get(decisionExtension));
  const expected = makeDecisionStatement(decision, { verifierId: '', resourceUri: '', inputs: [] });
  const [subject] = statement.subject;
  if (statement.subject.length !== 1 || subject?.digest.sha256 !== hexOf(decision.question.artifact))
    return refuse('it is about another artifact');
  for (const name of ['timeVerified', 'policy', 'verificationResult', 'verifiedLevels'] as const) {
    const written = members.get(name);
    if (written === undefined || encodeJcsText(written) !== encodeJcsText(expected.predicate[name]))
      return refuse(`\`${name}\` contradicts the decision`);
  }
  return decision;
}

const outcome = ({ verdict, reasons, validUntil }: Decision): string =>
  encodeJcsText({ verdict, reasons, validUntil });

/** Does a new decision say the same as the kept one (verdict, reasons, validity)? Then the kept one stands. */
export function sameOutcome(a: Decision, b: Decision): boolean {
  return outcome(a) === outcome(b);
}
