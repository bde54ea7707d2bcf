import type { Database, Session } from './database.ts';
import { jobChannel } from './notifications.ts';
import { type Row, textOf, textOrNull, wholeOf, wholeOrNull, wordOf } from './rows.ts';

/** Work to be done at least once. */
export interface NewJob {
  readonly namespace: string;
  readonly queue: string;
  /** Two open jobs of a queue never have the same key: enqueueing the second is a no-op. */
  readonly key: string;
  /** JSON. */
  readonly payload: unknown;
  /** Milliseconds, UTC; at once by default. */
  readonly runAtMs?: number;
  /** 8 by default; after that many failures or lost leases the job is dead. */
  readonly maxAttempts?: number;
}

export interface Job {
  readonly id: string;
  readonly namespace: string;
  readonly queue: string;
  readonly key: string;
  readonly payload: unknown;
  /** Counted from 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
}

/** A claimed job. Only the holder of the lease can finish it. */
export interface ClaimedJob extends Job {
  readonly lease: string;
}

export type JobState = 'waiting' | 'running' | 'done' | 'dead';

export interface JobRecord extends Job {
  readonly state: JobState;
  readonly runAtMs: number;
  readonly lastError: string | null;
  readonly finishedAtMs: number | null;
}

/**
 * A queue on `FOR UPDATE SKIP LOCKED`. At least once: a worker that dies loses its lease and the job runs again.
 * Times come from the database's clock, so that replicas agree. Faults: `database.unavailable`, `request.invalid`.
 */
export interface Jobs {
  enqueue(jobs: readonly NewJob[]): Promise<void>;
  /** Up to `count` ready jobs of these queues, oldest first, each under a lease of `leaseMs`. */
  claim(wanted: {
    readonly queues: readonly string[];
    readonly count: number;
    readonly leaseMs: number;
  }): Promise<readonly ClaimedJob[]>;
  /** Extends the lease; false when it was lost, and then the work must stop. */
  heartbeat(job: ClaimedJob, leaseMs: number): Promise<boolean>;
  /** False when the lease was lost: somebody else runs the job or has finished it. */
  complete(job: ClaimedJob): Promise<boolean>;
  /** Runs again after `retryInMs` (exponential by default), or is dead when the attempts are used up. */
  fail(job: ClaimedJob, reason: string, retryInMs?: number): Promise<JobState | 'lost'>;
  /** Jobs of a namespace in a state, newest first. */
  list(namespace: string, state: JobState, limit: number): Promise<readonly JobRecord[]>;
  /** The job of this key that was enqueued last. */
  newest(namespace: string, queue: string, key: string): Promise<JobRecord | undefined>;
  /** A dead job gets its attempts back. False where it is not dead. */
  revive(namespace: string, id: string): Promise<boolean>;
  /** Jobs per queue and state over all namespaces, for metrics. */
  count(): Promise<readonly { readonly queue: string; readonly state: JobState; readonly jobs: number }[]>;
  /** Forgets finished jobs older than this. Dead ones stay until revived or this old. */
  sweep(olderThanMs: number): Promise<number>;
}

const states = ['waiting', 'running', 'done', 'dead'] as const;
const defaultAttempts = 8;
/** 1 s, 2 s, 4 s … at most 5 minutes. */
const retryMs = { first: 1_000, most: 300_000 } as const;
const errorCharacters = 2_000;

const jobColumns = 'job_id, namespace, queue, job_key, payload, attempts, max_attempts, lease';

export function openJobs(database: Database): Jobs {
  return {
    enqueue: (jobs) => enqueueAll(database, jobs),
    claim: (wanted) => claim(database, wanted),
    heartbeat: async (job, leaseMs) =>
      held(
        database,
        job,
        `UPDATE weighbridge.job SET lease_until_ms = weighbridge.now_ms() + $4
         WHERE namespace = $1 AND job_id = $2 AND lease = $3 AND state = 'running' RETURNING state`,
        [leaseMs],
      ).then((rows) => rows.length === 1),
    complete: async (job) =>
      held(
        database,
        job,
        `UPDATE weighbridge.job SET state = 'done', lease = NULL, lease_until_ms = NULL, last_error = NULL,
           finished_at_ms = weighbridge.now_ms()
         WHERE namespace = $1 AND job_id = $2 AND lease = $3 AND state = 'running' RETURNING state`,
      ).then((rows) => rows.length === 1),
    fail: (job, reason, retryInMs) => fail(database, job, reason, retryInMs),
    list: async (namespace, state, limit) => {
      const rows = await database.ask(namespace, {
        text: `SELECT ${jobColumns}, state, run_at_ms, last_error, finished_at_ms FROM weighbridge.job
          WHERE state = $1 ORDER BY created_at_ms DESC, job_id LIMIT $2`,
        values: [state, limit],
      });
      return rows.map(parseRecord);
    },
    newest: async (namespace, queue, key) => {
      const [row] = await database.ask(namespace, {
        text: `SELECT ${jobColumns}, state, run_at_ms, last_error, finished_at_ms FROM weighbridge.job
          WHERE queue = $1 AND job_key = $2 ORDER BY created_at_ms DESC, state IN ('waiting', 'running') DESC, job_id LIMIT 1`,
        values: [queue, key],
      });
      return row === undefined ? undefined : parseRecord(row);
    },
    revive: async (namespace, id) => {
      const rows = await database.askAsLog({
        text: `UPDATE weighbridge.job AS job SET state = 'waiting', attempts = 0, run_at_ms = weighbridge.now_ms(), finished_at_ms = NULL
          WHERE namespace = $1 AND job_id = $2 AND state = 'dead' AND NOT EXISTS (SELECT FROM weighbridge.job other
            WHERE other.namespace = job.namespace AND other.queue = job.queue AND other.job_key = job.job_key
              AND other.state IN ('waiting', 'running'))
          RETURNING pg_notify('${jobChannel}', queue)`,
        values: [namespace, id],
      });
      return rows.length === 1;
    },
    count: async () => {
      const rows = await database.askAsLog({
        text: 'SELECT queue, state, count(*) AS jobs FROM weighbridge.job GROUP BY queue, state ORDER BY queue, state',
      });
      return rows.map((row) => ({
        queue: textOf(row, 'queue'),
        state: wordOf(row, 'state', states),
        jobs: wholeOf(row, 'jobs'),
      }));
    },
    sweep: async (olderThanMs) => {
      const rows = await database.askAsLog({
        text: `DELETE FROM weighbridge.job WHERE state IN ('done', 'dead')
          AND finished_at_ms < weighbridge.now_ms() - $1::bigint RETURNING job_id`,
        values: [olderThanMs],
      });
      return rows.length;
    },
  };
}

/** Enqueues inside a transaction that somebody else commits. Workers are woken by its COMMIT. */
export async function enqueueIn(session: Session, jobs: readonly NewJob[]): Promise<void> {
  await session.query({
    name: 'job-enqueue',
    text: `WITH added AS (
        INSERT INTO weighbridge.job (namespace, queue, job_key, payload, run_at_ms, max_attempts)
        SELECT namespace, queue, job_key, payload, coalesce(run_at_ms, weighbridge.now_ms()), max_attempts
        FROM unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::bigint[], $6::int[])
          AS row (namespace, queue, job_key, payload, run_at_ms, max_attempts)
        ON CONFLICT (namespace, queue, job_key) WHERE state IN ('waiting', 'running') DO NOTHING
        RETURNING queue)
      SELECT pg_notify('${jobChannel}', queue) FROM (SELECT DISTINCT queue FROM added) AS woken`,
    values: [
      jobs.map((job) => job.namespace),
      jobs.map((job) => job.queue),
      jobs.map((job) => job.key),
      jobs.map((job) => JSON.stringify(job.payload)),
      jobs.map((job) => job.runAtMs ?? null),
      jobs.map((job) => job.maxAttempts ?? defaultAttempts),
    ],
  });
}

async function enqueueAll(database: Database, jobs: readonly NewJob[]): Promise<void> {
  const byNamespace = Map.groupBy(jobs, ({ namespace }) => namespace);
  for (const [namespace, own] of byNamespace) {
    await database.inNamespace(namespace, (session) => enqueueIn(session, own));
  }
}

async function claim(
  database: Database,
  wanted: { readonly queues: readonly string[]; readonly count: number; readonly leaseMs: number },
): Promise<readonly ClaimedJob[]> {
  return database.asLog(async (session) => {
    // Lost leases first: back to waiting, or dead when the lost attempt was the last.
    const [, rows] = await Promise.all([
      session.query({
        name: 'job-expire',
        text: `UPDATE weighbridge.job SET
            state = CASE WHEN attempts >= max_attempts THEN 'dead' ELSE 'waiting' END,
            finished_at_ms = CASE WHEN attempts >= max_attempts THEN weighbridge.now_ms() END,
            lease = NULL, lease_until_ms = NULL, last_error = 'the worker was lost'
          WHERE (namespace, job_id) IN (SELECT namespace, job_id FROM weighbridge.job
            WHERE state = 'running' AND lease_until_ms < weighbridge.now_ms() FOR UPDATE SKIP LOCKED)`,
      }),
      session.query({
        name: 'job-claim',
        text: `UPDATE weighbridge.job AS job SET state = 'running', attempts = attempts + 1, lease = gen_random_uuid(),
            lease_until_ms = weighbridge.now_ms() + $3
          FROM (SELECT namespace, job_id FROM weighbridge.job
            WHERE state = 'waiting' AND queue = ANY ($1) AND run_at_ms <= (SELECT weighbridge.now_ms())
            ORDER BY run_at_ms, created_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED) AS next
          WHERE job.namespace = next.namespace AND job.job_id = next.job_id
          RETURNING ${jobColumns
            .split(', ')
            .map((column) => `job.${column}`)
            .join(', ')}`,
        values: [wanted.queues, wanted.count, wanted.leaseMs],
      }),
    ]);
    return rows.map((row) => ({ ...parseJob(row), lease: textOf(row, 'lease') }));
  });
}

async function fail(
  database: Database,
  job: ClaimedJob,
  reason: string,
  retryInMs?: number,
): Promise<JobState | 'lost'> {
  const backoffMs = Math.min(retryMs.most, retryMs.first * 2 ** Math.min(job.attempt - 1, 20));
  const [row] = await held(
    database,
    job,
    `UPDATE weighbridge.job SET
       state = CASE WHEN attempts >= max_attempts THEN 'dead' ELSE 'waiting' END,
       finished_at_ms = CASE WHEN attempts >= max_attempts THEN weighbridge.now_ms() END,
       run_at_ms = weighbridge.now_ms() + $4, lease = NULL, lease_until_ms = NULL, last_error = $5
     WHERE namespace = $1 AND job_id = $2 AND lease = $3 AND state = 'running' RETURNING state`,
    [retryInMs ?? backoffMs, reason.replaceAll('\0', '').slice(0, errorCharacters)],
  );
  return row === undefined ? 'lost' : wordOf(row, 'state', states);
}

function held(
  database: Database,
  job: ClaimedJob,
  text: string,
  values: readonly unknown[] = [],
): Promise<readonly Row[]> {
  return database.askAsLog({ text, values: [job.namespace, job.id, job.lease, ...values] });
}

function parseJob(row: Row): Job {
  return {
    id: textOf(row, 'job_id'),
    namespace: textOf(row, 'namespace'),
    queue: textOf(row, 'queue'),
    key: textOf(row, 'job_key'),
    payload: row['payload'],
    attempt: wholeOf(row, 'attempts'),
    maxAttempts: wholeOf(row, 'max_attempts'),
  };
}

function parseRecord(row: Row): JobRecord {
  return {
    ...parseJob(row),
    state: wordOf(row, 'state', states),
    runAtMs: wholeOf(row, 'run_at_ms'),
    lastError: textOrNull(row, 'last_error'),
    finishedAtMs: wholeOrNull(row, 'finished_at_ms'),
  };
}
