import { digestOf, hexOf } from '#artifact/digest.ts';
import { roleOf } from '#artifact/roles.ts';
import { rootsOf } from '#artifact/roots.ts';
import { encodeEnvelope, paeOf, parseEnvelope } from '#evidence/envelope.ts';
import { makeLogIdentity, openCheckpoint } from '#evidence/log/checkpoint.ts';
import { encodeLeaf } from '#evidence/log/leaf.ts';
import { encodeProof, parseProof, verifyProof } from '#evidence/log/proof.ts';
import { verifyEvidence, verifyTrustRootChain } from '#evidence/verify.ts';
import { toFault } from '#lib/fault.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { encodeTar, parseTar } from '#lib/tar.ts';
import { decodePolicySet } from '#policy/compile.ts';
import { decide } from '#policy/decide.ts';
import { parseOfflineBundle } from '#policy/offline.ts';
import { parseDecisionStatement, statedInputs, subjectAsDecided } from '#policy/vsa.ts';
import type { Digest } from '#artifact/digest.ts';
import type { LogIdentity } from '#evidence/log/checkpoint.ts';
import type { Envelope } from '#evidence/statement.ts';
import type { Trust } from '#evidence/trust.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import type { Decision, DecisionSubject } from '#policy/decision.ts';
import type { OfflineParts, ProvenEnvelope } from '#policy/offline.ts';

/** What re-checking a bundle gave. */
export interface Recheck {
  /** The recorded decision; undefined where not even that could be read. */
  readonly decision: Decision | undefined;
  /** Everything held and the decision came out the same, byte for byte. */
  readonly reproduced: boolean;
  /** Why not, in words; empty when reproduced. */
  readonly reasons: readonly string[];
  /** Fingerprint of the first trust root in the bundle. */
  readonly fingerprint: Digest | undefined;
  /** No fingerprint was expected: the bundle vouches only for itself. */
  readonly selfAsserted: boolean;
}

/** A check that did not hold, with the words for it. */
class NotReproduced extends Error {}

const demand: (held: boolean, otherwise: string) => asserts held = (held, otherwise) => {
  if (!held) throw new NotReproduced(otherwise);
};

/**
 * Checks an exported decision with nothing but the archive: form, trust chain (against `fingerprint`, the pinned digest
 * of trust root v1), checkpoint, log proofs, signatures, artifact digest and roots, policy digest; then decides again
 * and compares JCS bytes. Every byte of the archive is bound by one of these, so any change makes `reproduced` false.
 * What it cannot see is evidence that was withheld: the decision is right as of its checkpoint. Never throws.
 */
export function recheckBundle(archive: Uint8Array, fingerprint?: Digest): Recheck {
  const found: { decision?: Decision; fingerprint?: Digest } = {};
  const reasons: string[] = [];
  try {
    const files = parseTar(archive);
    demand(
      Buffer.compare(encodeTar(files), archive) === 0,
      'the archive is not written as this version writes it',
    );
    recheckParts(parseOfflineBundle(files), fingerprint, found);
  } catch (thrown) {
    reasons.push(thrown instanceof NotReproduced ? thrown.message : toFault(thrown).message);
  }
  return {
    decision: found.decision,
    reproduced: reasons.length === 0 && found.decision !== undefined,
    reasons,
    fingerprint: found.fingerprint,
    selfAsserted: fingerprint === undefined,
  };
}

function recheckParts(
  parts: OfflineParts,
  fingerprint: Digest | undefined,
  found: { decision?: Decision; fingerprint?: Digest },
): void {
  const trust = openChain(parts, fingerprint, found);
  const log = logOf(trust);
  demandNoForeignSignatures(parts.checkpoint, log);
  for (const [index, root] of parts.trust.entries())
    openProven(root, parts.checkpoint, log, `trust root ${index + 1}`);

  const recorded = openProven(parts.decision, parts.checkpoint, log, 'the decision');
  const verification = verifyEvidence(recorded.envelope, trust, { logIndex: recorded.logIndex });
  demand(verification.ok, `the decision does not count: ${reasonOf(verification)}`);
  demand(verification.issuer.role === 'decisions', 'the decision was not signed by the decision key');
  const decision = parseDecisionStatement(verification.statement);
  found.decision = decision;

  demand(decision.trustDigest === trust.digest, 'the decision names another trust root');
  demand(decision.question.namespace === verification.namespace, 'the decision speaks in another namespace');
  demandSubject(parts.subject);
  const stated = subjectAsDecided(verification.statement, parts.subject);
  demand(
    encodeJcsText(stated) === encodeJcsText(parts.subject),
    'the subject is not the one that was decided about',
  );
  const policy = decodePolicySet(parts.policy);
  demand(policy.digest === decision.policyDigest, 'the decision names another policy');

  const evidence = parts.evidence.map((entry) => openEvidence(entry, { parts, log, trust, decision }));
  const given = evidence.map(({ envelopeDigest }) => envelopeDigest).toSorted();
  demand(
    encodeJcsText(given) === encodeJcsText(decision.evidenceUsed),
    'its evidence is not the evidence that was used',
  );
  demand(
    encodeJcsText(given.map(hexOf)) === encodeJcsText(statedInputs(verification.statement)),
    'the summary names other evidence',
  );

  const { question, at, trustDigest, checkpoint } = decision;
  const again = decide({ policy, question, subject: parts.subject, evidence, at, trustDigest, checkpoint });
  demand(
    encodeJcsText(again) === encodeJcsText(decision),
    `deciding again gives another answer: ${again.verdict}`,
  );
}

const reasonOf = (verification: {
  readonly ok: boolean;
  readonly reasons?: readonly { readonly message: string }[];
}): string => verification.reasons?.map(({ message }) => message).join('; ') ?? '';

function openChain(
  parts: OfflineParts,
  fingerprint: Digest | undefined,
  found: { fingerprint?: Digest },
): Trust {
  const chain = parts.trust.map(({ envelope }) => parseEnvelope(envelope));
  const first = verifyTrustRootChain(chain.slice(0, 1));
  if (first.ok) found.fingerprint = first.trust.digest;
  const verification = verifyTrustRootChain(chain, fingerprint);
  demand(verification.ok, `the trust roots do not hold: ${reasonOf(verification)}`);
  return verification.trust;
}

function logOf(trust: Trust): LogIdentity {
  const [keyId, ...others] = trust.root.roles.log.keyIds;
  const key = trust.root.keys.find((candidate) => candidate.keyId === keyId);
  demand(key !== undefined && others.length === 0, 'the trust root does not name one log key');
  return makeLogIdentity(trust.root.origin, key.publicKeyPem);
}

/** A witness's signature could be altered unseen, because trust does not name witnesses: a bundle carries none. */
function demandNoForeignSignatures(checkpoint: string, log: LogIdentity): void {
  openCheckpoint(checkpoint, log);
  const signatures = checkpoint.slice(checkpoint.lastIndexOf('\n\n') + 2).split('\n');
  demand(
    signatures.length === 3 && signatures[2] === '',
    'the checkpoint has other signatures than those of its log',
  );
}

/** The envelope, once it is canonical and the log has exactly these bytes at the proven index. */
function openProven(
  { envelope: bytes, proof: text }: ProvenEnvelope,
  checkpoint: string,
  log: LogIdentity,
  what: string,
): { readonly envelope: Envelope; readonly digest: Digest; readonly logIndex: number } {
  const envelope = parseEnvelope(bytes);
  demand(Buffer.compare(encodeEnvelope(envelope), bytes) === 0, `${what} is not in its stored form`);
  const proof = parseProof(text);
  demand(proof.checkpoint === checkpoint, `the proof of ${what} is against another checkpoint`);
  demand(
    proof.extra === undefined && encodeProof(proof) === text,
    `the proof of ${what} is not in its stored form`,
  );
  const digest = digestOf(bytes);
  verifyProof(proof, encodeLeaf({ paeDigest: digestOf(paeOf(envelope)), envelopeDigest: digest }), log);
  return { envelope, digest, logIndex: proof.index };
}

function openEvidence(
  entry: ProvenEnvelope,
  context: {
    readonly parts: OfflineParts;
    readonly log: LogIdentity;
    readonly trust: Trust;
    readonly decision: Decision;
  },
): VerifiedEvidence {
  const { parts, log, trust, decision } = context;
  const { envelope, digest, logIndex } = openProven(entry, parts.checkpoint, log, 'evidence');
  demand(logIndex < decision.checkpoint.size, `evidence \`${digest}\` is younger than the decision`);
  const verification = verifyEvidence(envelope, trust, { logIndex });
  demand(verification.ok, `evidence \`${digest}\` does not count: ${reasonOf(verification)}`);
  const { statement, issuer, namespace } = verification;
  return { envelope, envelopeDigest: digest, logIndex, namespace, statement, issuer };
}

/** Digest, roots and roles follow from the files; nobody has to be believed. */
function demandSubject(subject: DecisionSubject): void {
  const roots = rootsOf(subject.files);
  demand(roots.all === subject.artifact, 'the files do not make the artifact');
  demand(
    encodeJcsText({ ...roots }) === encodeJcsText(subject.roots),
    'the roots do not follow from the files',
  );
  demand(
    subject.files.every(({ path, role }) => roleOf(path) === role),
    'the roles do not follow from the paths',
  );
}
