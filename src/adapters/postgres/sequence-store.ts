import { setImmediate as turn } from 'node:timers/promises';
import type {
  SequencedEntry,
  SequenceStore,
  SequenceTransaction,
  StoredHead,
} from '#evidence/log/sequence-store.ts';
import { Fault } from '#lib/fault.ts';
import { faultPoint } from '#lib/fault-point.ts';
import { mapInSlices } from '#lib/slices.ts';
import type { Database, Session } from './database.ts';
import { evidenceColumns, parseSequencedRow } from './evidence-row.ts';
import { enqueueIn, type NewJob } from './jobs.ts';
import { headChannel } from './notifications.ts';
import { bytesOf, digestBytes, joinBytes, type Row, splitBytes, textOf, wholeOf } from './rows.ts';

export interface SequenceStoreOptions {
  /** Jobs that follow from new entries. They are enqueued in the ledger's own transaction: both or neither. */
  readonly jobsFor?: (entries: readonly SequencedEntry[]) => readonly NewJob[];
}

/** Appends of so many entries are long enough to be noticed by others. */
const manyEntries = 8;

/** A number of our own for pg_advisory_xact_lock: one sequencer at a time over all replicas. */
const sequencerLock = 7_208_142;

/**
 * The ledger's rows in PostgreSQL. `withHead` is one transaction of the log role with `synchronous_commit` on, holding
 * a lock that ends with it. Every failure of the database is Fault `ledger.unavailable`; when the connection breaks
 * during COMMIT the outcome is unknown, and appending the same envelopes again gives the same indexes or new ones,
 * never two.
 */
export function openSequenceStore(database: Database, options: SequenceStoreOptions = {}): SequenceStore {
  return {
    withHead: async (work) => {
      const result = await asLedger(runWithHead(database, options, work));
      // If the machine stops here, the entries are sequenced and durable though nobody was told: a repetition finds
      // them by envelope digest, and the projections are derived again on start.
      faultPoint('ledger.commit', 'after');
      return result;
    },
    readHead: () => asLedger(database.askAsLog(headStatement).then(parseHead)),
    readEntries: (start, end) =>
      asLedger(
        database
          .askAsLog({
            name: 'log-entries',
            text: `SELECT ${evidenceColumns}, leaf FROM weighbridge.log_entry
              WHERE log_index >= $1 AND log_index < $2 ORDER BY log_index`,
            values: [start, end],
          })
          .then((rows) => mapInSlices(rows, parseSequencedRow)),
      ),
  };
}

/**
 * Three round trips: head, what exists, and everything written together with COMMIT. Writes are not awaited one by one;
 * when one fails, PostgreSQL answers COMMIT with a rollback, and the failure of the write is what the caller gets.
 */
async function runWithHead<T>(
  database: Database,
  options: SequenceStoreOptions,
  work: (head: StoredHead | undefined, transaction: SequenceTransaction) => Promise<T>,
): Promise<T> {
  const failures: unknown[] = [];
  const write = (written: Promise<unknown>): void => {
    written.catch((failure: unknown) => failures.push(failure));
  };
  try {
    return await database.asLog(async (session) => {
      // The head is read by a statement of its own after the lock, so that it sees what the last holder committed.
      write(
        session.query({
          name: 'log-lock',
          text: 'SELECT pg_advisory_xact_lock($1)',
          values: [sequencerLock],
        }),
      );
      const head = await readHead(session);
      const done = await work(head, transactionOf(session, options, write));
      // If the machine stops here, PostgreSQL rolls back: no index was given, nobody was answered.
      faultPoint('ledger.commit', 'before');
      return done;
    });
  } catch (error) {
    throw failures[0] ?? error;
  }
}

function transactionOf(
  session: Session,
  options: SequenceStoreOptions,
  write: (written: Promise<unknown>) => void,
): SequenceTransaction {
  return {
    existing: async (digests) => {
      const rows = await session.query({
        name: 'log-existing',
        text: `SELECT ${evidenceColumns}, leaf FROM weighbridge.log_entry
          WHERE envelope_digest = ANY ($1) ORDER BY log_index`,
        values: [digests.map(digestBytes)],
      });
      return rows.map(parseSequencedRow);
    },
    insert: async (entries) => {
      write(session.query(entryInsert(entries)));
      // Both take tens of milliseconds for a repository of ten thousand files: others have their turn in between.
      if (entries.length >= manyEntries) await turn();
      write(session.query(subjectInsert(entries)));
      const jobs = options.jobsFor?.(entries) ?? [];
      if (jobs.length > 0) write(enqueueIn(session, jobs));
    },
    writeHead: async (head) => write(session.query(headWrite(head))),
  };
}

function headWrite(head: StoredHead) {
  return {
    name: 'log-write-head',
    text: `WITH written AS (
        INSERT INTO weighbridge.log_head (size, root_hash, checkpoint, signed_at_ms, frontier)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (only_row) DO UPDATE SET size = excluded.size, root_hash = excluded.root_hash,
          checkpoint = excluded.checkpoint, signed_at_ms = excluded.signed_at_ms, frontier = excluded.frontier
        RETURNING size)
      SELECT pg_notify($6, size::text) FROM written`,
    values: [
      head.size,
      head.rootHash,
      head.checkpoint,
      head.signedAtMs,
      Buffer.concat(head.frontier),
      headChannel,
    ],
  };
}

const headStatement = {
  name: 'log-head',
  text: 'SELECT size, root_hash, checkpoint, signed_at_ms, frontier FROM weighbridge.log_head',
} as const;

async function readHead(session: Session): Promise<StoredHead | undefined> {
  return parseHead(await session.query(headStatement));
}

function parseHead(rows: readonly Row[]): StoredHead | undefined {
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    size: wholeOf(row, 'size'),
    rootHash: textOf(row, 'root_hash'),
    checkpoint: textOf(row, 'checkpoint'),
    signedAtMs: wholeOf(row, 'signed_at_ms'),
    frontier: splitBytes(bytesOf(row, 'frontier'), 32),
  };
}

/** All entries in one statement whose text never changes: byte strings are joined and cut again by the server. */
function entryInsert(entries: readonly SequencedEntry[]) {
  const envelopes = joinBytes(entries.map(({ envelopeBytes }) => envelopeBytes));
  const leaves = joinBytes(entries.map(({ leaf }) => leaf));
  return {
    name: 'log-insert',
    text: `INSERT INTO weighbridge.log_entry (log_index, namespace, leaf, envelope_digest, predicate_type, envelope)
      SELECT log_index, namespace, substr($1::bytea, leaf_at, leaf_bytes), envelope_digest, predicate_type,
        substr($2::bytea, envelope_at, envelope_bytes)
      FROM unnest($3::bigint[], $4::text[], $5::int[], $6::int[], $7::bytea[], $8::text[], $9::int[], $10::int[])
        AS entry (log_index, namespace, leaf_at, leaf_bytes, envelope_digest, predicate_type, envelope_at, envelope_bytes)`,
    values: [
      leaves.joined,
      envelopes.joined,
      entries.map(({ logIndex }) => logIndex),
      entries.map(({ namespace }) => namespace),
      leaves.offsets,
      leaves.lengths,
      entries.map(({ envelopeDigest }) => digestBytes(envelopeDigest)),
      entries.map(({ statement }) => statement.predicateType),
      envelopes.offsets,
      envelopes.lengths,
    ],
  };
}

function subjectInsert(entries: readonly SequencedEntry[]) {
  const rows = entries.flatMap(({ namespace, logIndex, statement }) =>
    [...new Set(statement.subject.map(({ digest }) => digest.sha256))].map((sha256) => ({
      namespace,
      logIndex,
      sha256,
    })),
  );
  return {
    name: 'log-insert-subjects',
    text: `INSERT INTO weighbridge.log_subject (namespace, subject, log_index)
      SELECT namespace, subject, log_index FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS row (namespace, subject, log_index)`,
    values: [
      rows.map(({ namespace }) => namespace),
      rows.map(({ sha256 }) => Buffer.from(sha256, 'hex')),
      rows.map(({ logIndex }) => logIndex),
    ],
  };
}

/** The ledger's own Fault for a database that does not answer; anything else stays what it is. */
export async function asLedger<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'database.unavailable') throw error;
    throw new Fault('ledger.unavailable', error.message, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      details: error.details,
      cause: error,
    });
  }
}
