import { digestOf, type Digest } from '#artifact/digest.ts';
import type { BlobStore } from '#artifact/blob-store.ts';
import { encodeBase64 } from '#lib/base64.ts';
import { toFault } from '#lib/fault.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { rootOf } from '#lib/merkle.ts';
import { decodePayload, encodeEnvelope, encodePae } from '../envelope.ts';
import type { LogHead } from '../ledger.ts';
import { predicateTypes } from '../predicates.ts';
import { namespaceOf, parseStatement, type Envelope } from '../statement.ts';
import type { Trust } from '../trust.ts';
import { verifyEvidence, verifyTrustRootChain } from '../verify.ts';
import { makeLogIdentity, openCheckpoint } from './checkpoint.ts';
import { encodeLeaf } from './leaf.ts';
import type { LogFile } from './log-files.ts';
import type { Projection } from './project.ts';
import { readPublished } from './proof.ts';
import type { SequencedEntry, StoredHead } from './sequence-store.ts';
import { edgeRoot, emptyEdge, growTiles, partialTiles } from './tile.ts';

export type FsckCode =
  | 'blob'
  | 'checkpoint'
  | 'entry'
  | 'evidence'
  | 'head'
  | 'missing-entry'
  | 'published-ahead'
  | 'published-behind'
  | 'tile'
  | 'trust';

/** Something that does not agree. `published-behind` repairs itself at the next start; every other one is damage. */
export interface FsckFinding {
  readonly code: FsckCode;
  readonly message: string;
  readonly logIndex?: number;
}

export interface FsckReport {
  readonly findings: readonly FsckFinding[];
  readonly entries: number;
  readonly head: LogHead | undefined;
}

export interface FsckOptions {
  /** The pinned fingerprint of trust root v1. */
  readonly fingerprint?: Digest;
  /** Findings are cut here; 1 000 by default. */
  readonly maximumFindings?: number;
}

const chunkEntries = 1024;

/**
 * Proves database, tiles, blobs and checkpoints against each other, in both directions: every row is the envelope whose
 * digests its leaf commits to, is a blob, is in the tiles at its place, and is signed by a key that the trust chain in
 * force at that place entitles; every tile and checkpoint that is published is exactly what the rows give. Reads
 * everything and changes nothing; disagreement is a finding, never an exception.
 */
export async function checkLog(projection: Projection, options: FsckOptions = {}): Promise<FsckReport> {
  const { store } = projection;
  const findings: FsckFinding[] = [];
  const report = (code: FsckCode, message: string, logIndex?: number): void => {
    if (findings.length >= (options.maximumFindings ?? 1000)) return;
    findings.push({ code, message, ...(logIndex === undefined ? {} : { logIndex }) });
  };

  // Published before head: a server that goes on appending can then only make the head newer, never the log "ahead".
  const found = await readPublishedHead(projection, report);
  const head = await store.readHead();
  checkStoredHead(projection, head, report);
  const published = comparePublished(found, head, report);
  // Envelopes become blobs when their entries are published; until then their absence is part of being behind.
  const behind = findings.some(({ code }) => code === 'published-behind');
  const publishedSize = published?.size ?? (behind ? 0 : Infinity);

  // The rows are walked once. From them alone the tiles are derived again, byte for byte, and compared.
  const trust = new TrustInForce(options.fingerprint, report);
  let edge = emptyEdge;
  const size = head?.size ?? 0;
  while (edge.size < size) {
    const end = nextStop(edge.size, size, published?.size);
    const entries = await store.readEntries(edge.size, end);
    if (entries.length !== end - edge.size) {
      report('missing-entry', `the database lacks entries between ${edge.size} and ${end}`, edge.size);
      break;
    }
    for (const [at, entry] of entries.entries()) {
      checkEntry(entry, edge.size + at, report);
      if (entry.logIndex < publishedSize) await checkBlob(projection.blobs, entry, report);
      trust.check(entry);
    }
    const step = growTiles(
      edge,
      entries.map(({ leaf }) => leaf),
    );
    ({ edge } = step);
    if (published !== undefined && edge.size <= published.size) {
      await checkTiles(projection, [...step.entryTiles, ...step.hashTiles], report);
    }
    if (edge.size === published?.size) {
      const { entryTiles, hashTiles } = partialTiles(edge);
      await checkTiles(projection, [...entryTiles, ...hashTiles], report);
      if (encodeBase64(edgeRoot(edge)) !== published.rootHash) {
        report('checkpoint', 'the rows do not give the root that the published checkpoint signs');
      }
    }
  }
  if (head !== undefined && edge.size === size && encodeBase64(edgeRoot(edge)) !== head.rootHash) {
    report('head', 'the rows do not give the root that the newest checkpoint signs');
  }
  trust.checkLogKey(projection);
  return { findings, entries: edge.size, head };
}

type Report = (code: FsckCode, message: string, logIndex?: number) => void;

/** Chunks end where the published tree ends, so that its partial tiles can be compared. */
function nextStop(start: number, size: number, publishedSize: number | undefined): number {
  const stop = Math.min(start + chunkEntries, size);
  return publishedSize !== undefined && start < publishedSize ? Math.min(stop, publishedSize) : stop;
}

function checkStoredHead({ log }: Projection, head: StoredHead | undefined, report: Report): void {
  if (head === undefined) return;
  try {
    const { size, rootHash, signedAtMs } = openCheckpoint(head.checkpoint, log);
    const frontierRoot = encodeBase64(rootOf({ size: head.size, hashes: head.frontier }));
    if (size !== head.size || rootHash !== head.rootHash || signedAtMs !== head.signedAtMs) {
      report('head', 'the newest head in the database is not the one that its checkpoint signs');
    }
    if (frontierRoot !== head.rootHash) report('head', 'the frontier in the database does not give its root');
  } catch (thrown) {
    report('head', `the newest head in the database: ${toFault(thrown).message}`);
  }
}

async function readPublishedHead(
  { files, log }: Projection,
  report: Report,
): Promise<LogHead | 'unreadable' | undefined> {
  try {
    return await readPublished(files, log);
  } catch (thrown) {
    report('checkpoint', `the published checkpoint: ${toFault(thrown).message}`);
    return 'unreadable';
  }
}

/** The published head that the rows can be held against. */
function comparePublished(
  published: LogHead | 'unreadable' | undefined,
  head: StoredHead | undefined,
  report: Report,
): LogHead | undefined {
  if (published === 'unreadable') return undefined;
  if ((published?.size ?? 0) > (head?.size ?? 0)) {
    report('published-ahead', 'more is published than the database has: it is an older one');
    return undefined;
  }
  if (published?.checkpoint !== head?.checkpoint) {
    report('published-behind', 'the newest entries are not published yet');
  }
  return published;
}

/** A row against its own envelope bytes: they are the truth, every other column follows from them. */
function checkEntry(entry: SequencedEntry, logIndex: number, report: Report): void {
  try {
    const payload = decodePayload(entry.envelope);
    const bytes = encodeEnvelope(entry.envelope);
    const envelopeDigest = digestOf(entry.envelopeBytes);
    const paeDigest = digestOf(encodePae(entry.envelope.payloadType, payload));
    const statement = parseStatement(payload);
    const agrees =
      entry.logIndex === logIndex &&
      entry.envelopeDigest === envelopeDigest &&
      Buffer.compare(bytes, entry.envelopeBytes) === 0 &&
      Buffer.compare(encodeLeaf({ paeDigest, envelopeDigest }), entry.leaf) === 0 &&
      namespaceOf(statement) === entry.namespace &&
      encodeJcsText(statement) === encodeJcsText(entry.statement);
    if (!agrees) report('entry', 'the row is not what its envelope says', logIndex);
  } catch (thrown) {
    report('entry', toFault(thrown).message, logIndex);
  }
}

async function checkBlob(blobs: BlobStore, entry: SequencedEntry, report: Report): Promise<void> {
  try {
    const blob = await blobs.open(entry.envelopeDigest);
    if (blob === undefined) return report('blob', 'the envelope is not in the blob store', entry.logIndex);
    await using open = blob;
    const bytes = await open.read(0, open.sizeBytes);
    if (Buffer.compare(bytes, entry.envelopeBytes) !== 0) {
      report('blob', 'the blob of the envelope has other bytes', entry.logIndex);
    }
  } catch (thrown) {
    report('blob', toFault(thrown).message, entry.logIndex);
  }
}

async function checkTiles(
  { files }: Projection,
  expected: readonly LogFile[],
  report: Report,
): Promise<void> {
  for (const { path, bytes } of expected) {
    // A partial tile may have been replaced by the full one that begins with it.
    const partial = path.indexOf('.p/');
    const full = partial < 0 ? undefined : await files.read(path.slice(0, partial));
    const found = (await files.read(path)) ?? full?.subarray(0, bytes.length);
    if (found === undefined) report('tile', `the tile \`${path}\` is missing`);
    else if (Buffer.compare(found, bytes) !== 0) report('tile', `the tile \`${path}\` has other bytes`);
  }
}

/** The trust chain as the log unfolds: each entry is held against the roots that stand before it. */
class TrustInForce {
  readonly #chain: Envelope[] = [];
  readonly #fingerprint: Digest | undefined;
  readonly #report: Report;
  #trust: Trust | undefined;
  #last: number | undefined;

  constructor(fingerprint: Digest | undefined, report: Report) {
    this.#fingerprint = fingerprint;
    this.#report = report;
  }

  check({ envelope, statement, logIndex }: SequencedEntry): void {
    this.#last = logIndex;
    if (statement.predicateType === predicateTypes.trustRoot) {
      const result = verifyTrustRootChain([...this.#chain, envelope], this.#fingerprint);
      if (result.ok) {
        this.#chain.push(envelope);
        this.#trust = result.trust;
      } else {
        this.#report('trust', result.reasons.map(({ message }) => message).join('; '), logIndex);
      }
      return;
    }
    if (this.#trust === undefined)
      return this.#report('trust', 'no trust root stands before this entry', logIndex);
    const result = verifyEvidence(envelope, this.#trust, { logIndex });
    if (!result.ok) {
      this.#report('evidence', result.reasons.map(({ message }) => message).join('; '), logIndex);
    }
  }

  /** The key that signs checkpoints is the one that the newest trust root names for the log, under its origin. */
  checkLogKey({ log }: Projection): void {
    if (this.#last === undefined || this.#trust === undefined) return;
    const { root, keys } = this.#trust;
    const pems = root.roles.log.keyIds.map((keyId) => keys.get(keyId)?.publicKeyPem ?? '');
    const named = pems.some((pem) => makeLogIdentity(root.origin, pem).noteKey.keyId === log.noteKey.keyId);
    if (root.origin !== log.origin || !named) {
      this.#report('trust', 'the key that signs checkpoints is not the log key of the newest trust root');
    }
  }
}
