import { Client, type ClientConfig, escapeLiteral, Pool, type PoolClient } from 'pg';
import { isNamespace } from '#evidence/statement.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import type { Endpoints } from './endpoint.ts';
import type { Row } from './rows.ts';

/** One SQL statement. With a `name` it is prepared once per connection. Buffers travel as binary bytea. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

export interface Session {
  query(statement: Statement): Promise<readonly Row[]>;
}

/**
 * The database as the application role uses it. Every call is one transaction; nothing about it outlives the
 * transaction, so connections may be pooled by anybody. Faults: `database.unavailable` (connection, timeout, lock:
 * may be tried again), `disk.full`.
 */
export interface Database {
  /** Sees and writes rows of this namespace only, by row-level security. */
  inNamespace<T>(namespace: string, work: (session: Session) => Promise<T>): Promise<T>;
  /** One statement in a transaction of its own, in one round trip. */
  ask(namespace: string, statement: Statement): Promise<readonly Row[]>;
  /** Sees every namespace: sequencer, projections, job workers, token lookup. */
  asLog<T>(work: (session: Session) => Promise<T>): Promise<T>;
  askAsLog(statement: Statement): Promise<readonly Row[]>;
  /** A connection of its own for LISTEN. The caller ends it. */
  connect(): Promise<Client>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** Connections for requests; the log role has eight of its own, so that requests cannot starve the ledger. */
  readonly connections?: number;
  readonly statementTimeoutMs?: number;
}

const logConnections = 8;

/** Opens the two pools. Nothing is connected until the first call. */
export function openDatabase(endpoints: Endpoints, options: DatabaseOptions = {}): Database {
  const session: ClientConfig = {
    ...endpoints.application,
    application_name: 'weighbridge',
    pipeline: true,
    connectionTimeoutMillis: 5_000,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    lock_timeout: 15_000,
    idle_in_transaction_session_timeout: 15_000,
    keepAlive: true,
  };
  const requests = openPool(session, options.connections ?? 16);
  const log = openPool(session, logConnections);
  return {
    inNamespace: (namespace, work) => transact(requests, confine(namespace), work),
    ask: (namespace, statement) => transactOnce(requests, confine(namespace), statement),
    asLog: (work) => transact(log, beginAsLog, work),
    askAsLog: (statement) => transactOnce(log, beginAsLog, statement),
    async connect() {
      const client = new Client({ ...session, pipeline: false, statement_timeout: 0 });
      // A connection that breaks before its owner listens must not end the process; `end` follows and is heard.
      client.on('error', () => {});
      await translate(client.connect());
      return client;
    },
    close: async () => {
      await Promise.all([requests.end(), log.end()]);
    },
  };
}

function openPool(session: ClientConfig, max: number): Pool {
  const pool = new Pool({ ...session, max, idleTimeoutMillis: 60_000, allowExitOnIdle: true });
  // An idle connection that breaks is dropped by the pool; the next call connects again or gets the Fault.
  pool.on('error', () => {});
  return pool;
}

const beginAsLog = 'BEGIN; SET LOCAL ROLE weighbridge_log; SET LOCAL synchronous_commit = on';

function confine(namespace: string): string {
  if (!isNamespace(namespace)) {
    throw new Fault('request.invalid', `\`${namespace.slice(0, 100)}\` is not a namespace`, {
      hint: 'a namespace is 1 to 63 lower-case letters, digits and inner hyphens',
    });
  }
  return `BEGIN; SET LOCAL weighbridge.namespace = ${escapeLiteral(namespace)}; SET LOCAL synchronous_commit = on`;
}

async function transact<T>(pool: Pool, begin: string, work: (session: Session) => Promise<T>): Promise<T> {
  const client = await translate(pool.connect());
  let broken: Error | undefined;
  const onError = (error: Error) => (broken = error);
  client.on('error', onError);
  try {
    // Written without waiting for the answer: the first query of `work` follows in the same packet. If BEGIN fails,
    // that query runs without a namespace and sees nothing, and the failure of BEGIN is what the caller gets.
    const begun = translate(client.query(begin));
    begun.catch(() => {});
    const result = await work({
      query: async (statement) => {
        const answer = run(client, statement);
        await Promise.all([begun, answer]);
        return answer;
      },
    });
    await begun;
    const end = await translate(client.query('COMMIT'));
    // COMMIT of a transaction that failed before answers ROLLBACK and is no error.
    if (end.command !== 'COMMIT') throw new Fault('database.unavailable', 'the transaction was rolled back');
    return result;
  } catch (error) {
    if (broken === undefined) await client.query('ROLLBACK').catch((failure: Error) => (broken = failure));
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

async function transactOnce(pool: Pool, begin: string, statement: Statement): Promise<readonly Row[]> {
  const client = await translate(pool.connect());
  let broken: Error | undefined;
  const onError = (error: Error) => (broken = error);
  client.on('error', onError);
  try {
    const answers = [
      translate(client.query(begin)),
      run(client, statement),
      translate(client.query('COMMIT')),
    ] as const;
    const [begun, rows, end] = await Promise.allSettled(answers);
    for (const answer of [begun, rows, end]) if (answer.status === 'rejected') throw answer.reason;
    if (rows.status !== 'fulfilled')
      throw new Fault('database.unavailable', 'the statement was not answered');
    return rows.value;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

async function run(client: PoolClient, { name, text, values }: Statement): Promise<readonly Row[]> {
  const result = await translate(
    client.query<Row>({
      text,
      ...(name === undefined ? {} : { name }),
      ...(values === undefined ? {} : { values: [...values] }),
    }),
  );
  return result.rows;
}

/** Driver errors as Faults. What is not a failure of the database but of our SQL keeps its message. */
async function translate<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw databaseFault(error);
  }
}

/** SQLSTATE classes that are the server's state, not our statement (PostgreSQL manual, appendix A). */
const unavailableStates = /^(08|53|57|58|40|55P03|25P03|28|3D)/;

export function databaseFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  const message = error instanceof Error ? error.message : String(error);
  // `EPIPE` has the shape of an SQLSTATE; what the system says of a connection carries its number.
  const state = isErrno(error) && error.errno === undefined ? (error.code ?? '') : '';
  if (state === '53100') return new Fault('disk.full', 'the disk of the database is full', { cause: error });
  if (unavailableStates.test(state) || !/^[0-9A-Z]{5}$/.test(state)) {
    return new Fault('database.unavailable', `the database does not answer: ${message}`, {
      hint: 'see the log of the database; the call may be tried again',
      details: { state },
      cause: error,
    });
  }
  return new Fault('internal.unexpected', `the database refused a statement: ${message}`, {
    details: { state },
    cause: error,
  });
}
