import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMemorySequenceStore } from '../../../test/support/memory-sequence-store.ts';
import { ecdsaSigner, ed25519Signer, pendingEntry } from '../../../test/support/signing.ts';
import { injectFault } from '#lib/fault-point.ts';
import { appendLeaves, emptyFrontier, leafHash, rootOf } from '#lib/merkle.ts';
import { openCheckpoint } from './checkpoint.ts';
import { openSequencer, type SequencerOptions } from './sequence.ts';
import type { SequenceStore } from './sequence-store.ts';

const origin = 'test.example/log';
const signer = ed25519Signer();
const fault = (code: string) => (thrown: unknown) => {
  assert.equal((thrown as { code?: string }).code, code, String(thrown));
  return true;
};
const open = (store: SequenceStore, more: Partial<SequencerOptions> = {}) =>
  openSequencer({ store, signer, origin, clock: { now: () => 1_800_000_000_500 }, ...more });
const entries = (count: number, prefix = 'e') =>
  Promise.all(Array.from({ length: count }, (_, index) => pendingEntry(signer, `${prefix}${index}`)));

test('entries get consecutive indexes under a checkpoint of exactly their tree', async () => {
  const store = openMemorySequenceStore();
  const sequencer = await open(store);
  const first = await sequencer.append(await entries(3, 'a'));
  const second = await sequencer.append(await entries(2, 'b'));
  assert.deepEqual(
    [...first, ...second].map(({ logIndex }) => logIndex),
    [0, 1, 2, 3, 4],
  );
  const head = await sequencer.head();
  const leaves = store.entries.map(({ leaf }) => leafHash(leaf));
  const root = Buffer.from(rootOf(appendLeaves(emptyFrontier, leaves))).toString('base64');
  assert.equal(head.rootHash, root);
  const opened = openCheckpoint(head.checkpoint, sequencer.log);
  assert.deepEqual([opened.size, opened.rootHash, opened.signedAtMs], [5, root, 1_800_000_000_000]);
  assert.ok(store.entries.every(({ leaf }) => leaf.length === 65 && leaf[0] === 1));
});

test('an identical envelope keeps its index, across calls, within one, and after a restart', async () => {
  const store = openMemorySequenceStore();
  const sequencer = await open(store);
  const [one, two] = await entries(2);
  if (one === undefined || two === undefined) assert.fail();
  await sequencer.append([one]);
  const before = store.head;
  assert.deepEqual(
    (await sequencer.append([one, one])).map(({ logIndex }) => logIndex),
    [0, 0],
  );
  assert.equal(store.head, before, 'nothing new, no new checkpoint');
  assert.deepEqual(
    (await sequencer.append([two, one, two])).map(({ logIndex }) => logIndex),
    [1, 0, 1],
  );
  const again = await open(store);
  assert.deepEqual(
    (await again.append([two])).map(({ logIndex }) => logIndex),
    [1],
  );
  assert.equal(store.entries.length, 2);
});

test('appends that wait are grouped into few transactions', async () => {
  const store = openMemorySequenceStore();
  let transactions = 0;
  const counting: SequenceStore = {
    ...store,
    readHead: () => store.readHead(),
    withHead: (work) => {
      transactions += 1;
      return store.withHead(work);
    },
  };
  const heads: number[] = [];
  const sequencer = await open(counting, { batchEntries: 50, committed: ({ size }) => heads.push(size) });
  const answers = await Promise.all((await entries(200)).map((entry) => sequencer.append([entry])));
  assert.deepEqual(
    answers.map(([logged]) => logged?.logIndex),
    [...answers.keys()],
  );
  assert.equal(transactions, 4);
  assert.deepEqual(heads, [50, 100, 150, 200]);
  const large = await sequencer.append(await entries(120, 'large'));
  assert.equal(large.at(-1)?.logIndex, 319, 'one call larger than the bound is still one transaction');
  assert.equal(transactions, 5);
});

test('the time of checkpoints never goes back', async () => {
  const store = openMemorySequenceStore();
  let now = 1_800_000_000_999;
  const sequencer = await open(store, { clock: { now: () => now } });
  await sequencer.append(await entries(1, 'a'));
  now = 1_000_000_000_000;
  await sequencer.append(await entries(1, 'b'));
  assert.equal((await sequencer.head()).signedAtMs, 1_800_000_000_000);
  const restarted = await open(store, { clock: { now: () => now } });
  await restarted.append(await entries(1, 'c'));
  assert.equal((await restarted.head()).signedAtMs, 1_800_000_000_000);
});

test('entries that do not say what they claim are refused and their neighbours are not', async () => {
  const store = openMemorySequenceStore();
  const sequencer = await open(store);
  const [good] = await entries(1);
  if (good === undefined) assert.fail();
  const bad = [
    { ...good, namespace: 'other' },
    { ...good, envelope: { ...good.envelope, payloadType: 'text/plain' } },
    { ...good, envelope: { ...good.envelope, payload: 'e30' } },
  ];
  for (const entry of bad) {
    await assert.rejects(sequencer.append([good, entry]), fault('envelope.invalid'));
  }
  assert.equal(store.entries.length, 0);
  await assert.rejects(
    sequencer.append([{ ...good, envelope: { ...good.envelope, payload: 'e30=' } }]),
    fault('statement.invalid'),
  );
});

test('an entry that the database refuses fails alone', async () => {
  const store = openMemorySequenceStore();
  const picky: SequenceStore = {
    ...store,
    readHead: () => store.readHead(),
    withHead: (work) =>
      store.withHead((head, transaction) =>
        work(head, {
          ...transaction,
          insert: async (fresh) => {
            if (fresh.some(({ namespace }) => namespace === 'unknown')) throw new Error('no such namespace');
            await transaction.insert(fresh);
          },
        }),
      ),
  };
  const sequencer = await open(picky);
  const answers = await Promise.allSettled([
    sequencer.append(await entries(1, 'a')),
    sequencer.append([await pendingEntry(signer, 'x', 'unknown')]),
    sequencer.append(await entries(1, 'b')),
  ]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal(store.entries.length, 2);
});

test('a damaged or foreign head is ledger.diverged, at open and at append, and stays so', async () => {
  const damages: readonly ((store: ReturnType<typeof openMemorySequenceStore>) => void)[] = [
    (store) => change(store, { frontier: [new Uint8Array(32)] }),
    (store) => change(store, { frontier: [] }),
    (store) => change(store, { signedAtMs: 1_900_000_000_000 }),
    (store) => change(store, { rootHash: Buffer.alloc(32).toString('base64') }),
    (store) => change(store, { checkpoint: 'junk' }),
    (store) => change(store, { checkpoint: (store.head?.checkpoint ?? '').replace('\n2\n', '\n3\n') }),
    (store) => {
      const frontier = appendLeaves(emptyFrontier, [leafHash(Buffer.from('forged'))]);
      const rootHash = Buffer.from(rootOf(frontier)).toString('base64');
      change(store, { size: 1, frontier: frontier.hashes, rootHash });
    },
  ];
  for (const damage of damages) {
    const store = openMemorySequenceStore();
    const sequencer = await open(store);
    await sequencer.append(await entries(2));
    damage(store);
    await assert.rejects(open(store), fault('ledger.diverged'));
    await assert.rejects(sequencer.append(await entries(1, 'x')), fault('ledger.diverged'));
    await assert.rejects(sequencer.append(await entries(1, 'y')), fault('ledger.diverged'));
    assert.equal(store.entries.length, 2);
  }
  const store = openMemorySequenceStore();
  await (await open(store)).append(await entries(1));
  await assert.rejects(open(store, { signer: ed25519Signer() }), fault('ledger.diverged'));
  await assert.rejects(open(store, { origin: 'other.example/log' }), fault('ledger.diverged'));
  await assert.rejects(open(store, { signer: ecdsaSigner() }), fault('key.invalid'));
});

test('an older or other head under a running process is ledger.diverged', async () => {
  const store = openMemorySequenceStore();
  const sequencer = await open(store);
  await sequencer.append(await entries(1, 'a'));
  const older = store.head;
  await sequencer.append(await entries(1, 'b'));
  store.head = older;
  store.entries.pop();
  await assert.rejects(sequencer.head(), fault('ledger.diverged'));
  await assert.rejects(sequencer.append(await entries(1, 'c')), fault('ledger.diverged'));
});

test('a failure on either side of the commit loses and doubles nothing', async (t) => {
  t.after(() => injectFault(undefined));
  for (const moment of ['before', 'after'] as const) {
    const store = openMemorySequenceStore();
    const sequencer = await open(store);
    const pending = await entries(2);
    injectFault({ site: 'log.commit', moment, action: 'fail', passing: 1 });
    await assert.rejects(sequencer.append(pending), /injected fault/);
    injectFault(undefined);
    assert.equal(store.entries.length, moment === 'before' ? 0 : 2);
    assert.deepEqual(
      (await sequencer.append(pending)).map(({ logIndex }) => logIndex),
      [0, 1],
    );
    assert.equal(store.entries.length, 2);
  }
});

test('close answers what waits and refuses what comes after', async () => {
  const sequencer = await open(openMemorySequenceStore());
  await assert.rejects(sequencer.head(), fault('ledger.unavailable'));
  const waiting = (await entries(5)).map((entry) => sequencer.append([entry]));
  await sequencer.close();
  assert.equal((await Promise.all(waiting)).length, 5);
  await assert.rejects(sequencer.append(await entries(1, 'late')), fault('server.draining'));
});

function change(store: ReturnType<typeof openMemorySequenceStore>, fields: object): void {
  if (store.head === undefined) assert.fail();
  store.head = { ...store.head, ...fields };
}
