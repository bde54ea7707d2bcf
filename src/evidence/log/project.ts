import type { BlobStore } from '#artifact/blob-store.ts';
import { encodeBase64 } from '#lib/base64.ts';
import { Fault, toFault } from '#lib/fault.ts';
import { durably } from '#lib/fault-point.ts';
import type { LogHead } from '../ledger.ts';
import type { LogIdentity } from './checkpoint.ts';
import type { LogFile, LogFiles } from './log-files.ts';
import { readPublished } from './proof.ts';
import type { SequencedEntry, SequenceStore } from './sequence-store.ts';
import {
  edgeRoot,
  emptyEdge,
  expectedPaths,
  growTiles,
  partialTiles,
  readEdge,
  type TileEdge,
} from './tile.ts';

/** Where the truth is and where its projections go. */
export interface Projection {
  readonly store: SequenceStore;
  readonly files: LogFiles;
  readonly blobs: BlobStore;
  readonly log: LogIdentity;
}

export interface Projector {
  /** Publishes up to the newest committed head. Calls during a run share the next one. Faults as `openProjector`. */
  project(): Promise<LogHead | undefined>;
}

/** Entries read and written in one step; bounds memory while a whole log is derived again. */
const chunkEntries = 4096;
const concurrentPuts = 16;

/**
 * Opens the projection of the log and brings it up to the database, with the code that also runs after every commit.
 * A published checkpoint that is larger than the database's head, or not a prefix of it, is Fault `ledger.diverged`:
 * somebody restored an old database, and going on would sign a second history. Missing tiles are derived again. One
 * projector per published log; the caller repeats after `disk.full` and other passing Faults.
 */
export async function openProjector(projection: Projection): Promise<Projector> {
  const { store, files, log } = projection;
  let edge = await openEdge(projection);
  let published: LogHead | undefined;
  const superseded = new Set<string>();
  for await (const { path } of files.list()) if (path.includes('.p/')) superseded.add(path);

  const run = async (): Promise<LogHead | undefined> => {
    const head = await store.readHead();
    if (head === undefined || head.checkpoint === published?.checkpoint) return published;
    edge = await publish(projection, edge, head);
    for (const { path } of tilesOf(edge)) superseded.add(path);
    await removeSuperseded(files, superseded, edge.size);
    const { size, rootHash, checkpoint, signedAtMs } = head;
    published = { size, rootHash, checkpoint, signedAtMs };
    return published;
  };

  let running: Promise<LogHead | undefined> | undefined;
  let next: Promise<LogHead | undefined> | undefined;
  const project = (): Promise<LogHead | undefined> => {
    if (running === undefined) {
      running = run().finally(() => {
        running = undefined;
      });
      return running;
    }
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return project();
      });
    return next;
  };

  if (edge.size > 0) published = await readPublished(files, log);
  await project();
  return { project };
}

/** Where to go on: the published tree, or the empty one when nothing (or not everything) is published. */
async function openEdge({ store, files, log }: Projection): Promise<TileEdge> {
  const published = await readPublished(files, log).catch((cause: unknown) => {
    throw diverged('the published checkpoint is not signed by the key of this log', cause);
  });
  if (published === undefined) return emptyEdge;
  const head = await store.readHead();
  if (head === undefined || published.size > head.size) {
    throw diverged(`the published log has ${published.size} entries, the database only ${head?.size ?? 0}`);
  }
  const edge = (await isComplete(files, published.size)) ? await readEdge(files, published.size) : undefined;
  if (edge !== undefined && encodeBase64(edgeRoot(edge)) === published.rootHash) return edge;
  // Tiles are missing or damaged and are derived again from the first entry. The tree that comes out must be the one
  // that was published, or the database is another history.
  assertRoot(await derive(store, published.size), published.rootHash);
  return emptyEdge;
}

async function isComplete(files: LogFiles, size: number): Promise<boolean> {
  const present = new Set<string>();
  for await (const { path } of files.list()) present.add(path);
  for (const path of expectedPaths(size)) if (!present.has(path)) return false;
  return true;
}

/** Grows the published log from `edge` to `head`. */
async function publish(
  { store, files, blobs }: Projection,
  edge: TileEdge,
  head: { readonly size: number; readonly rootHash: string; readonly checkpoint: string },
): Promise<TileEdge> {
  let grown = edge;
  if (grown.size === head.size) assertRoot(grown, head.rootHash);
  while (grown.size < head.size) {
    const entries = await readChunk(store, grown.size, Math.min(grown.size + chunkEntries, head.size));

    // Envelopes first: whoever finds a leaf in a tile can fetch what it commits to. Stopping after this leaves blobs
    // that no tile names yet; they are put again, which writes nothing.
    await durably('log.envelopes', () => putEnvelopes(blobs, entries));

    const step = growTiles(
      grown,
      entries.map(({ leaf }) => leaf),
    );
    grown = step.edge;
    const last = grown.size === head.size ? partialTiles(grown) : { entryTiles: [], hashTiles: [] };
    if (grown.size === head.size) assertRoot(grown, head.rootHash);

    // Entries before hashes, both before the checkpoint. Stopping anywhere here leaves tiles that the published
    // checkpoint does not reach; readers never ask for them, and the next run writes the same bytes again.
    await durably('log.entries', () => files.write([...step.entryTiles, ...last.entryTiles]));
    await durably('log.tiles', () => files.write([...step.hashTiles, ...last.hashTiles]));
  }
  // The checkpoint is the promise that everything it covers can be fetched, so it is written when that is durable.
  // Stopping before it: the old checkpoint stands over a complete old tree. After it: the new one does.
  const bytes = Buffer.from(head.checkpoint, 'utf8');
  await durably('log.checkpoint', () => files.write([{ path: 'checkpoint', bytes }]));
  return grown;
}

function assertRoot(edge: TileEdge, rootHash: string): void {
  if (encodeBase64(edgeRoot(edge)) === rootHash) return;
  throw diverged('the entries in the database do not give the tree that a signed checkpoint names');
}

async function derive(store: SequenceStore, size: number): Promise<TileEdge> {
  let edge = emptyEdge;
  while (edge.size < size) {
    const entries = await readChunk(store, edge.size, Math.min(edge.size + chunkEntries, size));
    edge = growTiles(
      edge,
      entries.map(({ leaf }) => leaf),
    ).edge;
  }
  return edge;
}

async function readChunk(
  store: SequenceStore,
  start: number,
  end: number,
): Promise<readonly SequencedEntry[]> {
  const entries = await store.readEntries(start, end);
  const complete = entries.length === end - start;
  if (!complete || entries.some(({ logIndex }, at) => logIndex !== start + at)) {
    throw diverged(`the database does not have every entry from ${start} to ${end}`);
  }
  return entries;
}

async function putEnvelopes(blobs: BlobStore, entries: readonly SequencedEntry[]): Promise<void> {
  const waiting = entries.values();
  const worker = async (): Promise<void> => {
    for (const { envelopeBytes, envelopeDigest } of waiting) {
      await blobs.put(envelopeBytes, { digest: envelopeDigest });
    }
  };
  await Promise.all(Array.from({ length: concurrentPuts }, worker));
}

function tilesOf(edge: TileEdge): readonly LogFile[] {
  const { entryTiles, hashTiles } = partialTiles(edge);
  return [...entryTiles, ...hashTiles];
}

/** Removes partial tiles whose full tile is published; failing to is no harm, the next start finds them. */
async function removeSuperseded(files: LogFiles, partials: Set<string>, size: number): Promise<void> {
  const done = [...partials].filter((path) => isSuperseded(path, size));
  if (done.length === 0) return;
  try {
    await files.remove(done);
    for (const path of done) partials.delete(path);
  } catch (thrown) {
    if (toFault(thrown).row.fatal) throw thrown;
  }
}

function isSuperseded(path: string, size: number): boolean {
  const [, kind = '', ...number] = path.slice(0, path.indexOf('.p/')).split('/');
  const level = kind === 'entries' ? 0 : Number(kind);
  const index = Number(number.map((group) => group.replace('x', '')).join(''));
  return (index + 1) * 256 ** (level + 1) <= size;
}

function diverged(message: string, cause?: unknown): Fault {
  return new Fault('ledger.diverged', message, {
    hint: 'stop, keep this data directory, and restore the newest database or run `weighbridge reindex`',
    ...(cause === undefined ? {} : { cause }),
  });
}
