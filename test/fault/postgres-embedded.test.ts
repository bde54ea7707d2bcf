import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { locateBinaries } from '#adapters/postgres/embedded-binaries.ts';
import { chooseLaunch } from '#adapters/postgres/embedded-user.ts';
import { type EmbeddedPostgres, openEmbedded } from '#adapters/postgres/embedded.ts';
import { openDatabase } from '#adapters/postgres/database.ts';
import { openEmbeddedPostgres } from '#adapters/postgres/open.ts';
import { Fault } from '#lib/fault.ts';

const isFault = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;
const root = process.getuid?.() === 0;

async function makeDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-pg-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function ask(server: EmbeddedPostgres, sql: string): Promise<readonly unknown[]> {
  const client = new Client({ ...server.endpoints.owner, database: 'postgres', user: 'postgres' });
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>({ text: sql });
  await client.end();
  return rows.flatMap((row) => Object.values(row));
}

const postmaster = (directory: string) =>
  Number(readFileSync(join(directory, 'cluster/postmaster.pid'), 'utf8').split('\n')[0]);

function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 2_000, 'waited 20 s in vain');
    await sleep(10);
  }
}

function startProgram(data: string, task: string): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, 'postgres-program.ts'), data, task], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function opened(child: ChildProcess): Promise<void> {
  for await (const chunk of child.stdout ?? []) if (String(chunk).includes('open')) return;
  assert.fail('the program ended before it was open');
}

test('the private server: durable, checked pages, no network, own directory', async (t) => {
  const home = join(await makeDirectory(t), 'home');
  mkdirSync(home, { mode: 0o700 });
  const directory = join(home, 'postgres');
  const server = await openEmbedded({ directory });
  const settings = [
    'fsync',
    'full_page_writes',
    'synchronous_commit',
    'data_checksums',
    'listen_addresses',
    'server_encoding',
    'lc_collate',
  ];
  const shown = await ask(
    server,
    `SELECT ARRAY[${settings.map((name) => (name === 'lc_collate' ? `(SELECT datcollate FROM pg_database LIMIT 1)` : `current_setting('${name}')`)).join(', ')}]`,
  );
  assert.deepEqual(shown, [['on', 'on', 'on', 'on', '', 'UTF8', 'C']]);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.equal(statSync(join(directory, 'socket')).mode & 0o777, 0o700);
  const tcp = readFileSync('/proc/net/tcp', 'utf8') + readFileSync('/proc/net/tcp6', 'utf8');
  assert.doesNotMatch(tcp, /:1538 [0-9A-F:]+ 0A/, 'nothing listens on port 5432');
  if (root) assert.equal(statSync(join(directory, 'cluster')).uid, 0, 'files keep their owner');
  await server.close();
  await server.close();
  assert.ok(!existsSync(join(directory, 'socket')));
  assert.ok(!existsSync(join(directory, 'owner')));
});

test('a data path that is too long for a socket gets one elsewhere, which is cleared away', async (t) => {
  const directory = join(await makeDirectory(t), 'long'.repeat(30), 'postgres');
  const server = await openEmbedded({ directory });
  const far = readFileSync(join(directory, 'socket-directory'), 'utf8');
  assert.equal(statSync(far).mode & 0o777, 0o700);
  assert.deepEqual(await ask(server, 'SELECT 1 AS one'), [1]);
  await server.close();
  assert.ok(!existsSync(far));
  // A record that points elsewhere is not obeyed.
  const precious = join(dirname(directory), 'weighbridge-precious');
  mkdirSync(precious);
  writeFileSync(join(directory, 'socket-directory'), precious);
  const again = await openEmbedded({ directory });
  await again.close();
  assert.ok(existsSync(precious));
});

test('a directory belongs to one live process; the claim of a dead one is replaced', async (t) => {
  const data = await makeDirectory(t);
  const directory = join(data, 'postgres');
  const child = startProgram(data, 'wait');
  await opened(child);
  await assert.rejects(openEmbedded({ directory }), isFault('directory.in-use'));
  child.kill('SIGKILL');
  await until(() => child.signalCode !== null);
  const server = await openEmbedded({ directory });
  await assert.rejects(openEmbedded({ directory }), isFault('directory.in-use'), 'also within one process');
  await server.close();
  // The pid of a living process with another start time is not the owner.
  writeFileSync(join(directory, 'owner'), `${process.ppid} 1`);
  await (await openEmbedded({ directory })).close();
});

test('PostgreSQL dies with its parent, and what was committed is there at the next start', async (t) => {
  const data = await makeDirectory(t);
  const child = startProgram(data, 'wait');
  await opened(child);
  const pid = postmaster(join(data, 'postgres'));
  child.kill('SIGKILL');
  await until(() => !isRunning(pid));
  const again = await openEmbeddedPostgres(data);
  assert.deepEqual(
    await again.database.askAsLog({ text: 'SELECT count(*)::int AS n FROM weighbridge.log_head' }),
    [{ n: 0 }],
  );
  await again.close();
});

test('an orphan that outlived its server is stopped; a stranger with its pid is not', async (t) => {
  const directory = join(await makeDirectory(t), 'postgres');
  const first = await openEmbedded({ directory });
  await ask(first, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.close();
  const cluster = join(directory, 'cluster');
  const binaries = locateBinaries(join(directory, 'lib'));
  // As it would be left where `setpriv` is absent: no signal at the death of the parent.
  const command = chooseLaunch().command.filter((_, index, all) => !isSetpriv(all, index));
  const [file, ...args] = [
    ...command,
    binaries.postgres,
    '-D',
    cluster,
    '-c',
    'listen_addresses=',
    '-c',
    `unix_socket_directories=${directory}`,
  ];
  const orphan = spawn(file, args, {
    cwd: '/',
    detached: true,
    stdio: 'ignore',
    env: { LD_LIBRARY_PATH: binaries.libraryPath },
  });
  await until(() => existsSync(join(directory, '.s.PGSQL.5432')));
  const pid = postmaster(directory);
  const second = await openEmbedded({ directory });
  assert.ok(!isRunning(pid));
  assert.ok(orphan.exitCode !== null || orphan.signalCode !== null);
  assert.deepEqual(await ask(second, 'SELECT answer FROM kept'), [42]);
  await second.close();

  const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.after(() => stranger.kill());
  writeFileSync(
    join(cluster, 'postmaster.pid'),
    `${stranger.pid ?? ''}\n${cluster}\n1\n5432\n${directory}\n\n1 2\nready\n`,
    { mode: 0o600 },
  );
  const third = await openEmbedded({ directory });
  assert.ok(isRunning(stranger.pid ?? 0));
  assert.deepEqual(await ask(third, 'SELECT answer FROM kept'), [42]);
  await third.close();
});

function isSetpriv(command: readonly string[], index: number): boolean {
  const start = command.findIndex((word) => word.endsWith('/setpriv'));
  return start >= 0 && index >= start;
}

test('a first start that was cut short leaves nothing that looks complete', async (t) => {
  const data = await makeDirectory(t);
  const directory = join(data, 'postgres');
  const partials = () =>
    existsSync(directory) ? readdirSync(directory).filter((name) => name.startsWith('cluster.partial')) : [];
  const child = startProgram(data, 'wait');
  await until(() => partials().some((name) => existsSync(join(directory, name, 'base'))));
  child.kill('SIGKILL');
  await until(() => child.signalCode !== null);
  assert.ok(!existsSync(join(directory, 'cluster')));
  const server = await openEmbedded({ directory });
  assert.deepEqual(await ask(server, 'SELECT 1 AS one'), [1]);
  assert.deepEqual(partials(), []);
  await server.close();
});

test('a server that dies says so, calls get a Fault, and the next start recovers', async (t) => {
  const directory = join(await makeDirectory(t), 'postgres');
  const server = await openEmbedded({ directory });
  await ask(server, 'CREATE TABLE kept AS SELECT 7 AS answer');
  const database = openDatabase(server.endpoints);
  await database.askAsLog({ text: 'SELECT 1' });
  process.kill(postmaster(directory), 'SIGKILL');
  assert.equal(await server.exited, 'signal SIGKILL');
  await assert.rejects(database.askAsLog({ text: 'SELECT 1' }), isFault('database.unavailable'));
  await database.close();
  await server.close();
  const again = await openEmbedded({ directory });
  assert.deepEqual(await ask(again, 'SELECT answer FROM kept'), [7]);
  await again.close();
});

test('a broken cluster is a Fault with the words of PostgreSQL, and the directory is free again', async (t) => {
  const directory = join(await makeDirectory(t), 'postgres');
  await (await openEmbedded({ directory })).close();
  writeFileSync(join(directory, 'cluster/global/pg_control'), Buffer.alloc(8192));
  for (let tries = 0; tries < 2; tries += 1) {
    await assert.rejects(openEmbedded({ directory }), (error) => {
      assert.ok(isFault('database.unavailable')(error));
      assert.match(JSON.stringify(error), /PG_CONTROL_VERSION/);
      return true;
    });
  }
});

test(
  'where user namespaces are forbidden root takes another uid, also below a 0700 directory',
  { skip: root ? false : 'needs root' },
  async (t) => {
    for (const mode of [0o755, 0o700]) {
      const home = join(await makeDirectory(t), 'home');
      chmodSync(dirname(home), mode);
      mkdirSync(home, { mode });
      const directory = join(home, 'postgres');
      const server = await openEmbedded({ directory, launch: 'other-user' });
      await ask(server, 'CREATE TABLE kept AS SELECT 9 AS answer');
      const status = readFileSync(`/proc/${postmaster(directory)}/status`, 'utf8');
      assert.match(status, /^Uid:\t27080\t27080\t27080/m);
      assert.doesNotMatch(status, /^Groups:\t0/m);
      await server.close();
      // And back, as when the machine was configured otherwise.
      const back = await openEmbedded({ directory });
      assert.deepEqual(await ask(back, 'SELECT answer FROM kept'), [9]);
      await back.close();
      assert.equal(statSync(join(directory, 'cluster/base')).uid, 0);
    }
  },
);

test('nothing is left in the temporary directory', () => {
  const left = readdirSync(tmpdir()).filter(
    (name) => name.startsWith('weighbridge-') && existsSync(join(tmpdir(), name, '.s.PGSQL.5432.lock')),
  );
  for (const name of left) {
    const [pid = ''] = readFileSync(join(tmpdir(), name, '.s.PGSQL.5432.lock'), 'utf8').split('\n');
    assert.ok(isRunning(Number(pid)), `${name} was left behind`);
  }
});
