import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault, toFault } from '#lib/fault.ts';
import type { Digest } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import type { Trust } from '#evidence/trust.ts';
import type { Decisions, Listing, Principal, Ruling } from '#gates/pull/ports.ts';
import { decide } from '#policy/decide.ts';
import type { CompiledPolicySet } from '#policy/compile.ts';
import type { Decision, Question } from '#policy/decision.ts';
import type { DecisionStore, KeptDecision } from '#policy/decision-store.ts';
import { makeDecisionStatement, sameOutcome } from '#policy/vsa.ts';
import type { Dossier, Dossiers } from './dossiers.ts';

export interface DecisionPorts {
  readonly dossiers: Dossiers;
  readonly store: DecisionStore;
  readonly policy: () => CompiledPolicySet;
  readonly trust: () => Trust;
  readonly clock: Clock;
  /** `stale` while the ledger's head was not read for too long: nothing is allowed then. `signedAtMs`: its newest time. */
  readonly ledgerAge: () => { readonly stale: boolean; readonly signedAtMs: number };
  readonly artifactOf: (listing: Listing) => Promise<Digest | undefined>;
  /** Signs with the decision key and appends. */
  readonly write: (namespace: string, statements: readonly Statement[]) => Promise<readonly LoggedEvidence[]>;
  readonly verifierId: () => string;
  readonly counted: (decision: Decision) => void;
  /** Hears why a decision could not be taken; the caller only hears that it could not. */
  readonly failed: (error: unknown) => void;
}

export interface DecisionBook extends Decisions {
  /** The decision with everything it rests on, for export. */
  asked(question: Question): Promise<{ readonly kept: KeptDecision; readonly dossier: Dossier }>;
  /** Runs every kept question about the artifact again; keeps what came out differently. */
  reconsider(namespace: string, artifact: Digest): Promise<void>;
}

interface Remembered {
  /** Weak: a dossier that was dropped answers nothing any more and must not be kept alive by its decisions. */
  readonly dossier: WeakRef<Dossier>;
  readonly policyDigest: Digest;
  readonly trustDigest: Digest;
  readonly kept: KeptDecision;
  readonly withdrawn: boolean;
}

type Ruled = Omit<Remembered, 'dossier'> & { readonly dossier: Dossier };

const remembered = 20_000;

/**
 * Asks `decide`, keeps and signs what is new, answers from memory while nothing that the decision rests on has changed:
 * same dossier, same policy, same trust, and the clock is before `validUntil`.
 */
export function openDecisions(ports: DecisionPorts): DecisionBook {
  const memory = new Map<string, Remembered>();
  const underWay = new Map<string, Promise<unknown>>();
  const recall = async (name: string, question: Question) => {
    const dossier = await ports.dossiers.open(question.namespace, question.artifact);
    if (dossier === undefined) {
      throw new Fault('resource.unknown', `the namespace does not hold \`${question.artifact}\``);
    }
    const last = memory.get(name);
    return { dossier, last: last !== undefined && stillHolds(ports, last, dossier) ? last : undefined };
  };
  const ruleNow = async (name: string, question: Question): Promise<Ruled> => {
    const { dossier, last } = await recall(name, question);
    if (last !== undefined) return { ...last, dossier };
    const ruled = await takeDecision(ports, question, dossier);
    if (memory.size >= remembered) memory.delete(memory.keys().next().value ?? '');
    memory.set(name, ruled);
    return { ...ruled, dossier };
  };
  /**
   * Decisions are taken one at a time per question: a thousand callers make one entry in the log, and an answer that rests
   * on less evidence is never kept after one that rests on more.
   */
  const rule = async (question: Question): Promise<Ruled> => {
    const name = JSON.stringify(question);
    const { dossier, last } = await recall(name, question);
    if (last !== undefined) return { ...last, dossier };
    const before = underWay.get(name) ?? Promise.resolve();
    const ruling = before.then(
      () => ruleNow(name, question),
      () => ruleNow(name, question),
    );
    underWay.set(name, ruling);
    const leave = (): void => {
      if (underWay.get(name) === ruling) underWay.delete(name);
    };
    ruling.then(leave, leave);
    return ruling;
  };
  const ask = async (question: Question): Promise<Ruling> => {
    try {
      if (ports.ledgerAge().stale) {
        throw new Fault('ledger.unavailable', 'the ledger was not read for more than 10 seconds');
      }
      const { kept, withdrawn } = await rule(question);
      return { decision: kept.decision, withdrawn };
    } catch (error) {
      ports.failed(error);
      return { decision: failedDecision(ports, question, toFault(error)), withdrawn: false };
    }
  };
  return {
    ask,
    standing: async (listing: Listing, principal: Principal) => {
      const artifact = await ports.artifactOf(listing);
      if (artifact === undefined) return undefined;
      const dossier = await ports.dossiers.open(listing.namespace, artifact);
      if (dossier === undefined || !isRevoked(dossier)) return undefined;
      const ruling = await ask(wholeQuestion(artifact, listing.namespace, principal));
      return ruling.decision.verdict === 'deny' ? { ...ruling, withdrawn: true } : undefined;
    },
    asked: rule,
    reconsider: async (namespace, artifact) => {
      for (const { decision } of await ports.store.list(namespace, artifact)) await rule(decision.question);
    },
  };
}

function stillHolds(ports: DecisionPorts, last: Remembered, dossier: Dossier): boolean {
  return (
    last.dossier.deref() === dossier &&
    last.policyDigest === ports.policy().digest &&
    last.trustDigest === ports.trust().digest &&
    holds(last.kept.decision, nowOf(ports, dossier))
  );
}

/** Decides, and keeps the outcome where it differs from the one that is kept. */
async function takeDecision(ports: DecisionPorts, question: Question, dossier: Dossier): Promise<Remembered> {
  const policy = ports.policy();
  const trustDigest = ports.trust().digest;
  const decision = decide({
    policy,
    question,
    subject: dossier.subject,
    evidence: dossier.index,
    at: formatInstant(nowOf(ports, dossier)),
    trustDigest,
    checkpoint: { size: dossier.head.size, rootHash: dossier.head.rootHash },
  });
  ports.counted(decision);
  const earlier = await ports.store.find(question);
  const stands =
    earlier !== undefined &&
    sameOutcome(earlier.decision, decision) &&
    holds(earlier.decision, nowOf(ports, dossier));
  const kept = stands ? earlier : await keep(ports, dossier, decision);
  // Copies may be out there: the same question was once answered otherwise, or somebody revoked the artifact.
  const withdrawn =
    decision.verdict === 'deny' && (isRevoked(dossier) || (await ports.store.wasAllowed(question)));
  return { dossier: new WeakRef(dossier), policyDigest: policy.digest, trustDigest, kept, withdrawn };
}

/** Order of durable steps: the signed decision is in the ledger before the row that finds it, and both before bytes move. */
async function keep(ports: DecisionPorts, dossier: Dossier, decision: Decision): Promise<KeptDecision> {
  const statement = makeDecisionStatement(decision, {
    verifierId: ports.verifierId(),
    resourceUri: dossier.subject.references[0] ?? decision.question.artifact,
    inputs: decision.evidenceUsed,
    subject: dossier.subject,
  });
  const [logged] = await ports.write(decision.question.namespace, [statement]);
  if (logged === undefined) throw new Fault('ledger.unavailable', 'the decision was not sequenced');
  const kept: KeptDecision = { decision, logIndex: logged.logIndex, envelopeDigest: logged.envelopeDigest };
  await ports.store.save(kept);
  return kept;
}

function wholeQuestion(artifact: Digest, namespace: string, principal: Principal): Question {
  return {
    principal: principal.class,
    action: 'pull',
    artifact,
    files: null,
    namespace,
    environment: principal.environment,
  };
}

/** `at` = max(system clock, time of the last checkpoint): a clock that was set back never extends an allow. */
function nowOf({ clock, ledgerAge }: DecisionPorts, dossier: Dossier): number {
  return Math.max(clock.now(), dossier.head.signedAtMs, ledgerAge().signedAtMs);
}

function holds(decision: Decision, nowMs: number): boolean {
  return decision.validUntil === null || Date.parse(decision.validUntil) > nowMs;
}

function isRevoked(dossier: Dossier): boolean {
  return dossier.index.ofType(predicateTypes.revocation).length > 0;
}

/** Failing is a deny with the error as its reason (DESIGN "Fail closed"). Not kept: it says nothing about the artifact. */
function failedDecision(ports: DecisionPorts, question: Question, fault: Fault): Decision {
  return {
    version: 1,
    question,
    verdict: 'deny',
    reasons: [
      {
        rule: 'evaluation.failed',
        effect: 'deny',
        message: `no decision could be taken: ${wordsFor(fault)} (${fault.code})`,
        evidence: [],
        missing: null,
        who: 'the operator of this Weighbridge',
        remedy: fault.hint ?? 'see the server log and `weighbridge doctor`',
      },
    ],
    evidenceUsed: [],
    policyDigest: ports.policy().digest,
    trustDigest: ports.trust().digest,
    checkpoint: { size: 0, rootHash: '' },
    at: formatInstant(ports.clock.now()),
    validUntil: formatInstant(ports.clock.now()),
  };
}

/** What was not foreseen may name paths or addresses of this machine; its words are for the log. */
function wordsFor(fault: Fault): string {
  return fault.code === 'internal.unexpected' ? 'something unforeseen failed' : fault.message;
}
