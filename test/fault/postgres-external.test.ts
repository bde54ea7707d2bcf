import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '#adapters/postgres/database.ts';
import { chooseLaunch } from '#adapters/postgres/embedded-user.ts';
import { externalEndpoints } from '#adapters/postgres/endpoint.ts';
import { checkApplicationRole, migrate, type Migration, readMigrations } from '#adapters/postgres/migrate.ts';
import { openExternalPostgres } from '#adapters/postgres/open.ts';
import { roleStatements } from '#adapters/postgres/roles.ts';
import { openSequenceStore } from '#adapters/postgres/sequence-store.ts';
import { Fault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { sequenceStoreContract } from '../contracts/sequence-store.contract.ts';
import { missing } from '../support/foreign.ts';
import { asSuperuser, databasesOf, startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const programs = '/usr/lib/postgresql/15/bin';
const debian = existsSync(join(programs, 'postgres'));
const isFault =
  (code: string, text = '') =>
  (error: unknown) =>
    error instanceof Fault && error.code === code && error.message.includes(text);

/** The distribution's PostgreSQL 15 with password logins, as an organisation would run it; no TCP. */
async function startDebian(): Promise<TestPostgres> {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-pg15-'));
  chmodSync(directory, 0o700);
  const [file, ...args] = [
    ...chooseLaunch().command,
    join(programs, 'initdb'),
    '-D',
    join(directory, 'data'),
  ];
  execFileSync(file, [...args, '-U', 'postgres', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'], {
    stdio: 'pipe',
    cwd: '/',
  });
  const settings = [
    `unix_socket_directories=${directory}`,
    'listen_addresses=',
    'shared_buffers=16MB',
    'max_connections=60',
  ];
  const [server, ...words] = [
    ...chooseLaunch().command,
    join(programs, 'postgres'),
    '-D',
    join(directory, 'data'),
  ];
  const child = spawn(server, [...words, ...settings.flatMap((setting) => ['-c', setting])], {
    stdio: 'ignore',
    cwd: '/',
  });
  const config = { host: directory, port: 5432 };
  for (let tries = 0; ; tries += 1) {
    try {
      await asSuperuser({ ...config, user: 'postgres', database: 'postgres' }, async (client) => {
        for (const statement of roleStatements) await client.query(statement);
      });
      break;
    } catch (error) {
      if (tries > 500) throw error;
      await sleep(20);
    }
  }
  return {
    ...databasesOf(config),
    close: async () => {
      child.kill('SIGINT');
      if (child.exitCode === null) await once(child, 'exit');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

let embedded: TestPostgres;
let external: TestPostgres | undefined;
before(async () => {
  embedded = await startTestPostgres();
  if (debian) external = await startDebian();
});
after(async () => {
  await embedded.close();
  await external?.close();
});

if (debian) {
  sequenceStoreContract('postgres 15', async () => {
    const made = (await external?.makeDatabase()) ?? assert.fail();
    const replica = openDatabase(made.endpoints);
    return {
      store: openSequenceStore(made.database),
      other: openSequenceStore(replica),
      namespaces: ['default', 'team-a'],
      close: async () => {
        await made.close();
        await replica.close();
      },
    };
  });
}

test(
  'an external PostgreSQL 15: replicas start at once, from URLs',
  { skip: missing('postgresql-15', debian) },
  async () => {
    const { endpoints } = (await external?.makeEmpty()) ?? assert.fail();
    const url = (user: string) =>
      new Redacted(
        `postgres://${user}@/${endpoints.application.database}?host=${encodeURIComponent(endpoints.application.host ?? '')}`,
      );
    const fromUrls = externalEndpoints({
      application: url('weighbridge_app'),
      owner: url('weighbridge_owner'),
    });
    const replicas = await Promise.all(Array.from({ length: 4 }, () => openExternalPostgres(fromUrls)));
    for (const replica of replicas) {
      const rows = await replica.database.ask('team-a', { text: 'SELECT current_user AS name' });
      assert.deepEqual(rows, [{ name: 'weighbridge_app' }]);
      const log = await replica.database.askAsLog({ text: 'SELECT current_user AS name' });
      assert.deepEqual(log, [{ name: 'weighbridge_log' }]);
    }
    const without = await openExternalPostgres(externalEndpoints({ application: url('weighbridge_app') }));
    for (const one of [...replicas, without]) await one.close();
  },
);

test('a URL that is none is refused without showing it', () => {
  const url = new Redacted('mysql://user:secret@host/db');
  assert.throws(
    () => externalEndpoints({ application: url }),
    (error) => isFault('config.invalid')(error) && !JSON.stringify(error).includes('secret'),
  );
});

test('a role that row-level security would not confine is refused', async () => {
  const { endpoints, superuser } = await embedded.makeDatabase();
  await checkApplicationRole(endpoints.application);
  await assert.rejects(checkApplicationRole(superuser), isFault('config.invalid', 'superuser'));
  await assert.rejects(
    checkApplicationRole(endpoints.owner ?? assert.fail()),
    isFault('config.invalid', 'owns'),
  );
  const plant = (sql: string) => asSuperuser(superuser, (client) => client.query(sql));
  for (const [sql, undo, reason] of [
    [
      'GRANT weighbridge_log TO weighbridge_app WITH INHERIT TRUE',
      'GRANT weighbridge_log TO weighbridge_app WITH INHERIT FALSE',
      'inherits',
    ],
    [
      'REVOKE weighbridge_log FROM weighbridge_app',
      'GRANT weighbridge_log TO weighbridge_app',
      'may not take',
    ],
    ['ALTER ROLE weighbridge_app BYPASSRLS', 'ALTER ROLE weighbridge_app NOBYPASSRLS', 'bypasses'],
    [
      'GRANT weighbridge_owner TO weighbridge_app WITH INHERIT TRUE',
      'REVOKE weighbridge_owner FROM weighbridge_app',
      'owns',
    ],
  ] as const) {
    await plant(sql);
    await assert.rejects(
      checkApplicationRole(endpoints.application),
      isFault('config.invalid', reason),
      reason,
    );
    await plant(undo);
    await checkApplicationRole(endpoints.application);
  }
  await plant('CREATE ROLE somebody LOGIN; GRANT USAGE ON SCHEMA weighbridge TO somebody');
  await assert.rejects(
    checkApplicationRole({ ...endpoints.application, user: 'somebody' }),
    isFault('config.invalid', 'weighbridge_app'),
  );
});

test('a server that is not there, a database that is not there, a server without the roles', async () => {
  const { endpoints, superuser } = await embedded.makeEmpty();
  await assert.rejects(migrate({ ...superuser, host: '/nonexistent' }), isFault('database.unavailable'));
  await assert.rejects(migrate({ ...superuser, database: 'nowhere' }), isFault('database.unavailable'));
  await assert.rejects(
    checkApplicationRole(endpoints.application),
    isFault('database.schema', 'has not been applied'),
  );
});

test('migrations: once each, together, in order, and never over another history', async () => {
  const { endpoints, superuser } = await embedded.makeEmpty();
  const owner = endpoints.owner ?? assert.fail();
  const shipped = readMigrations();
  const answers = await Promise.all(Array.from({ length: 6 }, () => migrate(owner)));
  assert.deepEqual(
    answers.filter((applied) => applied.length > 0),
    [shipped.map(({ name }) => name)],
  );

  const next: Migration = { name: '9998-next', checksum: 'a', sql: 'CREATE TABLE weighbridge.next (x int)' };
  const broken: Migration = {
    name: '9999-broken',
    checksum: 'b',
    sql: 'CREATE TABLE weighbridge.half (x int); SELECT 1 / 0',
  };
  await assert.rejects(migrate(owner, [...shipped, next, broken]), isFault('database.schema', '9999-broken'));
  await asSuperuser(superuser, async (client) => {
    const { rows } = await client.query(
      `SELECT to_regclass('weighbridge.next')::text AS next, to_regclass('weighbridge.half')::text AS half`,
    );
    assert.deepEqual(rows, [{ next: 'weighbridge.next', half: null }]);
  });
  await assert.rejects(
    migrate(owner),
    isFault('database.schema', '9998-next'),
    'a newer version has been here',
  );
  await assert.rejects(checkApplicationRole(endpoints.application), isFault('database.schema', '9998-next'));
  await assert.rejects(
    migrate(owner, [...shipped, { ...next, checksum: 'c' }]),
    isFault('database.schema', 'other contents'),
  );
  await assert.rejects(
    checkApplicationRole(endpoints.application, [...shipped, next, broken]),
    isFault('database.schema', '9999-broken'),
  );
  await checkApplicationRole(endpoints.application, [...shipped, next]);
});
