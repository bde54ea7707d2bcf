import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import { databaseFault } from './database.ts';
import type { Database } from './database.ts';

/** Held until it is released or the process ends. */
export interface Lease {
  release(): Promise<void>;
}

/** Who does something that must be done once among all replicas on one database. */
export interface Leases {
  /** Undefined where somebody else holds it. Fault `database.unavailable`. */
  acquire(name: string): Promise<Lease | undefined>;
  close(): Promise<void>;
}

/**
 * Session-level advisory locks (PostgreSQL manual §13.3.5) on one connection of their own: the server gives them up when the
 * process dies. Where the connection breaks while a lease is held, another replica may take it; what is done under a lease
 * must bear that. One process asks for a name once at a time.
 */
export function openLeases(database: Pick<Database, 'connect'>): Leases {
  let connecting: Promise<Client> | undefined;
  let closed = false;
  const forget = (): void => {
    connecting = undefined;
  };
  const connect = async (): Promise<Client> => {
    const client = await database.connect();
    client.on('error', forget);
    client.on('end', forget);
    return client;
  };
  const connection = (): Promise<Client> => {
    connecting ??= connect().catch((error: unknown) => {
      forget();
      throw error;
    });
    return connecting;
  };
  return {
    acquire: async (name) => {
      const client = await connection();
      const key = lockKey(name);
      const { rows } = await client
        .query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [key])
        .catch((error: unknown) => {
          throw databaseFault(error);
        });
      if (rows[0]?.held !== true) return undefined;
      return {
        release: async () => {
          if (closed) return;
          await client.query('SELECT pg_advisory_unlock($1)', [key]).catch(() => {});
        },
      };
    },
    close: async () => {
      closed = true;
      const client = await connecting?.catch(() => undefined);
      await client?.end().catch(() => {});
    },
  };
}

/** 64 bits of SHA-256 as the signed number that PostgreSQL takes. */
function lockKey(name: string): string {
  return createHash('sha256').update(`weighbridge lease\0${name}`).digest().readBigInt64BE().toString();
}
