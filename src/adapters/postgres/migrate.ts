import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { Client, type ClientConfig } from 'pg';
import { Fault } from '#lib/fault.ts';
import { databaseFault } from './database.ts';
import { type Row, textOf, wholeOf } from './rows.ts';

export interface Migration {
  readonly name: string;
  readonly checksum: string;
  readonly sql: string;
}

const folder = new URL('./migrations/', import.meta.url);

/** The migrations that this version ships, in the order of their numbers. */
export function readMigrations(directory: URL = folder): readonly Migration[] {
  return readdirSync(directory)
    .filter((name) => /^\d{4}-[a-z0-9-]+\.sql$/.test(name))
    .sort()
    .map((name) => {
      const sql = readFileSync(new URL(name, directory), 'utf8');
      return {
        name: name.slice(0, -'.sql'.length),
        checksum: createHash('sha256').update(sql).digest('hex'),
        sql,
      };
    });
}

const bookkeeping = `
  CREATE SCHEMA IF NOT EXISTS weighbridge;
  GRANT USAGE ON SCHEMA weighbridge TO weighbridge_app, weighbridge_log;
  CREATE TABLE IF NOT EXISTS weighbridge.schema_migration (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
  GRANT SELECT ON weighbridge.schema_migration TO weighbridge_app`;

/** A number of our own for pg_advisory_lock: replicas that start together migrate one after the other. */
const migrationLock = 7_208_141;

/**
 * Brings the schema to this version as the owner role; returns the names of what was applied. Each migration is one
 * transaction together with its row in `schema_migration`: if the machine stops, it is applied completely or not at
 * all. A changed checksum or a name that this version does not know is Fault `database.schema`: a newer version has
 * been here, and going on could corrupt what it wrote.
 */
export async function migrate(
  owner: ClientConfig,
  migrations: readonly Migration[] = readMigrations(),
): Promise<readonly string[]> {
  const client = new Client({
    ...owner,
    application_name: 'weighbridge migrations',
    connectionTimeoutMillis: 5_000,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    await refuseOldServer(client);
    await refuseMissingRoles(client);
    await client.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    await client.query(bookkeeping);
    const applied = await readApplied(client);
    refuseOtherHistory(applied, migrations);
    const open = migrations.slice(applied.length);
    for (const migration of open) await apply(client, migration);
    return open.map(({ name }) => name);
  } catch (error) {
    throw databaseFault(error);
  } finally {
    // Ending the session also releases the advisory lock.
    await client.end().catch(() => {});
  }
}

async function apply(client: Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(migration.sql);
    await client.query('INSERT INTO weighbridge.schema_migration (name, checksum) VALUES ($1, $2)', [
      migration.name,
      migration.checksum,
    ]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw new Fault(
      'database.schema',
      `migration \`${migration.name}\` failed: ${databaseFault(error).message}`,
      { cause: error },
    );
  }
}

interface Applied {
  readonly name: string;
  readonly checksum: string;
}

const appliedQuery = 'SELECT name, checksum FROM weighbridge.schema_migration ORDER BY name COLLATE "C"';

async function readApplied(client: Client): Promise<readonly Applied[]> {
  const { rows } = await client.query<Row>(appliedQuery);
  return rows.map((row) => ({ name: textOf(row, 'name'), checksum: textOf(row, 'checksum') }));
}

function refuseOtherHistory(applied: readonly Applied[], migrations: readonly Migration[]): void {
  applied.forEach(({ name, checksum }, index) => {
    const known = migrations[index];
    if (known?.name !== name) {
      throw new Fault(
        'database.schema',
        `the database has migration \`${name}\`, which this version does not know`,
        {
          hint: 'a newer version has migrated this database: run that version or restore a back-up',
        },
      );
    }
    if (known.checksum !== checksum) {
      throw new Fault('database.schema', `migration \`${name}\` was applied with other contents`, {
        hint: 'an applied migration never changes: run the version that applied it',
      });
    }
  });
}

/**
 * What must hold before the application role works: server, settings, schema, and that row-level security really
 * confines this role. Faults `database.schema` and `config.invalid`.
 */
export async function checkApplicationRole(
  application: ClientConfig,
  migrations: readonly Migration[] = readMigrations(),
): Promise<void> {
  const client = new Client({
    ...application,
    application_name: 'weighbridge start',
    connectionTimeoutMillis: 5_000,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    await refuseOldServer(client);
    await refuseStrongRole(client);
    const { rows } = await client.query<Row>(
      `SELECT to_regclass('weighbridge.schema_migration') IS NOT NULL AS present`,
    );
    const applied = rows[0]?.['present'] === true ? await readApplied(client) : [];
    refuseOtherHistory(applied, migrations);
    const open = migrations[applied.length];
    if (open === undefined) return;
    throw new Fault('database.schema', `migration \`${open.name}\` has not been applied`, {
      hint: 'set `database-owner` once, so that the server can migrate',
    });
  } catch (error) {
    throw databaseFault(error);
  } finally {
    await client.end().catch(() => {});
  }
}

const roleHint = 'docs/reference/database.md shows the statements that make the roles';

async function refuseStrongRole(client: Client): Promise<void> {
  const { rows } = await client.query<Row>(`
    SELECT current_user AS name, rolsuper OR rolbypassrls AS strong,
      EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'weighbridge' AND pg_has_role(c.relowner, 'USAGE')) AS owns,
      pg_has_role('weighbridge_log', 'USAGE') AS sees_all,
      pg_has_role('weighbridge_log', 'MEMBER') AS may_log,
      pg_has_role('weighbridge_app', 'USAGE') AS is_application,
      current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS durable
    FROM pg_roles WHERE rolname = current_user`);
  const [row] = rows;
  const name = row === undefined ? 'unknown' : textOf(row, 'name');
  const refuse = (reason: string) => {
    throw new Fault('config.invalid', `database role \`${name}\` ${reason}`, { hint: roleHint });
  };
  if (row?.['strong'] !== false) refuse('is a superuser or bypasses row-level security');
  if (row?.['owns'] !== false) refuse('owns tables of the schema');
  if (row?.['is_application'] !== true) refuse('is not `weighbridge_app`');
  if (row?.['sees_all'] !== false) refuse('inherits `weighbridge_log` and would see every namespace');
  if (row?.['may_log'] !== true) refuse('may not take the role `weighbridge_log`');
  if (row?.['durable'] !== true) {
    throw new Fault('config.invalid', 'the database server runs with `fsync` or `full_page_writes` off', {
      hint: 'the ledger promises durability: switch both on',
    });
  }
}

async function refuseMissingRoles(client: Client): Promise<void> {
  const { rows } = await client.query<Row>(
    `SELECT name FROM unnest(ARRAY['weighbridge_app', 'weighbridge_log']) AS name
     WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)`,
  );
  const [missing] = rows;
  if (missing === undefined) return;
  throw new Fault('config.invalid', `the database has no role \`${textOf(missing, 'name')}\``, {
    hint: roleHint,
  });
}

async function refuseOldServer(client: Client): Promise<void> {
  const { rows } = await client.query<Row>(`SELECT current_setting('server_version_num')::bigint AS version`);
  const [row] = rows;
  if (row !== undefined && wholeOf(row, 'version') >= 150_000) return;
  throw new Fault('config.invalid', 'the database server is older than PostgreSQL 15', {
    hint: 'use version 15 or newer',
  });
}
