import { digestOf, digestOfHex, hexOf, type Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { isJsonObject, type JsonValue } from '#lib/json.ts';
import { decodePayload, signStatement, type SignedStatement } from './envelope.ts';
import { predicateTypes } from './predicates.ts';
import { keyAlgorithms, parsePublicKey, type KeyAlgorithm, type PublicKey, type Signer } from './signer.ts';
import { makeStatement, namespaceOf, parseStatement, systemNamespace, type Envelope } from './statement.ts';

/** The four separate keys of an installation (DESIGN §1a "Keys and trust"). */
export const keyRoles = ['log', 'evidence', 'decisions', 'release'] as const;
export type KeyRole = (typeof keyRoles)[number];
export type RoleName = KeyRole | 'root';

export interface Role {
  /** Code-point order. */
  readonly keyIds: readonly string[];
  /** How many different keys of the role must sign. */
  readonly threshold: number;
  /** Keys that had the role: what they signed counts while it stands in the log before this index, and nothing later. */
  readonly retired: readonly RetiredKey[];
}

export interface RetiredKey {
  readonly keyId: string;
  /** For a lost key the length of the log when it was replaced, for a stolen one when it was stolen. */
  readonly beforeIndex: number;
}

export interface TrustedKey {
  readonly keyId: string;
  readonly algorithm: KeyAlgorithm;
  readonly publicKeyPem: string;
}

/** Issuer × predicate × namespace. `*` in `namespaces` means every one. */
export interface Assertion {
  readonly issuer: { readonly role: RoleName } | { readonly keyId: string };
  readonly predicateTypes: readonly string[];
  readonly namespaces: readonly string[];
}

/**
 * Trust root v1: who may say what. Predicate of a `trust-root/v1` statement whose one subject is the SHA-256 of the JCS
 * bytes of this value, which is also its fingerprint.
 */
export interface TrustRoot {
  /** 1 for the first; each next one is one more. */
  readonly version: number;
  readonly issuedAt: string;
  /** Origin of the log that this root governs. */
  readonly origin: string;
  readonly keys: readonly TrustedKey[];
  readonly roles: Readonly<Record<RoleName, Role>>;
  readonly assertions: readonly Assertion[];
}

/** A trust root ready to verify with. */
export interface Trust {
  readonly root: TrustRoot;
  readonly digest: Digest;
  readonly keys: ReadonlyMap<string, PublicKey>;
}

/** What each key of a new installation may assert; foreign issuers are added by later versions. */
export const defaultAssertions: readonly Assertion[] = [
  {
    issuer: { role: 'root' },
    predicateTypes: [predicateTypes.trustRoot],
    namespaces: [systemNamespace],
  },
  {
    issuer: { role: 'evidence' },
    predicateTypes: [
      predicateTypes.observed,
      predicateTypes.scan,
      predicateTypes.sandbox,
      predicateTypes.bom,
      predicateTypes.approval,
      predicateTypes.waiver,
      predicateTypes.revocation,
      predicateTypes.policy,
      predicateTypes.tally,
      predicateTypes.upstreamIncident,
      predicateTypes.adoption,
    ],
    namespaces: ['*'],
  },
  { issuer: { role: 'decisions' }, predicateTypes: [predicateTypes.decision], namespaces: ['*'] },
  { issuer: { role: 'release' }, predicateTypes: [predicateTypes.modelSignature], namespaces: ['*'] },
];

/**
 * The first trust root of an installation: one key per role, and any three of the four together are the root, so that
 * one lost or stolen key can be rotated out and none alone can change trust. Fault `trust.invalid`.
 */
export function makeTrustRoot(parts: {
  readonly origin: string;
  readonly issuedAt: string;
  readonly keys: Readonly<Record<KeyRole, Pick<Signer, 'keyId' | 'algorithm' | 'publicKeyPem'>>>;
}): TrustRoot {
  const { origin, issuedAt, keys } = parts;
  const all = keyRoles.map((role) => keys[role]);
  const one = (role: KeyRole): Role => ({ keyIds: [keys[role].keyId], threshold: 1, retired: [] });
  return parseTrustRoot({
    version: 1,
    issuedAt,
    origin,
    keys: all.map(({ keyId, algorithm, publicKeyPem }) => ({ keyId, algorithm, publicKeyPem })),
    roles: {
      root: { keyIds: all.map(({ keyId }) => keyId).sort(), threshold: 3, retired: [] },
      log: one('log'),
      evidence: one('evidence'),
      decisions: one('decisions'),
      release: one('release'),
    },
    assertions: defaultAssertions,
  } as unknown as JsonValue);
}

/**
 * The next version with one key replaced, in its role and in the root. What the old key signed before `beforeIndex`
 * goes on counting, so that a rotation does not void the inventory. The log key cannot be replaced this way: a log
 * with another key is another log. Fault `trust.invalid`.
 */
export function replaceKey(
  last: TrustRoot,
  change: {
    readonly role: Exclude<KeyRole, 'log'>;
    readonly retire: string;
    readonly key: Pick<Signer, 'keyId' | 'algorithm' | 'publicKeyPem'>;
    readonly beforeIndex: number;
    readonly issuedAt: string;
  },
): TrustRoot {
  const { role, retire, key, beforeIndex, issuedAt } = change;
  const { keyId, algorithm, publicKeyPem } = key;
  const swap = (keyIds: readonly string[]) => keyIds.map((id) => (id === retire ? keyId : id)).sort();
  const { root, [role]: old } = last.roles;
  if (!old.keyIds.includes(retire)) throw invalid(`the key \`${retire}\` does not have the role \`${role}\``);
  const retired = [...old.retired, { keyId: retire, beforeIndex }];
  return parseTrustRoot({
    ...last,
    version: last.version + 1,
    issuedAt,
    keys: [...last.keys, { keyId, algorithm, publicKeyPem }],
    roles: {
      ...last.roles,
      root: { ...root, keyIds: swap(root.keyIds) },
      [role]: { ...old, keyIds: swap(old.keyIds), retired },
    },
  } as unknown as JsonValue);
}

/**
 * The next version in which our own keys may assert what this version of the product writes, where an older one made the
 * root: nothing that stands there is taken away. Undefined where nothing is missing.
 */
export function entitleOwnKeys(last: TrustRoot, issuedAt: string): TrustRoot | undefined {
  const missing = defaultAssertions.flatMap(({ issuer, predicateTypes: wanted, namespaces }) => {
    const held = last.assertions
      .filter((standing) => isSame(standing.issuer, issuer) && isSame(standing.namespaces, namespaces))
      .flatMap((standing) => standing.predicateTypes);
    const lacking = wanted.filter((type) => !held.includes(type));
    return lacking.length === 0 ? [] : [{ issuer, predicateTypes: lacking, namespaces }];
  });
  if (missing.length === 0) return undefined;
  return parseTrustRoot({
    ...last,
    version: last.version + 1,
    issuedAt,
    assertions: [...last.assertions, ...missing],
  } as unknown as JsonValue);
}

function isSame(one: Assertion['issuer'] | readonly string[], other: typeof one): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** SHA-256 of the JCS bytes: the fingerprint that people compare, the statement's subject, a decision's `trustDigest`. */
export function trustDigest(root: TrustRoot): Digest {
  return digestOf(encodeJcs(root));
}

/** The trust root as one statement with one envelope that every given key signs. The first needs all of its root keys. */
export function signTrustRoot(
  root: TrustRoot,
  signers: readonly [Signer, ...Signer[]],
): Promise<SignedStatement> {
  const statement = makeStatement({
    namespace: systemNamespace,
    predicateType: predicateTypes.trustRoot,
    subject: [{ name: `trust-root-v${root.version}`, digest: { sha256: hexOf(trustDigest(root)) } }],
    predicate: root,
  });
  return signStatement(statement, ...signers);
}

/** A trust root with its keys parsed. Fault `trust.invalid`. */
export function openTrust(root: TrustRoot): Trust {
  const keys = new Map(root.keys.map(({ keyId, publicKeyPem }) => [keyId, parsePublicKey(publicKeyPem)]));
  return { root, digest: trustDigest(root), keys };
}

/** The trust root that an envelope carries; who signed it is not looked at. Fault `trust.invalid`. */
export function readTrustRoot(envelope: Envelope): TrustRoot {
  const statement = parseStatement(decodePayload(envelope));
  if (statement.predicateType !== predicateTypes.trustRoot)
    throw invalid('the statement is about something else');
  if (namespaceOf(statement) !== systemNamespace)
    throw invalid('the statement is not about the installation');
  const root = parseTrustRoot(statement.predicate as JsonValue);
  const [subject, ...more] = statement.subject;
  if (more.length > 0 || subject === undefined || digestOfHex(subject.digest.sha256) !== trustDigest(root)) {
    throw invalid('its subject is not the digest of its predicate');
  }
  return root;
}

/**
 * JSON to a trust root. Every key stands in its canonical spelling under its own id; every role exists and names known
 * keys; the log, evidence, decisions and release roles share no key; the root needs at least two keys. Members that
 * version 1 does not define are refused, because they would change the digest without a meaning. Fault `trust.invalid`.
 */
export function parseTrustRoot(value: JsonValue): TrustRoot {
  const fields = members(
    value,
    ['version', 'issuedAt', 'origin', 'keys', 'roles', 'assertions'],
    'the trust root',
  );
  const { version, issuedAt, origin } = fields;
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1)
    throw invalid('bad `version`');
  if (typeof issuedAt !== 'string' || !isInstant(issuedAt)) throw invalid('bad `issuedAt`');
  if (typeof origin !== 'string' || origin === '' || origin.length > 255) throw invalid('bad `origin`');
  const keys = list(fields['keys'], 'keys').map(parseKey);
  const known = new Set(keys.map(({ keyId }) => keyId));
  if (known.size !== keys.length) throw invalid('a key stands twice');
  const roleFields = members(fields['roles'], ['root', ...keyRoles], 'roles');
  const role = (name: RoleName) => parseRole(roleFields[name], known, name);
  const roles = {
    root: role('root'),
    log: role('log'),
    evidence: role('evidence'),
    decisions: role('decisions'),
    release: role('release'),
  };
  const separate = keyRoles.flatMap((name) => roles[name].keyIds);
  if (new Set(separate).size !== separate.length) throw invalid('two roles share a key');
  const retired = Object.values(roles).flatMap((role) => role.retired.map(({ keyId }) => keyId));
  const active = new Set([...roles.root.keyIds, ...separate]);
  if (new Set(retired).size !== retired.length || retired.some((keyId) => active.has(keyId))) {
    throw invalid('a retired key stands twice or still has a role');
  }
  if (roles.root.threshold < 2) throw invalid('one key alone could change trust');
  const assertions = list(fields['assertions'], 'assertions').map((one) => parseAssertion(one, known));
  return { version, issuedAt, origin, keys, roles, assertions };
}

function parseKey(value: JsonValue): TrustedKey {
  const { keyId, algorithm, publicKeyPem } = members(value, ['keyId', 'algorithm', 'publicKeyPem'], 'a key');
  if (typeof publicKeyPem !== 'string') throw invalid('a key has no `publicKeyPem`');
  const key = parsePublicKey(publicKeyPem);
  const canonical = key.publicKeyPem === publicKeyPem && key.keyId === keyId && key.algorithm === algorithm;
  if (!canonical) throw invalid('a key does not have the id, the algorithm or the spelling that it states');
  return { keyId: key.keyId, algorithm: key.algorithm, publicKeyPem };
}

function parseRole(value: JsonValue | undefined, known: ReadonlySet<string>, name: RoleName): Role {
  const fields = members(value, ['keyIds', 'threshold', 'retired'], name);
  const keyIds = texts(fields['keyIds'], `keys of ${name}`);
  const { threshold } = fields;
  if (keyIds.some((keyId) => !known.has(keyId))) throw invalid(`the role \`${name}\` names an unknown key`);
  if (typeof threshold !== 'number' || !Number.isSafeInteger(threshold)) throw invalid('bad `threshold`');
  if (threshold < 1 || threshold > keyIds.length)
    throw invalid(`the role \`${name}\` can never reach its threshold`);
  const { retired } = fields;
  if (!Array.isArray(retired) || retired.length > 1000)
    throw invalid(`the role \`${name}\` has no \`retired\` list`);
  return { keyIds, threshold, retired: retired.map((one) => parseRetired(one, known)) };
}

function parseRetired(value: JsonValue, known: ReadonlySet<string>): RetiredKey {
  const { keyId, beforeIndex } = members(value, ['keyId', 'beforeIndex'], 'a retired key');
  if (typeof keyId !== 'string' || !known.has(keyId)) throw invalid('a retired key is unknown');
  if (typeof beforeIndex !== 'number' || !Number.isSafeInteger(beforeIndex) || beforeIndex < 0) {
    throw invalid('a retired key has no `beforeIndex`');
  }
  return { keyId, beforeIndex };
}

function parseAssertion(value: JsonValue, known: ReadonlySet<string>): Assertion {
  const fields = members(value, ['issuer', 'predicateTypes', 'namespaces'], 'an assertion');
  const { issuer } = fields;
  const types = texts(fields['predicateTypes'], 'predicateTypes');
  const namespaces = texts(fields['namespaces'], 'namespaces');
  if (!isJsonObject(issuer) || Object.keys(issuer).length !== 1) throw invalid('an assertion has no issuer');
  const role = (['root', ...keyRoles] as const).find((name) => name === issuer['role']);
  if (role !== undefined) return { issuer: { role }, predicateTypes: types, namespaces };
  const { keyId } = issuer;
  if (typeof keyId !== 'string' || !known.has(keyId)) throw invalid('an assertion names an unknown issuer');
  return { issuer: { keyId }, predicateTypes: types, namespaces };
}

function members(
  value: JsonValue | undefined,
  names: readonly string[],
  what: string,
): { readonly [member: string]: JsonValue } {
  if (!isJsonObject(value)) throw invalid(`${what}: not an object`);
  const keys = Object.keys(value);
  if (keys.length !== names.length || !names.every((name) => Object.hasOwn(value, name))) {
    throw invalid(`${what}: other members than ${names.join(', ')}`);
  }
  return value;
}

function list(value: JsonValue | undefined, what: string): readonly JsonValue[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 1000)
    throw invalid(`${what}: not a list`);
  return value;
}

function texts(value: JsonValue | undefined, what: string): readonly string[] {
  const items = list(value, what).filter((item) => typeof item === 'string');
  if (!Array.isArray(value) || items.length !== value.length || new Set(items).size !== items.length) {
    throw invalid(`${what}: not a list of different texts`);
  }
  return items;
}

function isInstant(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) && !Number.isNaN(Date.parse(text));
}

function invalid(why: string): Fault {
  return new Fault('trust.invalid', `this is not a trust root: ${why}`, {
    hint: 'the format stands in docs/reference/trust-root.md',
    details: { algorithms: Object.keys(keyAlgorithms) },
  });
}
