import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { isJsonObject, parseJson, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';

/** in-toto Attestation Framework v1, "ResourceDescriptor" as far as we write it. Matched by digest only. */
export interface Subject {
  readonly name?: string;
  readonly digest: { readonly sha256: string };
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/** in-toto Statement v1. */
export interface Statement<P = unknown> {
  readonly _type: typeof statementType;
  readonly subject: readonly Subject[];
  readonly predicateType: string;
  readonly predicate: P;
}

export const statementType = 'https://in-toto.io/Statement/v1';
export const statementPayloadType = 'application/vnd.in-toto+json';

/**
 * The annotation of a subject that names the namespace the statement speaks in. It is in the signed bytes because the
 * envelope alone must be enough to rebuild the database, and it is an annotation because standard predicates (BOM, VSA,
 * OMS) have no place of their own for it while every ResourceDescriptor has `annotations`. Every subject carries it.
 */
export const namespaceAnnotation = 'weighbridge.dev/namespace';

/** Where statements about the installation itself live: trust roots, and policies that hold everywhere. */
export const systemNamespace = 'system';

/** DSSE v1 envelope (secure-systems-lab/dsse). `payload` and `sig` are standard base64. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/**
 * Evidence as it stands in the ledger: the exact envelope bytes, where they are in the log, and what they say. It is
 * a claim until `verify` has held it against the trust root.
 */
export interface LoggedEvidence {
  /** SHA-256 of the stored envelope bytes: also its blob digest and the third field of its log leaf. */
  readonly envelopeDigest: Digest;
  readonly envelope: Envelope;
  readonly logIndex: number;
  readonly namespace: string;
  readonly statement: Statement;
}

/**
 * A statement that speaks in `namespace` (see `namespaceAnnotation`). Fault `statement.invalid` without subjects or
 * above `limits.statementSubjects`, `request.invalid` for a namespace that is not a DNS label.
 */
export function makeStatement<P>(parts: {
  readonly namespace: string;
  readonly predicateType: string;
  readonly subject: readonly Subject[];
  readonly predicate: P;
}): Statement<P> {
  const { namespace, predicateType, subject, predicate } = parts;
  return placeStatement({ _type: statementType, subject, predicateType, predicate }, namespace);
}

/** The same statement speaking in `namespace`; for what producers return, who know no namespaces. */
export function placeStatement<P>(statement: Statement<P>, namespace: string): Statement<P> {
  if (!isNamespace(namespace)) {
    throw new Fault('request.invalid', `\`${namespace.slice(0, 100)}\` is not a namespace`, {
      hint: 'a namespace is 1 to 63 lower-case letters, digits and inner hyphens',
    });
  }
  const count = statement.subject.length;
  if (count < 1 || count > limits.statementSubjects) throw subjectCount(count);
  const subject = statement.subject.map((one) => ({
    ...one,
    annotations: { ...one.annotations, [namespaceAnnotation]: namespace },
  }));
  return { ...statement, subject };
}

/** The namespace that every subject names; undefined where one has none or they differ (foreign statements). */
export function namespaceOf(statement: Statement): string | undefined {
  const [first, ...others] = statement.subject.map((subject) => subject.annotations?.[namespaceAnnotation]);
  if (typeof first !== 'string' || !isNamespace(first)) return undefined;
  return others.every((other) => other === first) ? first : undefined;
}

/** A DNS label (RFC 1123), so that it can stand in a path, a host name and a file name. */
export function isNamespace(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

/** The payload that is signed: JCS (RFC 8785) bytes, so that the same statement is always the same bytes. */
export function encodeStatement(statement: Statement): Uint8Array {
  return encodeJcs(statement);
}

/**
 * Payload bytes to a statement (in-toto Attestation Framework v1 "Statement"). Members that the framework does not
 * define are ignored as it asks; duplicate members, another `_type`, a subject without a lower-case SHA-256, no
 * subject or more than `limits.statementSubjects` are refused. Faults `statement.invalid`, `json.invalid`,
 * `limit.exceeded`.
 */
export function parseStatement(payload: Uint8Array): Statement {
  const value = parseJson(payload, { bytes: limits.envelopeBytes });
  if (!isJsonObject(value)) throw invalid('it is not an object');
  if (value['_type'] !== statementType) throw invalid(`its \`_type\` is not \`${statementType}\``);
  const predicateType = value['predicateType'];
  if (typeof predicateType !== 'string' || predicateType === '' || predicateType.length > 1024) {
    throw invalid('it has no `predicateType`');
  }
  const subjects = value['subject'];
  if (!Array.isArray(subjects)) throw invalid('it has no `subject` list');
  if (subjects.length < 1 || subjects.length > limits.statementSubjects) throw subjectCount(subjects.length);
  const predicate = value['predicate'] ?? {};
  if (!isJsonObject(predicate)) throw invalid('its `predicate` is not an object');
  return { _type: statementType, subject: subjects.map(parseSubject), predicateType, predicate };
}

function parseSubject(value: JsonValue): Subject {
  if (!isJsonObject(value)) throw invalid('a subject is not an object');
  const { name, digest, annotations } = value;
  const sha256 = isJsonObject(digest) ? digest['sha256'] : undefined;
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw invalid('a subject has no `sha256` digest of 64 lower-case hex digits');
  }
  if (name !== undefined && typeof name !== 'string') throw invalid('the name of a subject is not text');
  if (annotations !== undefined && !isJsonObject(annotations)) {
    throw invalid('the annotations of a subject are not an object');
  }
  return {
    ...(name === undefined ? {} : { name }),
    digest: { sha256 },
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function invalid(why: string): Fault {
  return new Fault('statement.invalid', `this is not an in-toto Statement v1: ${why}`);
}

function subjectCount(count: number): Fault {
  return new Fault(
    'statement.invalid',
    `a statement has 1 to ${limits.statementSubjects} subjects, not ${count}`,
  );
}
