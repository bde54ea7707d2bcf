import { hexOf } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { statementType } from '#evidence/statement.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { tiers } from './policy.ts';
import { parseDecision } from './parse-decision.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Tier } from '#evidence/predicates.ts';
import type { Statement } from '#evidence/statement.ts';
import type { Decision, DecisionSubject } from './decision.ts';

/** The extension member of the VSA predicate that carries the whole decision. */
export const decisionExtension = 'https://weighbridge.dev/decision/v1';
/** The extension member with what was known about the subject and does not follow from its files. */
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
  readonly [subjectExtension]?: Circumstances;
}

/** Tier, references, the paths whose bytes were not here yet in the order of the files, and whether a person had to approve. */
export interface Circumstances {
  readonly tier: Tier;
  readonly references: readonly string[];
  readonly absent: readonly string[];
  readonly approvalRequired?: true;
}

const refuse = (what: string): never => {
  throw new Fault('statement.invalid', `this is not a decision: ${what}`);
};

function circumstancesOf({ tier, references, files, approvalRequired }: DecisionSubject): Circumstances {
  const absent = files.filter(({ present }) => !present).map(({ path }) => path);
  return { tier, references, absent, ...(approvalRequired === true ? { approvalRequired } : {}) };
}

function membersOf(value: unknown): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>(typeof value === 'object' && value !== null ? Object.entries(value) : []);
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((entry) => typeof entry === 'string');

/**
 * The subject as it was when the decision was taken: files and roots as given (they follow from the artifact), tier,
 * references, presence and need of approval as the statement says. Fault `statement.invalid` where it does not say.
 */
export function subjectAsDecided(statement: Statement, subject: DecisionSubject): DecisionSubject {
  const circumstances = membersOf(membersOf(statement.predicate).get(subjectExtension));
  const tier = tiers.find((candidate) => candidate === circumstances.get('tier'));
  const references = circumstances.get('references');
  const absent = circumstances.get('absent');
  const approvalRequired = circumstances.get('approvalRequired');
  if (tier === undefined || !isTexts(references) || !isTexts(absent))
    return refuse('it does not say what it knew about its subject');
  if (approvalRequired !== undefined && approvalRequired !== true)
    return refuse('`approvalRequired` is neither true nor absent');
  const missing = new Set(absent);
  const files = subject.files.map((file) => ({ ...file, present: !missing.has(file.path) }));
  const { artifact, roots } = subject;
  return {
    artifact,
    roots,
    files,
    tier,
    references,
    ...(approvalRequired === true ? { approvalRequired } : {}),
  };
}

/** Hex SHA-256 of the envelopes that a decision statement says it rests on. */
export function statedInputs(statement: Statement): readonly string[] {
  const inputs = membersOf(statement.predicate).get('inputAttestations');
  if (!Array.isArray(inputs)) return [];
  return inputs.map((input: unknown) => {
    const sha256 = membersOf(membersOf(input).get('digest')).get('sha256');
    return typeof sha256 === 'string' ? sha256 : '';
  });
}

/**
 * A decision as a Verification Summary Attestation (SLSA v1.2 "verification_summary/v1"): subject = the artifact.
 * `allow` and `warn` are PASSED, `deny` is FAILED; `verifiedLevels` says which of them, in our own words, because we do
 * not verify SLSA levels. `inputs` are the envelope digests that the decision rests on (`evidenceUsed`). With `subject` its
 * circumstances are signed too: without them a decision cannot be reproduced offline.
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
      ...(options.subject === undefined ? {} : { [subjectExtension]: circumstancesOf(options.subject) }),
    },
  };
}

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
