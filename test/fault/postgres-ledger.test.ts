import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test, { type TestContext } from 'node:test';
import { type OpenPostgres, openEmbeddedPostgres } from '#adapters/postgres/open.ts';
import { openSequenceStore } from '#adapters/postgres/sequence-store.ts';
import { openSequencer } from '#evidence/log/sequence.ts';
import { signerOf } from '#evidence/signer.ts';
import { Fault } from '#lib/fault.ts';
import { injectFault } from '#lib/fault-point.ts';
import { hashLeaves } from '../support/log-root.ts';
import { asSuperuser } from '../support/postgres.ts';
import { pendingEntry } from '../support/signing.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const key = privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
const clock = { now: () => 1_800_000_000_000 };
const origin = 'fault.example/log';

interface Told {
  readonly label: string;
  readonly logIndex: number;
  readonly envelopeDigest: string;
}

async function makeDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-pg-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Runs the program until it ends; what it acknowledged. `during` sees the number of lines so far. */
async function run(
  data: string,
  task: string,
  options: { fault?: string; during?: (lines: number, kill: () => void) => void },
) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'postgres-program.ts'), data, task, key], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...(options.fault === undefined ? {} : { WEIGHBRIDGE_FAULT_AT: options.fault }) },
  });
  const told: Told[] = [];
  const failures: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const [label = '', logIndex, envelopeDigest = ''] = line.split(' ');
    if (label === 'failed') failures.push(line);
    else if (label !== 'open') told.push({ label, logIndex: Number(logIndex), envelopeDigest });
    options.during?.(told.length, () => child.kill('SIGKILL'));
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return { told, failures };
}

/** What must hold whatever happened: no hole, the head's tree is the tree of the rows, nothing acknowledged is lost. */
async function checkLedger(postgres: OpenPostgres, told: readonly Told[]): Promise<number> {
  const store = openSequenceStore(postgres.database);
  const head = await store.readHead();
  const entries = await store.readEntries(0, 1_000_000);
  assert.equal(entries.length, head?.size ?? 0);
  assert.deepEqual(
    entries.map(({ logIndex }) => logIndex),
    [...entries.keys()],
  );
  if (head !== undefined) assert.equal(hashLeaves(entries.map(({ leaf }) => leaf)), head.rootHash);
  for (const { label, logIndex, envelopeDigest } of told) {
    assert.equal(
      entries[logIndex]?.envelopeDigest,
      envelopeDigest,
      `${label} was acknowledged at ${logIndex}`,
    );
  }
  const subjects = await postgres.database.askAsLog({
    text: 'SELECT count(*)::int AS n FROM weighbridge.log_subject',
  });
  assert.deepEqual(subjects, [{ n: entries.length }]);
  return entries.length;
}

test('killed on either side of the commit: nothing acknowledged is lost, nothing is half there', async (t) => {
  const data = await makeDirectory(t);
  const before = await run(data, 'one-by-one', { fault: 'ledger.commit:before:kill@3' });
  assert.deepEqual(
    before.told.map(({ label }) => label),
    ['one-by-one-a-0', 'one-by-one-a-1'],
  );
  let postgres = await openEmbeddedPostgres(data);
  assert.equal(await checkLedger(postgres, before.told), 2, 'the third was rolled back');
  await postgres.close();

  const after = await run(data, 'one-by-one', { fault: 'ledger.commit:after:kill@1' });
  assert.deepEqual(
    after.told.map(({ logIndex }) => logIndex),
    [],
    'the first call found what was there and was killed',
  );
  const third = await run(data, 'one-by-one', { fault: 'ledger.commit:after:kill@3' });
  assert.deepEqual(
    third.told.map(({ logIndex }) => logIndex),
    [0, 1],
  );
  postgres = await openEmbeddedPostgres(data);
  assert.equal(
    await checkLedger(postgres, [...before.told, ...third.told]),
    3,
    'the third is there though nobody was told',
  );
  await postgres.close();

  const rest = await run(data, 'one-by-one', {});
  assert.deepEqual(
    rest.told.map(({ logIndex }) => logIndex),
    [0, 1, 2, 3, 4],
    'and keeps its index when it is asked for again',
  );
  postgres = await openEmbeddedPostgres(data);
  assert.equal(await checkLedger(postgres, rest.told), 5);
  await postgres.close();
});

test('a commit that fails, and one that fails though it persisted', async (t) => {
  const data = await makeDirectory(t);
  const postgres = await openEmbeddedPostgres(data);
  t.after(() => injectFault(undefined));
  const signer = signerOf(privateKey);
  const sequencer = await openSequencer({
    store: openSequenceStore(postgres.database),
    signer,
    origin,
    clock,
  });
  const entry = await pendingEntry(signer, 'failing');
  injectFault({ site: 'ledger.commit', moment: 'before', action: 'fail', passing: 1 });
  await assert.rejects(sequencer.append([entry]));
  injectFault(undefined);
  assert.equal(await checkLedger(postgres, []), 0);
  injectFault({ site: 'ledger.commit', moment: 'after', action: 'fail', passing: 1 });
  await assert.rejects(sequencer.append([entry]));
  injectFault(undefined);
  assert.equal(await checkLedger(postgres, []), 1);
  const [again] = await sequencer.append([entry]);
  assert.equal(again?.logIndex, 0);
  assert.equal(await checkLedger(postgres, []), 1);
  await postgres.close();
});

test('kill -9 under load, of us and of PostgreSQL, again and again', async (t) => {
  const data = await makeDirectory(t);
  const told: Told[] = [];
  const pids = () =>
    Number(readFileSync(join(data, 'postgres/cluster/postmaster.pid'), 'utf8').split('\n')[0]);
  for (const victim of ['us', 'postgres', 'both', 'us']) {
    let struck = false;
    const answer = await run(data, `load-${told.length}`, {
      during: (lines, kill) => {
        if (struck || lines < 300) return;
        struck = true;
        if (victim !== 'us') process.kill(pids(), 'SIGKILL');
        if (victim !== 'postgres') kill();
      },
    });
    assert.ok(struck);
    if (victim === 'postgres') assert.ok(answer.failures.length > 0, 'the appends under way were told');
    told.push(...answer.told);
    const postgres = await openEmbeddedPostgres(data);
    assert.ok((await checkLedger(postgres, told)) >= told.length);
    await postgres.close();
  }
});

test('a lost database is ledger.unavailable, and a connection cut during the transaction leaves nothing', async (t) => {
  const data = await makeDirectory(t);
  const postgres = await openEmbeddedPostgres(data);
  const store = openSequenceStore(postgres.database);
  const cut = store.withHead(async (_, transaction) => {
    await transaction.writeHead({ size: 1, rootHash: 'x', checkpoint: 'x', signedAtMs: 1, frontier: [] });
    const superuser = { ...postgres.endpoints.application, user: 'postgres' };
    const killed = await asSuperuser(superuser, (client) =>
      client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND usename = 'weighbridge_app'`,
      ),
    );
    assert.equal(killed.rowCount, 1);
  });
  await assert.rejects(cut, (error) => error instanceof Fault && error.code === 'ledger.unavailable');
  assert.equal(await store.readHead(), undefined, 'and the pool connects again');
  await postgres.close();
  await assert.rejects(
    store.readHead(),
    (error) => error instanceof Fault && error.code === 'ledger.unavailable',
  );
});
