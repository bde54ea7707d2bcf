import type { BlobStore } from '#artifact/blob-store.ts';
import { encodeBase64 } from '#lib/base64.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { decodePayload, encodeEnvelope, parseEnvelope, paeOf } from '../envelope.ts';
import type { LogHead } from '../ledger.ts';
import { namespaceOf, parseStatement } from '../statement.ts';
import { digestOf, type Digest } from '#artifact/digest.ts';
import type { LogIdentity } from './checkpoint.ts';
import { parseLeaf } from './leaf.ts';
import type { LogFiles } from './log-files.ts';
import { readPublished } from './proof.ts';
import type { SequencedEntry, SequenceStore } from './sequence-store.ts';
import { edgeRoot, emptyEdge, frontierOf, growTiles, readEntryTile, tileWidth } from './tile.ts';

/** What a published log is read from. */
export interface PublishedLog {
  readonly files: LogFiles;
  readonly blobs: BlobStore;
  readonly log: LogIdentity;
}

export interface ReindexOptions {
  /**
   * Fills whatever else is derived from the entries; called with each batch before the head is written, so that a store
   * that has a head is a whole one. It runs again from the first entry after a reindex that was cut short.
   */
  readonly derive?: (entries: readonly SequencedEntry[]) => Promise<void>;
  /** Called after each batch that was inserted, in the same transaction; for progress. */
  readonly progress?: (entries: number, size: number) => void;
}

/**
 * Rebuilds the database's log from tiles and blobs: every entry with the index, bytes and namespace it had, and the
 * identical head. All in one transaction, the head last: a failure leaves the store without a log. Nothing is believed: the checkpoint must
 * be signed by this log, the leaves must give its root, every envelope must be the one its leaf commits to. Faults
 * `ledger.diverged` where the store is not empty, `proof.invalid`, `note.invalid`, `blob.missing`, `blob.corrupt`.
 */
export async function reindex(
  published: PublishedLog,
  store: SequenceStore,
  options: ReindexOptions = {},
): Promise<LogHead> {
  const { files, log } = published;
  const head = await readPublished(files, log);
  if (head === undefined) {
    throw new Fault('proof.invalid', 'there is no published log to rebuild from', {
      hint: 'the log directory must hold `checkpoint` and `tile/`',
    });
  }
  await assertRoot(files, head);
  if (options.derive !== undefined && (await store.readHead()) === undefined) {
    for await (const entries of readLog(published, head.size)) await options.derive(entries);
  }
  // Stopping here: the store has no head, a server refuses to start on it beside a published log, and the next reindex
  // finds what `derive` wrote. After the commit everything is there.
  return store.withHead(async (existing, transaction) => {
    if (existing !== undefined) {
      throw new Fault('ledger.diverged', 'the database already has a log', {
        hint: 'reindex only into an empty database',
      });
    }
    let edge = emptyEdge;
    for await (const entries of readLog(published, head.size)) {
      await transaction.insert(entries);
      ({ edge } = growTiles(
        edge,
        entries.map(({ leaf }) => leaf),
      ));
      options.progress?.(edge.size, head.size);
    }
    // The tiles were read again: a log whose leaves are not the signed ones never becomes a head.
    if (encodeBase64(edgeRoot(edge)) !== head.rootHash) throw otherRoot();
    await transaction.writeHead({ ...head, frontier: frontierOf(edge).hashes });
    return head;
  });
}

/** Before anything is derived: the leaves, 65 bytes each, are the ones that the checkpoint signs. */
async function assertRoot(files: LogFiles, head: LogHead): Promise<void> {
  let edge = emptyEdge;
  while (edge.size < head.size) ({ edge } = growTiles(edge, await readLeaves(files, edge.size, head.size)));
  if (encodeBase64(edgeRoot(edge)) !== head.rootHash) throw otherRoot();
}

function otherRoot(): Fault {
  return new Fault('proof.invalid', 'the entry tiles do not give the root that the checkpoint signs');
}

/** The leaves of one entry tile of a log of `size` entries. */
async function readLeaves(files: LogFiles, start: number, size: number): Promise<readonly Uint8Array[]> {
  const leaves = await readEntryTile(files, start / tileWidth, Math.min(tileWidth, size - start));
  if (leaves !== undefined) return leaves;
  throw new Fault('proof.invalid', `the entry tile of the leaves from ${start} is missing or cut off`);
}

/** The entries of the first `size` leaves in batches of one entry tile, each checked against its leaf. */
export async function* readLog(
  { files, blobs }: PublishedLog,
  size: number,
): AsyncIterable<readonly SequencedEntry[]> {
  for (let start = 0; start < size; start += tileWidth) {
    const leaves = await readLeaves(files, start, size);
    const entries: SequencedEntry[] = [];
    for (const [at, leaf] of leaves.entries()) entries.push(await readEntry(blobs, start + at, leaf));
    yield entries;
  }
}

async function readEntry(blobs: BlobStore, logIndex: number, leaf: Uint8Array): Promise<SequencedEntry> {
  const { paeDigest, envelopeDigest } = parseLeaf(leaf);
  const envelopeBytes = await readBlob(blobs, envelopeDigest);
  const envelope = parseEnvelope(envelopeBytes);
  const statement = parseStatement(decodePayload(envelope));
  const namespace = namespaceOf(statement);
  const agrees =
    digestOf(paeOf(envelope)) === paeDigest &&
    Buffer.compare(encodeEnvelope(envelope), envelopeBytes) === 0 &&
    namespace !== undefined;
  if (!agrees) {
    throw new Fault('proof.invalid', `entry ${logIndex} of the log is not the envelope that its leaf names`);
  }
  return {
    logIndex,
    leaf: Uint8Array.from(leaf),
    envelope,
    envelopeBytes,
    envelopeDigest,
    statement,
    namespace,
  };
}

async function readBlob(blobs: BlobStore, digest: Digest): Promise<Uint8Array> {
  const blob = await blobs.open(digest);
  if (blob === undefined)
    throw new Fault('blob.missing', `the envelope \`${digest}\` is not in the blob store`);
  await using open = blob;
  if (open.sizeBytes > limits.envelopeBytes) {
    throw new Fault('blob.corrupt', `the envelope \`${digest}\` is too large to be one`);
  }
  const bytes = await open.read(0, open.sizeBytes);
  if (digestOf(bytes) !== digest) throw new Fault('blob.corrupt', `the blob \`${digest}\` has other bytes`);
  return bytes;
}
