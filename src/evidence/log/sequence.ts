import { digestOf, type Digest } from '#artifact/digest.ts';
import { encodeBase64 } from '#lib/base64.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault, toFault } from '#lib/fault.ts';
import { faultPoint } from '#lib/fault-point.ts';
import { appendLeaves, emptyFrontier, leafHash, rootOf, type Frontier } from '#lib/merkle.ts';
import { mapInSlices } from '#lib/slices.ts';
import { decodePayload, encodeEnvelope, encodePae } from '../envelope.ts';
import type { LogHead, PendingEntry } from '../ledger.ts';
import type { Signer } from '../signer.ts';
import { namespaceOf, parseStatement, statementPayloadType, type LoggedEvidence } from '../statement.ts';
import { makeLogIdentity, openCheckpoint, signCheckpoint, type LogIdentity } from './checkpoint.ts';
import { encodeLeaf } from './leaf.ts';
import type { SequencedEntry, SequenceStore, StoredHead } from './sequence-store.ts';

export interface SequencerOptions {
  readonly store: SequenceStore;
  /** The log key, Ed25519. */
  readonly signer: Signer;
  /** Name of the log in its checkpoints, e.g. `weighbridge.example.org/log`. */
  readonly origin: string;
  readonly clock: Clock;
  /** Entries of one transaction, 1 024 by default; one larger append is still one transaction. */
  readonly batchEntries?: number;
  /** Called after each commit of this process; starts projections and wakes subscribers. Must not throw. */
  readonly committed?: (head: LogHead) => void;
}

/** From so many entries on others have their turn while they are sealed. */
const manyEntries = 4;

/** The writing half of the `Ledger`; `find` is the database's. */
export interface Sequencer {
  readonly log: LogIdentity;
  append(entries: readonly PendingEntry[]): Promise<readonly LoggedEvidence[]>;
  /** The newest committed head, also of other replicas. Fault `ledger.unavailable` while the log is empty. */
  head(): Promise<LogHead>;
  /** Refuses new appends with `server.draining` and resolves when those under way are answered. */
  close(): Promise<void>;
}

/** An entry with everything about it that does not depend on its place. */
type SealedEntry = Omit<SequencedEntry, 'logIndex'>;

interface Waiting {
  readonly entries: readonly SealedEntry[];
  readonly resolve: (logged: readonly LoggedEvidence[]) => void;
  readonly reject: (fault: Fault) => void;
}

/**
 * Opens the log for writing. One transaction runs at a time in this process; appends that arrive meanwhile form the
 * next one, so the cost of a durable commit is shared by whoever waits for it. A stored head that this key did not
 * sign or whose tree does not recompute is Fault `ledger.diverged`, now and at every append; after that Fault nothing
 * is appended any more.
 */
export async function openSequencer(options: SequencerOptions): Promise<Sequencer> {
  const { store, signer, origin, batchEntries = 1024 } = options;
  const log = makeLogIdentity(origin, signer.publicKeyPem);
  const state: SequencingState = { log, lastSeen: undefined };
  const queue: Waiting[] = [];
  let running: Promise<void> | undefined;
  let closed: Fault | undefined;

  const stored = await store.readHead();
  if (stored !== undefined) checkHead(state, stored);

  /** Sequences and answers one group of appends; a group that fails is tried again one by one. */
  const settle = async (group: readonly Waiting[]): Promise<void> => {
    try {
      const committed = await sequence(
        state,
        options,
        group.flatMap(({ entries }) => entries),
      );
      for (const { entries, resolve } of group)
        resolve(entries.map((entry) => place(entry, committed.indexes)));
      if (committed.grown !== undefined) options.committed?.(committed.grown);
    } catch (thrown) {
      const fault = toFault(thrown);
      if (fault.row.fatal) closed = fault;
      // One caller's bad entry must not fail its neighbours. Trying again is safe even when the transaction did
      // commit and only its answer was lost: what is in the log already keeps its index.
      const alone = group.length === 1 || fault.row.fatal || fault.row.retryable;
      if (alone) for (const { reject } of group) reject(fault);
      else for (const waiting of group) await settle([waiting]);
    }
  };
  const run = async (): Promise<void> => {
    while (queue.length > 0) {
      if (closed?.row.fatal) for (const { reject } of queue.splice(0)) reject(closed);
      else await settle(takeGroup(queue, batchEntries));
    }
    running = undefined;
  };

  return {
    log,
    append: async (pending) => {
      if (closed !== undefined) throw closed;
      if (pending.length === 0) return [];
      const few = pending.length < manyEntries;
      const entries = few ? pending.map(sealEntry) : await mapInSlices(pending, sealEntry);
      if (closed !== undefined) throw closed;
      return new Promise((resolve, reject) => {
        queue.push({ entries, resolve, reject });
        running ??= Promise.resolve().then(run);
      });
    },
    head: async () => {
      // Captured before the read: what is committed while it runs must not make its answer look like a step back.
      const seen = state.lastSeen;
      const head = await store.readHead();
      if (head === undefined) throw new Fault('ledger.unavailable', 'the log has no entries yet');
      checkHead(state, head, seen);
      const { size, rootHash, checkpoint, signedAtMs } = head;
      return { size, rootHash, checkpoint, signedAtMs };
    },
    close: async () => {
      closed ??= new Fault('server.draining', 'the ledger takes no more entries');
      await running;
    },
  };
}

interface SequencingState {
  readonly log: LogIdentity;
  /** The largest head this process has checked: nothing older may follow it. */
  lastSeen: LogHead | undefined;
}

interface Committed {
  readonly indexes: ReadonlyMap<Digest, number>;
  /** Undefined where every entry was in the log already. */
  readonly grown: LogHead | undefined;
}

/** Gives every new entry its place in the log. This is the order of truth: DESIGN §1a "Truth and its order". */
async function sequence(
  state: SequencingState,
  options: Pick<SequencerOptions, 'store' | 'signer' | 'clock'>,
  batch: readonly SealedEntry[],
): Promise<Committed> {
  const committed = await options.store.withHead(async (stored, transaction) => {
    // The head is ours alone from here to the commit, against every replica: two writers never number the same
    // index. It is checked before it is built upon, because signing a tree that we cannot recompute would put our
    // name under somebody else's history.
    const last = stored === undefined ? undefined : checkHead(state, stored);
    const frontier = last?.frontier ?? emptyFrontier;

    // Asked inside the transaction: an identical envelope that another replica has just committed is seen here.
    const unique = new Map(batch.map((entry) => [entry.envelopeDigest, entry]));
    const known = await transaction.existing([...unique.keys()]);
    const indexes = new Map(known.map(({ envelopeDigest, logIndex }) => [envelopeDigest, logIndex]));
    const fresh: SequencedEntry[] = [];
    for (const [digest, entry] of unique) {
      if (indexes.has(digest)) continue;
      const logIndex = frontier.size + fresh.length;
      indexes.set(digest, logIndex);
      fresh.push({ ...entry, logIndex });
    }
    if (fresh.length === 0) return { indexes, grown: undefined };

    // Time never goes back: a clock behind the last checkpoint keeps the last checkpoint's time, so that nothing
    // signed later can look older than what it follows.
    const nowMs = Math.max(options.clock.now(), last?.signedAtMs ?? 0);
    const grown = appendLeaves(
      frontier,
      fresh.map(({ leaf }) => leafHash(leaf)),
    );
    const tree = { size: grown.size, root: rootOf(grown), timeSeconds: Math.floor(nowMs / 1000) };

    // Signed before the commit, published only after it. Stopping between the two leaves a checkpoint that nobody
    // ever saw; the same size may then be signed with other entries without contradicting anything.
    const head = await signCheckpoint(state.log, options.signer, tree);

    // Rows and head are one transaction: a head without its rows, or rows without a head that covers them, cannot be.
    await transaction.insert(fresh);
    await transaction.writeHead({ ...head, frontier: grown.hashes });
    faultPoint('log.commit', 'before');
    return { indexes, grown: head };
  });
  // Stopping here: the entries are in the log, nobody was told, and tiles lag behind. The next start projects them,
  // and a caller that appends the same envelope again gets the index it has.
  faultPoint('log.commit', 'after');
  if (committed.grown !== undefined) state.lastSeen = committed.grown;
  return committed;
}

/**
 * A stored head as one that may be built upon: signed by this log, with the tree that its frontier gives, and not
 * older than `seen`, the largest head this process knew when it asked. Fault `ledger.diverged`.
 */
function checkHead(
  state: SequencingState,
  stored: StoredHead,
  seen: LogHead | undefined = state.lastSeen,
): { readonly frontier: Frontier; readonly signedAtMs: number } {
  const frontier: Frontier = { size: stored.size, hashes: stored.frontier };
  if (recomputedRoot(frontier) !== stored.rootHash) {
    throw diverged('the stored tree does not give the root that its checkpoint signs');
  }
  const signed = seen?.checkpoint === stored.checkpoint ? seen : openOwn(stored.checkpoint, state.log);
  const { size, rootHash, signedAtMs } = signed;
  if (size !== stored.size || rootHash !== stored.rootHash || signedAtMs !== stored.signedAtMs) {
    throw diverged('the stored head is not the one that its checkpoint signs');
  }
  if (seen !== undefined && (size < seen.size || signedAtMs < seen.signedAtMs)) {
    throw diverged(`the stored log has ${size} entries, but had ${seen.size} before`);
  }
  if (size === seen?.size && rootHash !== seen.rootHash) {
    throw diverged(`two different logs of ${size} entries exist`);
  }
  if (state.lastSeen === undefined || size > state.lastSeen.size) state.lastSeen = signed;
  return { frontier, signedAtMs };
}

function recomputedRoot(frontier: Frontier): string | undefined {
  try {
    return encodeBase64(rootOf(frontier));
  } catch {
    return undefined;
  }
}

function openOwn(checkpoint: string, log: LogIdentity): LogHead {
  try {
    return openCheckpoint(checkpoint, log);
  } catch (cause) {
    throw diverged('the stored checkpoint is not signed by the key of this log', cause);
  }
}

/**
 * What can be known of an entry before it has a place. The envelope is the truth: statement and namespace are read
 * from it again, so that a database rebuilt from envelopes is the same database.
 */
function sealEntry(pending: PendingEntry): SealedEntry {
  const { envelope, namespace } = pending;
  if (envelope.payloadType !== statementPayloadType) {
    throw new Fault('envelope.invalid', 'only in-toto statements enter the ledger');
  }
  const payload = decodePayload(envelope);
  const statement = parseStatement(payload);
  if (namespaceOf(statement) !== namespace) {
    throw new Fault(
      'envelope.invalid',
      `the signed statement does not speak in the namespace \`${namespace}\``,
      {
        hint: 'make statements with `makeStatement` or `placeStatement`',
      },
    );
  }
  const envelopeBytes = encodeEnvelope(envelope);
  const envelopeDigest = digestOf(envelopeBytes);
  const leaf = encodeLeaf({ paeDigest: digestOf(encodePae(envelope.payloadType, payload)), envelopeDigest });
  return { namespace, statement, envelope, leaf, envelopeBytes, envelopeDigest };
}

function place(entry: SealedEntry, indexes: ReadonlyMap<Digest, number>): LoggedEvidence {
  const { envelopeDigest, envelope, namespace, statement } = entry;
  const logIndex = indexes.get(envelopeDigest);
  if (logIndex === undefined) throw new Fault('internal.unexpected', 'an appended entry has no index');
  return { envelopeDigest, envelope, logIndex, namespace, statement };
}

/** As many waiting appends as fit, at least one, in order. */
function takeGroup(queue: Waiting[], batchEntries: number): readonly Waiting[] {
  let count = 0;
  let entries = 0;
  for (const waiting of queue) {
    entries += waiting.entries.length;
    if (count > 0 && entries > batchEntries) break;
    count += 1;
  }
  return queue.splice(0, count);
}

function diverged(message: string, cause?: unknown): Fault {
  return new Fault('ledger.diverged', message, {
    hint: 'stop, keep this data directory, and restore the newest database or run `weighbridge reindex`',
    ...(cause === undefined ? {} : { cause }),
  });
}
