import { digestOf, hexOf, isDigest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { parseJson } from '#lib/json.ts';
import { tiers } from './policy.ts';
import type { TarEntry } from '#lib/tar.ts';
import type { Digest } from '#artifact/digest.ts';
import type { JsonValue } from '#lib/json.ts';
import type { DecisionSubject, SubjectFile } from './decision.ts';

/** A log entry as it leaves the installation: the stored envelope bytes and the text of its `.tlog-proof`. */
export interface ProvenEnvelope {
  readonly envelope: Uint8Array;
  readonly proof: string;
}

/** Everything that one decision rests on. All proofs are against the one `checkpoint`. */
export interface OfflineParts {
  readonly subject: DecisionSubject;
  /** The chain of trust roots up to the one that the decision names, oldest first. */
  readonly trust: readonly ProvenEnvelope[];
  /** `CompiledPolicySet.canonical` of the policy that the decision names. */
  readonly policy: Uint8Array;
  /** Exactly the envelopes of `evidenceUsed`, any order. */
  readonly evidence: readonly ProvenEnvelope[];
  /** The recorded decision: the envelope of its verification summary. */
  readonly decision: ProvenEnvelope;
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
}

const fixed = {
  index: 'bundle.json',
  checkpoint: 'checkpoint',
  decision: 'decision.json',
  decisionProof: 'decision.json.tlog-proof',
  policy: 'policy.json',
} as const;

const encodeText = (text: string): Uint8Array => new TextEncoder().encode(text);
const trustName = (index: number): string => `trust/${String(index + 1).padStart(4, '0')}.json`;
const evidenceName = (envelope: Uint8Array): string => `evidence/${hexOf(digestOf(envelope))}.json`;

/**
 * The offline bundle v1 as files, in the one order that it may have: `bundle.json` (version and subject, JCS),
 * `checkpoint`, `decision.json`, `policy.json`, `trust/0001.json` …, `evidence/<sha256>.json` … by name, each envelope
 * followed by its `.tlog-proof`. `encodeTar` makes the archive of it.
 */
export function encodeOfflineBundle(parts: OfflineParts): readonly TarEntry[] {
  const proven = (name: string, { envelope, proof }: ProvenEnvelope): readonly TarEntry[] => [
    { name, bytes: envelope },
    { name: `${name}.tlog-proof`, bytes: encodeText(proof) },
  ];
  const evidence = parts.evidence
    .map((entry) => ({ name: evidenceName(entry.envelope), entry }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return [
    { name: fixed.index, bytes: encodeJcs({ version: 1, subject: parts.subject }) },
    { name: fixed.checkpoint, bytes: encodeText(parts.checkpoint) },
    ...proven(fixed.decision, parts.decision),
    { name: fixed.policy, bytes: parts.policy },
    ...parts.trust.flatMap((entry, index) => proven(trustName(index), entry)),
    ...evidence.flatMap(({ name, entry }) => proven(name, entry)),
  ];
}

const refuse = (why: string): never => {
  throw new Fault('bundle.invalid', `this is not an offline bundle: ${why}`);
};

/**
 * Files of a bundle to its parts. Nothing is verified here but the form: exactly the files that `encodeOfflineBundle`
 * writes, in its order, with its bytes for `bundle.json` and its names. Fault `bundle.invalid`.
 */
export function parseOfflineBundle(files: readonly TarEntry[]): OfflineParts {
  const byName = new Map(files.map(({ name, bytes }) => [name, bytes]));
  const bytesOf = (name: string): Uint8Array => byName.get(name) ?? refuse(`\`${name}\` is missing`);
  const textOf = (name: string): string => Buffer.from(bytesOf(name)).toString('utf8');
  const proven = (name: string): ProvenEnvelope => ({
    envelope: bytesOf(name),
    proof: textOf(`${name}.tlog-proof`),
  });
  const trust: ProvenEnvelope[] = [];
  while (byName.has(trustName(trust.length))) trust.push(proven(trustName(trust.length)));
  const evidence = files
    .filter(({ name }) => name.startsWith('evidence/') && name.endsWith('.json'))
    .map(({ name }) => proven(name));
  const parts: OfflineParts = {
    subject: parseIndex(bytesOf(fixed.index)),
    trust,
    policy: bytesOf(fixed.policy),
    evidence,
    decision: proven(fixed.decision),
    checkpoint: textOf(fixed.checkpoint),
  };
  const canonical = encodeOfflineBundle(parts);
  const same =
    canonical.length === files.length &&
    canonical.every(({ name, bytes }, index) => {
      const file = files[index];
      return file?.name === name && Buffer.compare(file.bytes, bytes) === 0;
    });
  return same ? parts : refuse('it has other files, names or an order than a bundle has');
}

type Members = { readonly [member: string]: JsonValue };

function members(value: JsonValue | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Members)
    : refuse('its index is malformed');
}

function parseIndex(bytes: Uint8Array): DecisionSubject {
  const index = members(parseJson(bytes));
  if (index['version'] !== 1) return refuse('it has another version');
  const subject = members(index['subject']);
  const roots = members(subject['roots']);
  const digest = (value: JsonValue | undefined): Digest =>
    isDigest(value) ? value : refuse('a digest is malformed');
  const optional = (value: JsonValue | undefined): Digest | null => (value === null ? null : digest(value));
  const tier = tiers.find((candidate) => candidate === subject['tier']) ?? refuse('the tier is unknown');
  const list = (value: JsonValue | undefined): readonly JsonValue[] =>
    Array.isArray(value) ? (value as readonly JsonValue[]) : refuse('its index is malformed');
  const approvalRequired = subject['approvalRequired'];
  if (approvalRequired !== undefined && approvalRequired !== true)
    return refuse('`approvalRequired` is neither true nor absent');
  return {
    ...(approvalRequired === true ? { approvalRequired } : {}),
    artifact: digest(subject['artifact']),
    roots: {
      all: optional(roots['all']),
      loading: optional(roots['loading']),
      weights: optional(roots['weights']),
    },
    files: list(subject['files']).map((value) => parseFile(members(value))),
    tier,
    references: list(subject['references']).map((value) =>
      typeof value === 'string' ? value : refuse('a reference is malformed'),
    ),
  };
}

const roles = ['weights', 'steering', 'documentation'] as const;

function parseFile(file: Members): SubjectFile {
  const { path, digest, sizeBytes, role, present } = file;
  const known = roles.find((candidate) => candidate === role);
  if (typeof path !== 'string' || !isDigest(digest) || typeof sizeBytes !== 'number')
    return refuse('a file is malformed');
  if (known === undefined || typeof present !== 'boolean') return refuse('a file is malformed');
  return { path, digest, sizeBytes, role: known, present };
}
