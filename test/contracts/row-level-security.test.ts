import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { type Client, DatabaseError } from 'pg';
import { asSuperuser, startTestPostgres, type TestDatabase, type TestPostgres } from '../support/postgres.ts';

/** Tables that name no namespace: the application may only read them, and nothing in them is a tenant's. */
const publicTables = ['log_head', 'schema_migration'];

const digest = (fill: number) => Buffer.alloc(32, fill);
const commit = 'c'.repeat(40);

/** One row per table, made for a namespace. A table without a row here fails the walk. */
const samples: Readonly<Record<string, (namespace: string, number: number) => Record<string, unknown>>> = {
  blob_link: (namespace) => ({ namespace, digest: digest(1), size_bytes: 5 }),
  decision: (namespace, number) => ({
    namespace,
    question_digest: digest(2),
    log_index: number,
    artifact: digest(3),
    verdict: 'deny',
    envelope_digest: digest(4),
    decision: Buffer.from('{}'),
  }),
  intake: (namespace) => ({
    namespace,
    intake_id: '00000000-0000-4000-8000-000000000001',
    state: 'waiting',
    source: 's',
    repository_type: 'models',
    repository: 'r',
    reference: 'main',
    environment: 'production',
  }),
  job: (namespace) => ({ namespace, queue: 'q', job_key: 'k', payload: '{}', run_at_ms: 1, max_attempts: 1 }),
  log_entry: (namespace, number) => ({
    namespace,
    log_index: number,
    leaf: Buffer.alloc(65),
    envelope_digest: digest(5),
    predicate_type: 'p',
    envelope: Buffer.from('{}'),
  }),
  log_subject: (namespace, number) => ({ namespace, subject: digest(6), log_index: number }),
  namespace: (namespace) => ({ namespace, default_environment: 'production' }),
  origin: (namespace) => ({ namespace, repository_type: 'models', name_key: 'r', repository: 'R' }),
  origin_commit: (namespace) => ({
    namespace,
    repository_type: 'models',
    name_key: 'r',
    commit_id: commit,
    reference: 'main',
    source_uri: 'u',
  }),
  person: (namespace) => ({ namespace, person: 'p', claim: 'c', display_name: 'n' }),
  reference: (namespace) => ({
    namespace,
    repository_type: 'models',
    repository: 'r',
    name: 'main',
    commit_id: commit,
    checked_at_ms: 1,
  }),
  repository_setting: (namespace) => ({ namespace, repository_type: 'models', repository: 'r', tier: 'low' }),
  snapshot: (namespace) => ({
    namespace,
    repository_type: 'models',
    repository: 'r',
    commit_id: commit,
    artifact: digest(7),
    provisional: false,
    files: '[]',
  }),
  token: (namespace) => ({ namespace, token_digest: digest(8), name: 'n', role: 'client' }),
  upload_file: (namespace) => ({
    namespace,
    intake_id: '00000000-0000-4000-8000-000000000001',
    path: 'p',
    digest: digest(9),
    size_bytes: 1,
  }),
};

interface Table {
  readonly name: string;
  readonly namespaced: boolean;
  readonly privileges: ReadonlySet<string>;
  readonly writable: readonly string[];
}

let server: TestPostgres;
before(async () => {
  server = await startTestPostgres();
});
after(() => server.close());

async function readTables(client: Client): Promise<readonly Table[]> {
  const { rows } = await client.query<{
    name: string;
    namespaced: boolean;
    privileges: string[];
    writable: string[];
  }>(`
    SELECT c.relname AS name,
      EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'namespace' AND NOT a.attisdropped) AS namespaced,
      ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p
        WHERE has_table_privilege('weighbridge_app', c.oid, p)) AS privileges,
      ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND has_column_privilege('weighbridge_app', c.oid, a.attnum, 'UPDATE')) AS writable
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'weighbridge' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname`);
  return rows.map((row) => ({ ...row, privileges: new Set(row.privileges) }));
}

/** What the catalog of PostgreSQL itself says against a table. */
async function auditSchema(client: Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ complaint: string }>(
    `
    WITH tables AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'weighbridge' AND c.relkind IN ('r', 'p', 'v', 'm', 'f'))
    SELECT relname || ': row-level security is not forced' AS complaint FROM tables
      WHERE relname <> 'schema_migration' AND NOT (relkind IN ('r', 'p') AND relrowsecurity AND relforcerowsecurity)
    UNION ALL
    SELECT relname || ': has no namespace' FROM tables WHERE relname <> ALL ($1) AND NOT EXISTS
      (SELECT FROM pg_attribute a WHERE a.attrelid = tables.oid AND a.attname = 'namespace' AND a.attnotnull)
    UNION ALL
    SELECT relname || ': the application may write a public table' FROM tables WHERE relname = ANY ($1)
      AND (has_any_column_privilege('weighbridge_app', oid, 'INSERT, UPDATE') OR has_table_privilege('weighbridge_app', oid, 'DELETE, TRUNCATE'))
    UNION ALL
    SELECT relname || ': belongs to a role that works' FROM tables
      WHERE pg_get_userbyid(relowner) IN ('weighbridge_app', 'weighbridge_log')
    UNION ALL
    SELECT relname || ': unique key ' || i.indexrelid::regclass || ' does not start with the namespace'
      FROM tables JOIN pg_index i ON i.indrelid = tables.oid
      WHERE i.indisunique AND has_any_column_privilege('weighbridge_app', tables.oid, 'INSERT')
        AND (SELECT attname FROM pg_attribute a WHERE a.attrelid = tables.oid AND a.attnum = i.indkey[0]) IS DISTINCT FROM 'namespace'
    UNION ALL
    SELECT relname || ': a role that nobody expects may ' || g.privilege_type FROM tables, aclexplode(relacl) AS g
      WHERE g.grantee = 0
    UNION ALL
    SELECT p.proname || ': runs with the rights of its owner' FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname = 'weighbridge' AND p.prosecdef`,
    [publicTables],
  );
  return rows.map(({ complaint }) => complaint);
}

async function insert(client: Client, table: string, row: Record<string, unknown>): Promise<void> {
  const columns = Object.keys(row);
  await client.query(
    `INSERT INTO weighbridge.${table} (${columns.join(', ')}) VALUES (${columns.map((_, index) => `$${index + 1}`).join(', ')})`,
    Object.values(row),
  );
}

/** SQLSTATE of a statement that must fail inside a transaction; `done` when it did not. */
async function refusal(client: Client, work: () => Promise<unknown>): Promise<string> {
  await client.query('SAVEPOINT attempt');
  try {
    await work();
    return 'done';
  } catch (error) {
    if (error instanceof DatabaseError && error.code !== undefined) return error.code;
    throw error;
  } finally {
    await client.query('ROLLBACK TO SAVEPOINT attempt');
  }
}

/** What the application role gets wrong on a table that holds one row each of `left` and `right`. Rolled back. */
async function attack(client: Client, table: Table): Promise<readonly string[]> {
  const complaints: string[] = [];
  const complain = (text: string) => complaints.push(`${table.name}: ${text}`);
  const count = async (sql: string) => {
    await client.query('SAVEPOINT counting');
    const { rowCount } = await client.query(sql);
    await client.query('ROLLBACK TO SAVEPOINT counting');
    return rowCount ?? 0;
  };
  const name = `weighbridge.${table.name}`;
  const column = table.writable[0];
  const statements = [
    `SELECT namespace FROM ${name}`,
    ...(column === undefined ? [] : [`UPDATE ${name} SET ${column} = ${column}`]),
    ...(table.privileges.has('DELETE') ? [`DELETE FROM ${name}`] : []),
  ];
  await client.query('BEGIN');
  for (const [setting, own] of [
    [undefined, 0],
    ['', 0],
    ['nobody', 0],
    ['LEFT', 0],
    ['left', 1],
    ['right', 1],
  ] as const) {
    if (setting !== undefined)
      await client.query(`SELECT set_config('weighbridge.namespace', $1, true)`, [setting]);
    for (const statement of statements) {
      const rows = await count(statement);
      if (rows !== own)
        complain(`as \`${setting ?? 'unset'}\`, ${statement.split(' ')[0] ?? ''} meets ${rows} rows`);
    }
  }
  await client.query(`SELECT set_config('weighbridge.namespace', 'left', true)`);
  const { rows } = await client.query<{ namespace: string }>(`SELECT namespace FROM ${name}`);
  if (rows.some(({ namespace }) => namespace !== 'left')) complain('shows a row of another namespace');
  const row = samples[table.name]?.('right', 99);
  if (row !== undefined) {
    // 42501 = insufficient_privilege, which row-level security also answers with: never 23505, which would tell that
    // the other namespace holds the row.
    const state = await refusal(client, () => insert(client, table.name, row));
    if (state !== '42501') complain(`inserting for another namespace answers ${state}`);
    const moved = await refusal(client, () => client.query(`UPDATE ${name} SET namespace = 'right'`));
    if (moved !== '42501') complain(`moving a row to another namespace answers ${moved}`);
  }
  await client.query('ROLLBACK');
  return complaints;
}

/** Inserts both rows as whoever may, then attacks every namespaced table. */
async function walk(made: TestDatabase): Promise<readonly string[]> {
  const tables = await asSuperuser(made.superuser, async (client) => {
    const found = (await readTables(client)).filter(({ namespaced }) => namespaced);
    for (const table of found) {
      const sample = samples[table.name];
      if (sample === undefined) continue;
      await client.query('SET ROLE weighbridge_log');
      const allowed = await client.query<{ yes: boolean }>(
        `SELECT has_table_privilege('weighbridge.${table.name}', 'INSERT') AS yes`,
      );
      if (allowed.rows[0]?.yes !== true) await client.query('RESET ROLE');
      await insert(client, table.name, sample('left', 0));
      await insert(client, table.name, sample('right', 1));
      await client.query('RESET ROLE');
    }
    return found;
  });
  const unknown = tables
    .filter(({ name }) => samples[name] === undefined)
    .map(({ name }) => `${name}: has no sample row`);
  const broken = await asSuperuser(made.endpoints.application, async (client) => {
    const complaints: string[] = [];
    for (const table of tables) complaints.push(...(await attack(client, table)));
    return complaints;
  });
  return [...unknown, ...broken];
}

test('every table of the schema is confined to its namespace', async () => {
  const made = await server.makeDatabase();
  await asSuperuser(made.superuser, async (client) => {
    assert.deepEqual(await auditSchema(client), []);
    const tables = await readTables(client);
    assert.deepEqual(
      tables.map(({ name }) => name).filter((name) => !publicTables.includes(name)),
      Object.keys(samples).sort(),
    );
  });
  assert.deepEqual(await walk(made), []);
  await made.close();
});

test('control: a table without row-level security is found by the audit and by the attack', async () => {
  const made = await server.makeDatabase();
  await asSuperuser(made.endpoints.owner ?? assert.fail(), (client) =>
    client.query(`
      CREATE TABLE weighbridge.forgotten (namespace text NOT NULL, secret text UNIQUE);
      CREATE TABLE weighbridge.homeless (secret text);
      CREATE VIEW weighbridge.window AS SELECT * FROM weighbridge.person;
      CREATE FUNCTION weighbridge.lift() RETURNS int LANGUAGE sql SECURITY DEFINER RETURN 1;
      GRANT SELECT, INSERT, UPDATE ON weighbridge.forgotten, weighbridge.homeless TO weighbridge_app;
      GRANT SELECT ON weighbridge.window TO weighbridge_app;
      INSERT INTO weighbridge.forgotten VALUES ('left', 'a'), ('right', 'b');
      ALTER TABLE weighbridge.token NO FORCE ROW LEVEL SECURITY;
      ALTER TABLE weighbridge.person DISABLE ROW LEVEL SECURITY;
      DROP POLICY own_namespace ON weighbridge.snapshot;
      CREATE POLICY too_wide ON weighbridge.snapshot TO weighbridge_app USING (true) WITH CHECK (true);
      GRANT INSERT ON weighbridge.log_head TO weighbridge_app;
      GRANT SELECT ON weighbridge.job TO PUBLIC`),
  );
  const audit = await asSuperuser(made.superuser, auditSchema);
  for (const expected of [
    'forgotten: row-level security is not forced',
    'forgotten: unique key weighbridge.forgotten_secret_key does not start with the namespace',
    'homeless: has no namespace',
    'homeless: row-level security is not forced',
    'window: row-level security is not forced',
    'lift: runs with the rights of its owner',
    'token: row-level security is not forced',
    'log_head: the application may write a public table',
    'job: a role that nobody expects may SELECT',
  ]) {
    assert.ok(audit.includes(expected), `${expected}\nnot in\n${audit.join('\n')}`);
  }
  const found = await walk(made);
  assert.ok(found.includes('forgotten: has no sample row'));
  for (const table of ['forgotten', 'person', 'snapshot']) {
    assert.ok(found.includes(`${table}: as \`unset\`, SELECT meets 2 rows`), `${table}\n${found.join('\n')}`);
  }
  assert.ok(found.includes('snapshot: inserting for another namespace answers 23505'), found.join('\n'));
  await made.close();
});

test('shared history is read by every namespace that names itself, and by no transaction that does not', async () => {
  const made = await server.makeDatabase();
  await asSuperuser(made.superuser, async (client) => {
    const row = samples['log_entry']?.('system', 0) ?? assert.fail();
    await insert(client, 'log_entry', row);
  });
  await asSuperuser(made.endpoints.application, async (client) => {
    const seen = async () => (await client.query('SELECT FROM weighbridge.log_entry')).rowCount;
    assert.equal(await seen(), 0);
    await client.query(`BEGIN; SET LOCAL weighbridge.namespace = 'left'`);
    assert.equal(await seen(), 1);
    await client.query('COMMIT');
    assert.equal(await seen(), 0, 'after SET LOCAL the setting is an empty text, not null');
  });
  await made.close();
});

test('history is append-only for every role that works', async () => {
  const made = await server.makeDatabase();
  await walk(made);
  for (const role of ['weighbridge_app', 'weighbridge_log', 'weighbridge_owner', 'postgres']) {
    await asSuperuser(made.superuser, async (client) => {
      await client.query(`BEGIN; SET LOCAL ROLE ${role}`);
      for (const table of ['log_entry', 'log_subject']) {
        for (const statement of [
          `UPDATE weighbridge.${table} SET log_index = log_index + 10`,
          `DELETE FROM weighbridge.${table}`,
          `TRUNCATE weighbridge.${table}`,
        ]) {
          const state = await refusal(client, () => client.query(statement));
          assert.match(state, /^(42501|23001)$/, `${role}: ${statement} answers ${state}`);
        }
      }
      await client.query('ROLLBACK');
    });
  }
  await made.close();
});

test('the head of the log never shrinks and never changes at the same size', async () => {
  const made = await server.makeDatabase();
  await asSuperuser(made.superuser, async (client) => {
    await client.query(`SET ROLE weighbridge_log`);
    await client.query(
      `INSERT INTO weighbridge.log_head (size, root_hash, checkpoint, signed_at_ms, frontier) VALUES (5, 'five', 'c', 1, '')`,
    );
    await client.query('BEGIN');
    const write = (assignment: string) =>
      refusal(client, () => client.query(`UPDATE weighbridge.log_head SET ${assignment}`));
    assert.equal(await write(`size = 4, root_hash = 'four'`), '23001');
    assert.equal(await write(`root_hash = 'other'`), '23001');
    assert.equal(await write(`size = 6, root_hash = 'six'`), 'done');
    assert.equal(await refusal(client, () => client.query('DELETE FROM weighbridge.log_head')), '42501');
    await client.query('ROLLBACK');
  });
  await made.close();
});
