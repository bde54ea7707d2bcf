import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Client, type ClientConfig } from 'pg';
import { Fault, isErrno } from '#lib/fault.ts';
import { copyBinaries, locateBinaries, type PostgresBinaries } from './embedded-binaries.ts';
import { claimDirectory, releaseDirectory, stopOrphan, until } from './embedded-owner.ts';
import {
  canEnter,
  chooseLaunch,
  giveTop,
  giveTree,
  type Launch,
  launchForInitdb,
  refusedRoot,
  runs,
  withCapability,
} from './embedded-user.ts';
import type { Endpoints } from './endpoint.ts';
import { roleStatements } from './roles.ts';

/** A private PostgreSQL that lives as long as this process. */
export interface EmbeddedPostgres {
  readonly endpoints: Endpoints;
  /** Resolves with the reason when the server ends without `close`: nothing can be written any more. */
  readonly exited: Promise<string>;
  /** Fast shutdown: sessions end, a checkpoint is written, the directory is free for the next start. */
  close(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Absolute; made with mode 0700. Holds `cluster/` (the data), `lib/`, `postgres.log` and what else is private. */
  readonly directory: string;
  /** Only for tests: the launch that root takes where user namespaces are forbidden. */
  readonly launch?: Launch['kind'];
}

/** `.s.PGSQL.5432` and the final NUL must fit into sun_path (108 bytes, unix(7)). */
const socketDirectoryBytes = 107 - '/.s.PGSQL.5432'.length;

interface Installation {
  readonly directory: string;
  readonly cluster: string;
  readonly binaries: PostgresBinaries;
  readonly launch: Launch;
}

/**
 * Starts PostgreSQL on a Unix socket in a directory of mode 0700: no TCP, no password, durable writes, page checksums.
 * The first start makes the cluster beside its final name and renames it, so that a machine that stops half-way leaves
 * nothing that looks complete. What an earlier process left behind (socket, lock, a server without parent) is cleared.
 * Faults: `directory.in-use`, `platform.unsupported`, `database.unavailable` with the end of the server's own log.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { directory } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  claimDirectory(directory);
  try {
    const installation = install(directory, options.launch);
    await stopOrphan(installation.cluster);
    if (!existsSync(installation.cluster)) await makeCluster(installation);
    return await startServer(installation);
  } catch (error) {
    releaseDirectory(directory);
    throw error;
  }
}

function install(directory: string, wanted: Launch['kind'] | undefined): Installation {
  const cluster = join(directory, 'cluster');
  const linkDirectory = join(directory, 'lib');
  let launch = chooseLaunch(wanted);
  let binaries = locateBinaries(linkDirectory);
  if (launch.kind === 'other-user' && !canEnter(directory)) launch = withCapability(launch);
  giveTree(cluster, launch.uid);
  giveTree(directory, launch.uid);
  if (!canRun(launch, binaries)) binaries = copyBinaries(join(directory, 'runtime'), linkDirectory);
  if (!canRun(launch, binaries)) {
    throw new Fault('platform.unsupported', 'the programs of the embedded PostgreSQL do not run here', {
      hint: 'they need glibc; set `database` to the URL of a PostgreSQL of at least version 15',
    });
  }
  return { directory, cluster, binaries, launch };
}

function canRun(launch: Launch, binaries: PostgresBinaries): boolean {
  return runs(launch.command, [binaries.postgres, '--version'], binaries.libraryPath);
}

async function makeCluster(installation: Installation): Promise<void> {
  const { directory, cluster, binaries } = installation;
  // A name of its own: an initdb whose parent was killed may still be clearing its directory away.
  const partial = `${cluster}.partial-${randomUUID()}`;
  removePartials(directory);
  const maker = launchForInitdb(installation.launch);
  giveTop(directory, maker.uid);
  const log = openLog(installation);
  try {
    const options = [
      '--username=postgres',
      '--auth=trust',
      '--encoding=UTF8',
      '--locale=C',
      '--data-checksums',
    ];
    const program = [binaries.initdb, '--pgdata', partial, '--no-instructions', ...options];
    const reason = await exitOf(launch({ ...installation, launch: maker }, program, log));
    if (reason !== 'exit 0') throw failure(installation, `initdb ended with ${reason}`);
  } finally {
    closeSync(log);
  }
  giveTree(partial, installation.launch.uid);
  giveTop(directory, installation.launch.uid);
  // initdb has synced every file. If the machine stops before the rename, the next start begins again; after it, the
  // cluster is whole.
  renameSync(partial, cluster);
  syncDirectory(directory);
}

/** What cut-short first starts left; what somebody is still changing is left for the next start. */
function removePartials(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!name.startsWith('cluster.partial-')) continue;
    try {
      rmSync(join(directory, name), { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    } catch (error) {
      if (!isErrno(error)) throw error;
    }
  }
}

async function startServer(installation: Installation): Promise<EmbeddedPostgres> {
  const { directory, cluster, binaries } = installation;
  const socket = openSocketDirectory(installation);
  const log = openLog(installation);
  const child = launch(installation, [binaries.postgres, '-D', cluster, ...settings(socket)], log);
  closeSync(log);
  let ended: string | undefined;
  const exited = exitOf(child).then((reason) => (ended = reason));
  const server = { host: socket, port: 5432 };
  // The listener "ready" stands in line 8 of postmaster.pid, as pg_ctl reads it; before that recovery is running.
  const ready = await until(() => ended !== undefined || isReady(cluster, child.pid), 120_000);
  if (!ready || ended !== undefined) {
    child.kill('SIGQUIT');
    throw failure(installation, `PostgreSQL did not start (${ended ?? 'no answer in 120 s'})`);
  }
  await prepareDatabase(server);
  child.unref();
  let closing: Promise<void> | undefined;
  return {
    endpoints: {
      application: { ...server, user: 'weighbridge_app', database: 'weighbridge' },
      owner: { ...server, user: 'weighbridge_owner', database: 'weighbridge' },
    },
    exited: exited.then((reason) => (closing === undefined ? reason : new Promise<string>(() => {}))),
    close: () => (closing ??= stopServer(child, exited, directory)),
  };
}

async function stopServer(child: ChildProcess, exited: Promise<string>, directory: string): Promise<void> {
  child.ref();
  child.kill('SIGINT');
  const impatience = setTimeout(() => child.kill('SIGQUIT'), 30_000);
  await exited;
  clearTimeout(impatience);
  removeSocketDirectory(directory);
  releaseDirectory(directory);
}

/** Small memory, durable writes, no background work that a private server does not need. */
function settings(socketDirectory: string): readonly string[] {
  const values = {
    listen_addresses: '',
    unix_socket_directories: socketDirectory,
    unix_socket_permissions: '0700',
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    shared_buffers: '32MB',
    max_connections: '48',
    max_wal_size: '512MB',
    wal_level: 'minimal',
    max_wal_senders: '0',
    max_worker_processes: '0',
    max_logical_replication_workers: '0',
    max_parallel_workers: '0',
    max_parallel_workers_per_gather: '0',
    autovacuum_max_workers: '1',
    dynamic_shared_memory_type: 'mmap',
    huge_pages: 'off',
    io_method: 'sync',
    jit: 'off',
    timezone: 'UTC',
    lc_messages: 'C',
    log_min_messages: 'warning',
    log_line_prefix: '%m [%p] ',
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** Roles and database, made once by the superuser of the private server; nobody connects as that one afterwards. */
async function prepareDatabase(server: ClientConfig): Promise<void> {
  const client = new Client({ ...server, user: 'postgres', database: 'postgres' });
  await client.connect();
  try {
    const found = await client.query(`SELECT FROM pg_database WHERE datname = 'weighbridge'`);
    if (found.rowCount === 1) return;
    // The database is made last: if the machine stops before it, the next start runs the same statements again.
    for (const statement of roleStatements) await client.query(statement);
    await client.query('CREATE DATABASE weighbridge OWNER weighbridge_owner');
  } finally {
    await client.end();
  }
}

/** Its own session, so that Ctrl-C at a terminal reaches only us and the server stops after the drain. */
function launch(installation: Installation, program: readonly string[], log: number): ChildProcess {
  const [file, ...args] = [...installation.launch.command, ...program];
  if (file === undefined) throw refusedRoot();
  const child = spawn(file, args, {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: {
      PATH: '/usr/bin:/bin',
      LC_ALL: 'C',
      TZ: 'UTC',
      LD_LIBRARY_PATH: installation.binaries.libraryPath,
    },
  });
  return child;
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code === null ? `signal ${signal ?? ''}` : `exit ${code}`));
  });
}

function isReady(cluster: string, pid: number | undefined): boolean {
  const path = join(cluster, 'postmaster.pid');
  if (!existsSync(path)) return false;
  const lines = readFileSync(path, 'utf8').split('\n');
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
}

function openSocketDirectory({ directory, launch }: Installation): string {
  removeSocketDirectory(directory);
  const near = join(directory, 'socket');
  if (Buffer.byteLength(near) <= socketDirectoryBytes) {
    mkdirSync(near, { mode: 0o700 });
    giveTree(near, launch.uid);
    return near;
  }
  const far = mkdtempSync(join(tmpdir(), 'weighbridge-'));
  writeFileSync(join(directory, 'socket-directory'), far);
  giveTree(far, launch.uid);
  return far;
}

/** Also what a killed process left: the far directory is removed only if it has our name and lies where we make them. */
function removeSocketDirectory(directory: string): void {
  rmSync(join(directory, 'socket'), { recursive: true, force: true });
  const record = join(directory, 'socket-directory');
  if (!existsSync(record)) return;
  const far = readFileSync(record, 'utf8');
  if (dirname(far) === tmpdir() && /^weighbridge-\w+$/.test(basename(far)))
    rmSync(far, { recursive: true, force: true });
  rmSync(record);
}

const logBytes = 8 * 1024 * 1024;

function openLog({ directory }: Installation): number {
  const path = join(directory, 'postgres.log');
  if (existsSync(path) && statSync(path).size > logBytes) renameSync(path, `${path}.1`);
  return openSync(path, 'a', 0o600);
}

function failure({ directory }: Installation, message: string): Fault {
  const log = readFileSync(join(directory, 'postgres.log'), 'utf8');
  return new Fault('database.unavailable', message, {
    hint: `read \`${join(directory, 'postgres.log')}\``,
    details: { log: log.slice(-2_000) },
  });
}

function syncDirectory(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
