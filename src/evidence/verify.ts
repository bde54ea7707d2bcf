import { digestOf, digestOfHex, type Digest } from '#artifact/digest.ts';
import { decodeBase64 } from '#lib/base64.ts';
import { toFault } from '#lib/fault.ts';
import { decodePayload, encodeEnvelope, paeOf } from './envelope.ts';
import { verifySignature } from './signer.ts';
import {
  namespaceOf,
  parseStatement,
  statementPayloadType,
  type Envelope,
  type LoggedEvidence,
  type Statement,
} from './statement.ts';
import {
  keyRoles,
  openTrust,
  readTrustRoot,
  type Assertion,
  type RoleName,
  type Trust,
  type TrustRoot,
} from './trust.ts';

export interface Issuer {
  /** The first entitled key that signed. */
  readonly keyId: string;
  /** `foreign` for an issuer that trust names by its key. */
  readonly role: RoleName | 'foreign';
}

/** Evidence that policy may rest on: its envelope has been held against a trust root. */
export interface VerifiedEvidence extends LoggedEvidence {
  readonly issuer: Issuer;
}

export type RefusalCode =
  | 'chain-broken'
  | 'issuer-not-entitled'
  | 'key-unknown'
  | 'malformed'
  | 'namespace-mismatch'
  | 'payload-type'
  | 'record-mismatch'
  | 'signature-invalid'
  | 'subject-mismatch';

/** Why evidence does not count. The message is one sentence, lower case, no full stop. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

export type Verification =
  | { readonly ok: true; readonly issuer: Issuer; readonly statement: Statement; readonly namespace: string }
  | { readonly ok: false; readonly reasons: readonly Refusal[] };

/** What the asker wants the evidence to be about; left out, anything goes. */
export interface Expectation {
  /** At least one of these must be a subject. */
  readonly subjects?: readonly Digest[];
  readonly namespace?: string;
  /** Where it is proven to stand in the log. Without it, keys that have been retired do not count. */
  readonly logIndex?: number;
}

/**
 * Is this envelope evidence, and whose? Foreign bytes give reasons, never an exception. It counts when
 *   1. it is an in-toto statement that speaks in one namespace,
 *   2. every signature by a key that trust knows holds, and at least one does,
 *   3. those keys are entitled to assert this predicate in this namespace, in the number that their role asks for,
 *   4. it is about what the asker expects.
 */
export function verifyEvidence(envelope: Envelope, trust: Trust, expected: Expectation = {}): Verification {
  const read = readStatement(envelope);
  if (!read.ok) return read;
  const { statement, namespace } = read;

  const signers = verifySignatures(envelope, trust);
  if (!signers.ok) return signers;

  const issuer = findIssuer(trust.root, signers.keyIds, {
    predicateType: statement.predicateType,
    namespace,
    logIndex: expected.logIndex ?? Infinity,
  });
  if (issuer === undefined) {
    const what = `\`${statement.predicateType}\` in the namespace \`${namespace}\``;
    return refuse('issuer-not-entitled', `its signers are not entitled to assert ${what}`);
  }

  if (expected.namespace !== undefined && expected.namespace !== namespace) {
    return refuse('namespace-mismatch', `it speaks in the namespace \`${namespace}\``);
  }
  if (expected.subjects !== undefined) {
    const about = new Set(statement.subject.map(({ digest }) => digestOfHex(digest.sha256)));
    if (!expected.subjects.some((digest) => about.has(digest))) {
      return refuse('subject-mismatch', 'it is about something else');
    }
  }
  return { ok: true, issuer, statement, namespace };
}

/**
 * `verifyEvidence` for a record of the ledger. What the database says of the envelope must be what the envelope says:
 * the statement that policy sees comes from the signed bytes, never from a column.
 */
export function verifyLogged(
  logged: LoggedEvidence,
  trust: Trust,
  expected: Expectation = {},
):
  | { readonly ok: true; readonly evidence: VerifiedEvidence }
  | { readonly ok: false; readonly reasons: readonly Refusal[] } {
  const verification = verifyEvidence(logged.envelope, trust, { ...expected, logIndex: logged.logIndex });
  if (!verification.ok) return verification;
  const { issuer, statement, namespace } = verification;
  if (digestOf(encodeEnvelope(logged.envelope)) !== logged.envelopeDigest || namespace !== logged.namespace) {
    return refuse('record-mismatch', 'the record in the database is not the envelope that was signed');
  }
  return { ok: true, evidence: { ...logged, statement, issuer } };
}

/**
 * The trust that a chain of trust-root envelopes, oldest first, leads to. Version 1 is signed by every one of its own
 * root keys (and, where `fingerprint` is given, is the pinned one); each next version by the threshold of the one
 * before and of itself (TUF §5.3.4), for the same log, with the next number and no earlier time.
 */
export function verifyTrustRootChain(
  chain: readonly Envelope[],
  fingerprint?: Digest,
):
  | { readonly ok: true; readonly trust: Trust }
  | { readonly ok: false; readonly reasons: readonly Refusal[] } {
  let last: Trust | undefined;
  for (const [position, envelope] of chain.entries()) {
    const next = openNext(envelope);
    if (!next.ok) return next;
    const { trust } = next;
    const signers = verifySignatures(envelope, last ?? trust);
    if (!signers.ok) return signers;
    const own = verifySignatures(envelope, trust);
    if (!own.ok) return own;
    const needed = last === undefined ? trust.root.roles.root.keyIds.length : trust.root.roles.root.threshold;
    const reached =
      countOf(trust.root.roles.root.keyIds, own.keyIds) >= needed &&
      (last === undefined || reaches(last.root, 'root', signers.keyIds));
    const why = reached ? successionFault(last?.root, trust.root) : 'not enough root keys signed it';
    if (why !== undefined) return refuse('chain-broken', `trust root ${position + 1} of the chain: ${why}`);
    if (last === undefined && fingerprint !== undefined && trust.digest !== fingerprint) {
      return refuse('chain-broken', `the first trust root is \`${trust.digest}\`, not the pinned one`);
    }
    last = trust;
  }
  return last === undefined ? refuse('chain-broken', 'there is no trust root') : { ok: true, trust: last };
}

function readStatement(
  envelope: Envelope,
): { readonly ok: true; readonly statement: Statement; readonly namespace: string } | Refused {
  if (envelope.payloadType !== statementPayloadType) {
    return refuse('payload-type', `its payload is not \`${statementPayloadType}\``);
  }
  try {
    const statement = parseStatement(decodePayload(envelope));
    const namespace = namespaceOf(statement);
    if (namespace === undefined)
      return refuse('namespace-mismatch', 'its subjects do not name one namespace');
    const claimed = (statement.predicate as { readonly namespace?: unknown }).namespace;
    if (claimed !== undefined && claimed !== namespace) {
      return refuse('namespace-mismatch', 'its predicate and its subjects name different namespaces');
    }
    return { ok: true, statement, namespace };
  } catch (thrown) {
    return refuse('malformed', toFault(thrown).message);
  }
}

/** The known keys that signed. A wrong signature of a known key spoils the envelope; unknown keys are passed over. */
function verifySignatures(
  envelope: Envelope,
  trust: Trust,
): { readonly ok: true; readonly keyIds: ReadonlySet<string> } | Refused {
  const pae = paeOf(envelope);
  const keyIds = new Set<string>();
  for (const { keyid, sig } of envelope.signatures) {
    const signature = decodeBase64(sig);
    if (signature === undefined) return refuse('malformed', 'a signature is not base64');
    const named = trust.keys.get(keyid);
    if (named !== undefined) {
      if (!verifySignature(named, pae, signature)) {
        return refuse('signature-invalid', `the signature of the key \`${keyid}\` does not hold`);
      }
      keyIds.add(keyid);
    } else if (keyid === '') {
      for (const key of trust.keys.values()) if (verifySignature(key, pae, signature)) keyIds.add(key.keyId);
    }
  }
  return keyIds.size > 0 ? { ok: true, keyIds } : refuse('key-unknown', 'no key that trust knows signed it');
}

/** Who may have said this, there. A role speaks with its keys and, for what stands early enough, with retired ones. */
function findIssuer(
  root: TrustRoot,
  keyIds: ReadonlySet<string>,
  claim: { readonly predicateType: string; readonly namespace: string; readonly logIndex: number },
): Issuer | undefined {
  const entitled = (assertion: Assertion): boolean =>
    assertion.predicateTypes.includes(claim.predicateType) &&
    (assertion.namespaces.includes('*') || assertion.namespaces.includes(claim.namespace));
  for (const { issuer } of root.assertions.filter(entitled)) {
    if ('keyId' in issuer) {
      if (keyIds.has(issuer.keyId)) return { keyId: issuer.keyId, role: roleOf(root, issuer.keyId) };
      continue;
    }
    const { keyIds: current, retired, threshold } = root.roles[issuer.role];
    const former = retired
      .filter(({ beforeIndex }) => claim.logIndex < beforeIndex)
      .map(({ keyId }) => keyId);
    const signed = [...current, ...former].filter((keyId) => keyIds.has(keyId));
    const [keyId] = signed;
    if (keyId !== undefined && signed.length >= threshold) return { keyId, role: issuer.role };
  }
  return undefined;
}

function roleOf(root: TrustRoot, keyId: string): RoleName | 'foreign' {
  return keyRoles.find((name) => root.roles[name].keyIds.includes(keyId)) ?? 'foreign';
}

function reaches(root: TrustRoot, role: RoleName, keyIds: ReadonlySet<string>): boolean {
  return countOf(root.roles[role].keyIds, keyIds) >= root.roles[role].threshold;
}

function countOf(wanted: readonly string[], keyIds: ReadonlySet<string>): number {
  return wanted.filter((keyId) => keyIds.has(keyId)).length;
}

function openNext(envelope: Envelope): { readonly ok: true; readonly trust: Trust } | Refused {
  if (envelope.payloadType !== statementPayloadType) {
    return refuse('payload-type', `its payload is not \`${statementPayloadType}\``);
  }
  try {
    return { ok: true, trust: openTrust(readTrustRoot(envelope)) };
  } catch (thrown) {
    return refuse('malformed', toFault(thrown).message);
  }
}

function successionFault(last: TrustRoot | undefined, next: TrustRoot): string | undefined {
  if (next.version !== (last?.version ?? 0) + 1) return `its version is ${next.version}`;
  if (last === undefined) return undefined;
  if (next.origin !== last.origin) return 'it is for another log';
  return next.issuedAt < last.issuedAt ? 'it is older than the one before' : undefined;
}

type Refused = { readonly ok: false; readonly reasons: readonly Refusal[] };

function refuse(code: RefusalCode, message: string): Refused {
  return { ok: false, reasons: [{ code, message }] };
}
