import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientConfig } from 'pg';
import { openDatabase, type Database } from '#adapters/postgres/database.ts';
import { openEmbedded } from '#adapters/postgres/embedded.ts';
import type { Endpoints } from '#adapters/postgres/endpoint.ts';
import { migrate } from '#adapters/postgres/migrate.ts';

/** A migrated database of its own, as another replica would also reach it with `openDatabase(endpoints)`. */
export interface TestDatabase {
  readonly endpoints: Endpoints;
  readonly superuser: ClientConfig;
  readonly database: Database;
  close(): Promise<void>;
}

export interface TestPostgres {
  /** A new, empty, migrated database on the server. */
  makeDatabase(): Promise<TestDatabase>;
  /** A new database without schema. */
  makeEmpty(): Promise<{ readonly endpoints: Endpoints; readonly superuser: ClientConfig }>;
  close(): Promise<void>;
}

/** An embedded PostgreSQL in a temporary directory, removed by `close`. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-pg-'));
  const server = await openEmbedded({ directory: join(directory, 'postgres') });
  const databases = databasesOf(server.endpoints.application);
  return {
    ...databases,
    close: async () => {
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Databases on any server where `weighbridge_app`, `weighbridge_owner` and the superuser `postgres` may connect. */
export function databasesOf(server: ClientConfig): Omit<TestPostgres, 'close'> {
  let made = 0;
  const makeEmpty = async () => {
    made += 1;
    const name = `test_${process.pid}_${made}`;
    await asSuperuser({ ...server, user: 'postgres', database: 'postgres' }, (client) =>
      client.query(`CREATE DATABASE ${name} OWNER weighbridge_owner`),
    );
    const endpoints = {
      application: { ...server, user: 'weighbridge_app', database: name },
      owner: { ...server, user: 'weighbridge_owner', database: name },
    };
    return { endpoints, superuser: { ...server, user: 'postgres', database: name } };
  };
  return {
    makeEmpty,
    makeDatabase: async () => {
      const { endpoints, superuser } = await makeEmpty();
      await migrate(endpoints.owner);
      const database = openDatabase(endpoints, { connections: 6 });
      return { endpoints, superuser, database, close: () => database.close() };
    },
  };
}

/** One connection for the length of `work`. */
export async function asSuperuser<T>(config: ClientConfig, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(config);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
