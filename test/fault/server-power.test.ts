import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import type { ClientConfig } from 'pg';
import { openKeysFile } from '#adapters/keys-file/keys-file.ts';
import { openSequenceStore } from '#adapters/postgres/sequence-store.ts';
import { openDatabase } from '#adapters/postgres/database.ts';
import { digestOfHex } from '#artifact/digest.ts';
import { makeLogIdentity, signCheckpoint } from '#evidence/log/checkpoint.ts';
import { checkLog } from '#evidence/log/fsck.ts';
import { openProjector } from '#evidence/log/project.ts';
import type { SequencedEntry } from '#evidence/log/sequence-store.ts';
import { edgeRoot, emptyEdge, frontierOf, growTiles } from '#evidence/log/tile.ts';
import { faultSites } from '#lib/fault-point.ts';
import { find, missing } from '../support/foreign.ts';
import { openLoopbackHub } from '../support/hub/hub.ts';
import type { LoopbackHub } from '../support/hub/hub.ts';
import { memoryBlobs } from '../support/memory-blobs.ts';
import { openMemoryLogFiles } from '../support/memory-log-files.ts';
import { openMemorySequenceStore } from '../support/memory-sequence-store.ts';
import { asSuperuser, startTestPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';
import {
  cleanEnvironment,
  removeFolder,
  root,
  runWeighbridge,
  startTestServer,
  testToken,
} from '../support/server.ts';
import { parseTrace, straceArguments } from './disk-trace.ts';
import type { DiskEvent } from './disk-trace.ts';
import { materialise, TracedDisk } from './server-disk.ts';
import type { Image } from './server-disk.ts';
import { drive, holdsEverything, nothingAcknowledged, serverPid, sha256 } from './server-driver.ts';
import type { Acknowledged, Driven } from './server-driver.ts';

// PostgreSQL stands outside the trace: what it has committed is durable by its own write-ahead log. What is traced and
// cut is everything that our process writes: keys, blobs, log, policies.
const nightly = process.env['WEIGHBRIDGE_NIGHTLY'] === '1';
const replayedInGate = 250;
const skip = missing(
  'strace',
  spawnSync(find('strace') ?? 'strace', ['-o', '/dev/null', 'true']).status === 0,
);

let postgres: TestPostgres;
let hub: LoopbackHub;
let folder: string;
/** One line per passing of a fault site in the run that was not cut short. */
let passedInWholeRun: readonly string[] = [];

before(async () => {
  if (skip !== false) return;
  folder = await realpath(await mkdtemp(join(tmpdir(), 'weighbridge-power-')));
  postgres = await startTestPostgres();
  hub = await openLoopbackHub();
});

after(async () => {
  if (skip !== false) return;
  await hub.close();
  await postgres.close();
  await removeFolder(folder);
});

const urlOf = ({ user, database, host }: ClientConfig): string =>
  `postgres://${user ?? ''}@localhost/${String(database)}?host=${encodeURIComponent(String(host))}`;

interface TracedServer extends Driven {
  readonly pid: number;
  readonly exit: Promise<unknown>;
}

interface Place {
  readonly top: string;
  readonly data: string;
  readonly trace: string;
  /** The passings of fault sites, written by the server itself and so part of its trace. */
  readonly passings: string;
  readonly flags: readonly string[];
  readonly superuser: ClientConfig;
}

async function makePlace(name: string): Promise<Place> {
  const { endpoints, superuser } = await postgres.makeEmpty();
  const top = join(folder, name);
  spawnSync('mkdir', [top]);
  return {
    top,
    data: join(top, 'data'),
    trace: join(folder, `${name}.trace`),
    passings: join(top, 'passings'),
    flags: ['--database', urlOf(endpoints.application), '--database-owner', urlOf(endpoints.owner ?? {})],
    superuser,
  };
}

async function startTraced(
  place: Place,
  environment: Readonly<Record<string, string>>,
): Promise<TracedServer> {
  const calls = straceArguments.map((word) => (word === '-y' ? '-yy' : word === '300' ? '4000000' : word));
  const listen = ['--listen', '127.0.0.1:0', '--console-listen', '127.0.0.1:0', '--log-level', 'error'];
  const upstream = ['--upstream', hub.url.href, '--reference-ttl', '0'];
  const flags = ['--data', place.data, ...listen, ...upstream, ...place.flags];
  const child = spawn(
    find('strace') ?? 'strace',
    [...calls, '-o', place.trace, process.execPath, join(root, 'bin', 'weighbridge'), 'serve', ...flags],
    {
      cwd: root,
      env: {
        ...cleanEnvironment(),
        WEIGHBRIDGE_ADMIN_TOKEN: testToken,
        WEIGHBRIDGE_FAULT_TRACE: place.passings,
        UV_USE_IO_URING: '0',
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  const exit = new Promise((resolve) => child.on('exit', resolve));
  const banner = new Promise<void>((resolve) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      if (output.includes('export HF_ENDPOINT=')) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
  });
  await Promise.race([banner, exit]);
  const clients = /export HF_ENDPOINT=(\S+)/.exec(output)?.[1];
  assert.ok(clients !== undefined, output);
  const people = /console\s+(http\S+?)\/console\//.exec(output)?.[1] ?? '';
  return { data: place.data, clients, console: people, pid: await serverPid(child.pid ?? 0), exit };
}

/** Entries by the transaction that committed them, as PostgreSQL numbers transactions. */
async function readCommits(place: Place): Promise<readonly (readonly SequencedEntry[])[]> {
  const rows = await asSuperuser(place.superuser, (client) =>
    client.query<{ xmin: string }>('SELECT xmin::text AS xmin FROM weighbridge.log_entry ORDER BY log_index'),
  );
  const application = { ...place.superuser, user: 'weighbridge_app' };
  const database = openDatabase({ application, owner: undefined });
  try {
    const entries = await openSequenceStore(database).readEntries(0, rows.rows.length);
    const commits: SequencedEntry[][] = [];
    for (const [at, { xmin }] of rows.rows.entries()) {
      const entry = entries[at];
      assert.ok(entry !== undefined);
      if (xmin === rows.rows[at - 1]?.xmin) commits.at(-1)?.push(entry);
      else commits.push([entry]);
    }
    return commits;
  } finally {
    await database.close();
  }
}

/** What a power failure would leave, with what had been promised by then. */
interface State {
  readonly name: string;
  readonly image: Image;
  readonly entries: readonly SequencedEntry[];
  /** SHA-256 of every file whose 200 had gone out. */
  readonly sent: readonly string[];
}

/** Every state after an event that differs from the one before it, in the unlucky and in the lucky reading. */
function statesOf(
  events: readonly DiskEvent[],
  told: {
    readonly top: string;
    readonly port: string;
    readonly commits: readonly (readonly SequencedEntry[])[];
    readonly files: readonly string[];
  },
): readonly State[] {
  const disk = new TracedDisk(told.top);
  const states = new Map<string, State>();
  let committed = 0;
  let committing = false;
  let answers = 0;
  for (const [at, event] of events.entries()) {
    disk.apply(event);
    if (event.kind === 'write' && event.path.endsWith('/passings')) {
      const line = event.bytes().toString().trim();
      if (line === 'log.commit before') committing = true;
      else if (line === 'ledger.commit after' && committing) {
        committing = false;
        committed += 1;
      } else continue;
    } else if (event.kind === 'send') {
      const ours = event.socket.includes(`127.0.0.1:${told.port}->`);
      if (!ours || !event.bytes().subarray(0, 12).equals(Buffer.from('HTTP/1.1 200'))) continue;
      answers += 1;
    } else if (!['sync', 'rename', 'remove'].includes(event.kind)) continue;
    // While a commit is under way it may have happened or not.
    for (const count of committing ? [committed, committed + 1] : [committed]) {
      for (const [luck, image] of [
        ['unlucky', disk.unlucky()],
        ['lucky', disk.lucky()],
      ] as const) {
        const parts = [...image].filter(([path]) => path.startsWith('data/'));
        const name = sha256(
          Buffer.from(
            JSON.stringify([count, answers, luck, parts.map(([path, bytes]) => [path, sha256(bytes)])]),
          ),
        );
        if (states.has(name)) continue;
        states.set(name, {
          name: `${luck} after event ${at} (${event.kind}), ${count} commits, ${answers} answers`,
          image,
          entries: told.commits.slice(0, count).flat(),
          sent: told.files.slice(0, answers),
        });
      }
    }
  }
  return [...states.values()];
}

/** What is wrong with a state; empty when a restart repairs it and nothing promised is lost. */
async function breachesOf(
  state: State,
  keys: Awaited<ReturnType<typeof openKeysFile>>,
  keyFiles: Image,
): Promise<readonly string[]> {
  const breaches: string[] = [];
  const blobs = memoryBlobs();
  const files = openMemoryLogFiles();
  for (const [path, bytes] of state.image) {
    const blob = /^data\/blobs\/sha256\/..\/..\/([0-9a-f]{64})$/.exec(path)?.[1];
    if (blob !== undefined && sha256(bytes) !== blob) breaches.push(`the blob ${blob} is not whole`);
    if (blob !== undefined) blobs.held.set(digestOfHex(blob), bytes);
    if (path.startsWith('data/log/') && !path.endsWith('.tmp'))
      files.bytes.set(path.slice('data/log/'.length), bytes);
  }
  for (const digest of state.sent)
    if (!blobs.held.has(digestOfHex(digest))) breaches.push(`the bytes ${digest} were sent and are gone`);
  if (state.entries.length === 0) return breaches;
  for (const [path, bytes] of keyFiles)
    if (!state.image.get(`data/keys/${path}`)?.equals(bytes)) breaches.push(`the key ${path} is gone`);

  const log = makeLogIdentity('weighbridge.local/log', keys.log.publicKeyPem);
  const { edge } = growTiles(
    emptyEdge,
    state.entries.map(({ leaf }) => leaf),
  );
  const store = openMemorySequenceStore();
  store.entries.push(...state.entries);
  const tree = { size: edge.size, root: edgeRoot(edge), timeSeconds: Math.floor(Date.now() / 1000) };
  store.head = { ...(await signCheckpoint(log, keys.log, tree)), frontier: frontierOf(edge).hashes };
  try {
    const projection = { store, files, blobs, log };
    await openProjector(projection);
    const { findings } = await checkLog(projection);
    breaches.push(...findings.map(({ code, message }) => `fsck: ${code}: ${message}`));
  } catch (error) {
    breaches.push(`the projection does not open: ${String(error)}`);
  }
  return breaches;
}

/** At most `count` of the states, evenly spread, the last one included. */
function sample(states: readonly State[], count: number): readonly State[] {
  if (states.length <= count) return states;
  return Array.from(
    { length: count },
    (_, n) => states[Math.floor(((n + 1) * states.length) / count) - 1],
  ).filter((state) => state !== undefined);
}

async function readKeys(data: string): Promise<Image> {
  const names = ['log.pem', 'evidence.pem', 'decisions.pem', 'release.pem'];
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(data, 'keys', name))] as const)),
  );
}

test(
  'a power failure at any instant of the server: fsck passes, nothing promised is lost',
  { skip },
  async (t) => {
    const place = await makePlace('whole');
    const server = await startTraced(place, {});
    const acknowledged: Acknowledged = nothingAcknowledged();
    await drive(server, hub, 1, acknowledged);
    process.kill(server.pid, 'SIGTERM');
    await server.exit;
    const events = parseTrace(await readFile(place.trace, 'utf8'), place.top);
    passedInWholeRun = (await readFile(place.passings, 'utf8')).split('\n');
    const commits = await readCommits(place);
    const port = new URL(server.clients).port;
    const files = [...acknowledged.files.values()];
    const told = { top: place.top, port, commits, files };
    const states = statesOf(events, told);
    const last = states.at(-1);
    assert.ok(last !== undefined && last.entries.length === commits.flat().length && commits.length > 5);
    assert.deepEqual(last.sent, files, 'every 200 was seen in the trace');
    const keys = await openKeysFile(join(place.data, 'keys'));
    const keyFiles = await readKeys(place.data);
    const chosen = nightly ? states : sample(states, replayedInGate);
    for (const state of chosen) assert.deepEqual(await breachesOf(state, keys, keyFiles), [], state.name);
    t.diagnostic(`${events.length} events, ${states.length} different states, ${chosen.length} replayed`);

    const weakened: Readonly<Record<string, (event: DiskEvent) => boolean>> = {
      'blobs not synced': (event) => event.kind === 'sync' && event.path.includes('/blobs/tmp/'),
      'folders of blobs not synced': (event) => event.kind === 'sync' && /\/sha256\/..\/..$/.test(event.path),
      'keys not synced': (event) => event.kind === 'sync' && event.path.includes('.pem.'),
    };
    for (const [name, dropped] of Object.entries(weakened)) {
      const kept = events.filter((event) => !dropped(event));
      assert.ok(kept.length < events.length, name);
      const found = [];
      for (const state of sample(statesOf(kept, told), 60))
        found.push(...(await breachesOf(state, keys, keyFiles)));
      assert.ok(found.length > 0, `positive control: ${name} must be found`);
    }
  },
);

const struck = nightly
  ? faultSites
      .filter((site) => !site.endsWith('create-directory') && !site.endsWith('sync-parent'))
      .flatMap((site) => [`${site}:before`, `${site}:after`])
  : ['blob.rename:after', 'log.tiles:after', 'ledger.commit:after'];

for (const site of struck) {
  test(`killed and cut from power at ${site}: the restarted server has everything`, { skip }, async () => {
    const place = await makePlace(`cut-${site.replaceAll(/[^a-z-]/g, '-')}`);
    const acknowledged = nothingAcknowledged();
    // Well into the traffic, as the whole run passed it.
    const line = site.replace(':', ' ');
    const passing = Math.ceil(passedInWholeRun.filter((passed) => passed === line).length * 0.7);
    const server = await startTraced(place, { WEIGHBRIDGE_FAULT_AT: `${site}:kill@${passing}` });
    const cut = await drive(server, hub, 2, acknowledged).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (cut === undefined) process.kill(server.pid, 'SIGTERM');
    await server.exit;
    assert.match((await readFile(place.passings, 'utf8')).trimEnd(), /\nkilled \S+ \S+ \d+$/);
    const disk = new TracedDisk(place.top);
    for (const event of parseTrace(await readFile(place.trace, 'utf8'), place.top)) disk.apply(event);
    await removeFolder(place.data);
    await materialise(disk.unlucky(), place.top);
    const again = await startTestServer({ upstream: hub.url, data: place.data, flags: place.flags });
    try {
      const doctor = await runWeighbridge(['doctor', '--data', place.data]);
      assert.equal(doctor.code, 0, doctor.stdout);
      await holdsEverything(again, acknowledged);
    } finally {
      await again.stop();
    }
  });
}
