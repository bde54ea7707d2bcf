import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { type OpenPostgres, openEmbeddedPostgres } from '#adapters/postgres/open.ts';
import { openLedgerReader } from '#adapters/postgres/ledger-reader.ts';
import { openSequenceStore } from '#adapters/postgres/sequence-store.ts';
import { type Digest, digestOf, digestOfHex } from '#artifact/digest.ts';
import { encodeEnvelope, signStatement } from '#evidence/envelope.ts';
import type { PendingEntry } from '#evidence/ledger.ts';
import { openSequencer, type Sequencer } from '#evidence/log/sequence.ts';
import { signerOf } from '#evidence/signer.ts';
import { makeStatement } from '#evidence/statement.ts';
import { systemClock } from '#lib/clock.ts';
import { type Bench, benchmark, type BenchRow, type Comparison, runAsProgram } from './support.ts';

const entriesPerRound = 3_000;
const concurrency = 64;
/** Sessions of the peer: more than two cores can keep busy, so that PostgreSQL can share its commits too. */
const peerConnections = 16;

const signer = signerOf(generateKeyPairSync('ed25519').privateKey);

interface Rig {
  readonly postgres: OpenPostgres;
  readonly sequencer: Sequencer;
  readonly raw: Pool;
}

/** Both sides in one PostgreSQL: the ledger, and a plain table with the columns of an evidence row and no order. */
async function withRig<T>(work: (rig: Rig) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'weighbridge-bench-'));
  const postgres = await openEmbeddedPostgres(directory);
  const raw = new Pool({ ...postgres.endpoints.owner, max: peerConnections });
  raw.on('error', () => {});
  try {
    await raw.query('CREATE TABLE weighbridge.bench (digest bytea PRIMARY KEY, envelope bytea NOT NULL)');
    const store = openSequenceStore(postgres.database);
    const sequencer = await openSequencer({ store, signer, origin: 'bench.example/log', clock: systemClock });
    return await work({ postgres, sequencer, raw });
  } finally {
    await raw.end();
    await postgres.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function makeEntries(count: number): Promise<readonly PendingEntry[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const label = randomUUID();
      const sha256 = digestOf(Buffer.from(label)).slice('sha256:'.length);
      const predicateType = 'https://example.com/evidence/bench/v1';
      const subject = [{ digest: { sha256 } }];
      const statement = makeStatement({ namespace: 'default', predicateType, subject, predicate: { label } });
      return { namespace: 'default', statement, envelope: (await signStatement(statement, signer)).envelope };
    }),
  );
}

interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** 64 callers, each waiting for durability before its next call. */
async function drive<T>(items: readonly T[], write: (item: T) => Promise<unknown>): Promise<Measured> {
  const latencies: number[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) {
      const start = performance.now();
      await write(item);
      latencies.push(performance.now() - start);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: concurrency }, lane));
  const seconds = (performance.now() - start) / 1_000;
  latencies.sort((left, right) => left - right);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { perSecond: items.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

async function driveLedger({ sequencer }: Rig): Promise<Measured> {
  return drive(await makeEntries(entriesPerRound), (entry) => sequencer.append([entry]));
}

async function driveRaw({ raw }: Rig): Promise<Measured> {
  const rows = (await makeEntries(entriesPerRound)).map(({ envelope }) =>
    Buffer.from(encodeEnvelope(envelope)),
  );
  return drive(rows, (envelope) =>
    raw.query({
      name: 'raw',
      text: 'INSERT INTO weighbridge.bench VALUES ($1, $2)',
      values: [Buffer.from(digestOf(envelope).slice('sha256:'.length), 'hex'), envelope],
    }),
  );
}

const peerName = `raw durable single-row inserts, ${peerConnections} sessions`;

function compareWrites(
  name: string,
  pick: (measured: Measured) => number,
  rest: Pick<Comparison, 'unit' | 'goal'>,
): Bench {
  return {
    name,
    run: () =>
      withRig((rig) =>
        benchmark(name, {
          ...rest,
          peerName,
          ours: async () => pick(await driveLedger(rig)),
          peer: async () => pick(await driveRaw(rig)),
        }),
      ),
  };
}

/** Evidence about 50 subjects out of a log of 20 000 entries, against reading the same rows by primary key. */
function compareFind(): Bench {
  const name = 'ledger find, 50 subjects';
  return { name, run: () => withRig((rig) => measureFind(name, rig)) };
}

async function measureFind(name: string, { postgres, sequencer, raw }: Rig): Promise<BenchRow> {
  const digests: Digest[] = [];
  for (let round = 0; round < 20; round += 1) {
    const entries = await makeEntries(1_000);
    await sequencer.append(entries);
    digests.push(
      ...entries.flatMap(({ statement }) => statement.subject.map((one) => digestOfHex(one.digest.sha256))),
    );
  }
  const ledger = openLedgerReader(postgres.database);
  await raw.query(
    'CREATE TABLE weighbridge.bench_find AS SELECT subject, envelope FROM weighbridge.log_entry JOIN weighbridge.log_subject USING (log_index)',
  );
  await raw.query('CREATE UNIQUE INDEX ON weighbridge.bench_find (subject)');
  await raw.query('GRANT SELECT ON weighbridge.bench_find TO weighbridge_app');
  const subjectsAt = (index: number) =>
    Array.from({ length: 50 }, (_, step) => digests[(index * 97 + step * 389) % digests.length]).filter(
      (digest) => digest !== undefined,
    );
  const indexes = Array.from({ length: 500 }, (_, index) => index);
  return benchmark(name, {
    peerName: 'same rows by primary key, no row-level security, JSON.parse',
    unit: 'find/s',
    // Strict parsing, which refuses duplicate members and holds bounds, is most of the time.
    goal: { atLeast: 0.1, guard: true },
    ours: async () =>
      (await drive(indexes, (index) => ledger.find({ namespace: 'default', subjects: subjectsAt(index) })))
        .perSecond,
    peer: async () => (await drive(indexes, (index) => readRaw(postgres, subjectsAt(index)))).perSecond,
  });
}

/** What any reader of evidence does at least: a transaction, the rows, the envelope and its payload as JSON. */
async function readRaw(postgres: OpenPostgres, subjects: readonly Digest[]): Promise<readonly unknown[]> {
  const rows = await postgres.database.ask('default', {
    name: 'raw-find',
    text: 'SELECT subject, envelope FROM weighbridge.bench_find WHERE subject = ANY ($1::bytea[])',
    values: [subjects.map((digest) => Buffer.from(digest.slice('sha256:'.length), 'hex'))],
  });
  return rows.map(({ envelope }) => {
    const { payload } = JSON.parse(String(envelope)) as { payload: string };
    return JSON.parse(Buffer.from(payload, 'base64').toString()) as unknown;
  });
}

export const benches: readonly Bench[] = [
  compareWrites('ledger append, 64 callers', ({ perSecond }) => perSecond, {
    unit: 'append/s',
    goal: { atLeast: 1 },
  }),
  compareWrites('ledger append latency p50', ({ p50Ms }) => p50Ms, { unit: 'ms', goal: { atMost: 1.5 } }),
  compareWrites('ledger append latency p99', ({ p99Ms }) => p99Ms, { unit: 'ms', goal: { atMost: 1.5 } }),
  compareFind(),
];

await runAsProgram(import.meta, benches);
