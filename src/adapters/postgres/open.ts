import { join } from 'node:path';
import { type Database, type DatabaseOptions, openDatabase } from './database.ts';
import { openEmbedded } from './embedded.ts';
import type { Endpoints } from './endpoint.ts';
import { checkApplicationRole, migrate } from './migrate.ts';

export interface OpenPostgres {
  readonly database: Database;
  readonly endpoints: Endpoints;
  /** Only the embedded server: resolves with the reason when it ends by itself. The process must then stop. */
  readonly exited: Promise<string>;
  close(): Promise<void>;
}

/** The embedded PostgreSQL under `<data>/postgres`, migrated and checked. */
export async function openEmbeddedPostgres(
  dataDirectory: string,
  options: DatabaseOptions = {},
): Promise<OpenPostgres> {
  const server = await openEmbedded({ directory: join(dataDirectory, 'postgres') });
  try {
    const database = await openMigrated(server.endpoints, options);
    const close = async () => {
      await database.close();
      await server.close();
    };
    return { database, endpoints: server.endpoints, exited: server.exited, close };
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** The organisation's PostgreSQL: migrated where an owner endpoint is given, checked always. */
export async function openExternalPostgres(
  endpoints: Endpoints,
  options: DatabaseOptions = {},
): Promise<OpenPostgres> {
  const database = await openMigrated(endpoints, options);
  return { database, endpoints, exited: new Promise(() => {}), close: () => database.close() };
}

async function openMigrated(endpoints: Endpoints, options: DatabaseOptions): Promise<Database> {
  if (endpoints.owner !== undefined) await migrate(endpoints.owner);
  await checkApplicationRole(endpoints.application);
  return openDatabase(endpoints, options);
}
