import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SequencedEntry, SequenceStore, StoredHead } from '#evidence/log/sequence-store.ts';
import { openSequencer } from '#evidence/log/sequence.ts';
import { ed25519Signer, pendingEntry } from '../support/signing.ts';

/** What a test of an implementation hands over: an empty store, and how to look at it from another replica. */
export interface OpenedSequenceStore {
  readonly store: SequenceStore;
  /** A second, independent connection to the same log; the store itself where there is only one process. */
  readonly other: SequenceStore;
  /** Namespaces that may be used, at least two. */
  readonly namespaces: readonly [string, string];
  close(): Promise<void>;
}

/** Every implementation of `SequenceStore` passes this. `open` gives an empty store each time. */
export function sequenceStoreContract(name: string, open: () => Promise<OpenedSequenceStore>): void {
  const contract = (title: string, body: (opened: OpenedSequenceStore) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const opened = await open();
      try {
        await body(opened);
      } finally {
        await opened.close();
      }
    });
  };
  const origin = 'contract.example/log';

  contract('an empty store has no head and no entries', async ({ store }) => {
    assert.equal(await store.readHead(), undefined);
    assert.deepEqual(await store.readEntries(0, 10), []);
    assert.equal(await store.withHead(async (head) => head), undefined);
  });

  contract('entries and head come back exactly as written', async ({ store, other, namespaces }) => {
    const entries = await sequenced(namespaces, 5);
    const head = headOf(5);
    await store.withHead(async (_, transaction) => {
      await transaction.insert(entries.slice(0, 2));
      await transaction.insert(entries.slice(2));
      await transaction.writeHead(head);
    });
    for (const reader of [store, other]) {
      assert.deepEqual(plainHead(await reader.readHead()), plainHead(head));
      assert.deepEqual((await reader.readEntries(0, 5)).map(plain), entries.map(plain));
      assert.deepEqual((await reader.readEntries(1, 3)).map(plain), entries.slice(1, 3).map(plain));
      assert.deepEqual((await reader.readEntries(4, 99)).map(plain), entries.slice(4).map(plain));
      assert.deepEqual(await reader.readEntries(5, 6), []);
      assert.deepEqual(await reader.readEntries(3, 3), []);
    }
    await store.withHead(async (again, transaction) => {
      assert.deepEqual(plainHead(again), plainHead(head));
      const digests = entries.map(({ envelopeDigest }) => envelopeDigest);
      const found = await transaction.existing(digests.slice(1, 3));
      assert.deepEqual(
        found.map(({ logIndex }) => logIndex).sort((a, b) => a - b),
        [1, 2],
      );
      assert.deepEqual(await transaction.existing([]), []);
    });
  });

  contract('a failing transaction leaves nothing behind', async ({ store, other, namespaces }) => {
    const entries = await sequenced(namespaces, 2);
    const work = store.withHead(async (_, transaction) => {
      await transaction.insert(entries);
      await transaction.writeHead(headOf(2));
      throw new Error('planted');
    });
    await assert.rejects(work, /planted/);
    assert.equal(await other.readHead(), undefined);
    assert.deepEqual(await other.readEntries(0, 2), []);
    assert.equal(await store.withHead(async (head) => head), undefined, 'and the head is free again');
  });

  contract('nothing is visible before the transaction ends', async ({ store, other, namespaces }) => {
    const entries = await sequenced(namespaces, 1);
    await store.withHead(async (_, transaction) => {
      await transaction.insert(entries);
      await transaction.writeHead(headOf(1));
      assert.equal(await other.readHead(), undefined);
      assert.deepEqual(await other.readEntries(0, 1), []);
    });
    assert.equal((await other.readHead())?.size, 1);
  });

  contract('the head belongs to one transaction at a time', async ({ store, other, namespaces }) => {
    const entries = await sequenced(namespaces, 12);
    const order: number[] = [];
    const append = (on: SequenceStore) =>
      on.withHead(async (head, transaction) => {
        const next = head?.size ?? 0;
        const entry = entries[next] ?? assert.fail();
        await new Promise((resolve) => setTimeout(resolve, 2));
        await transaction.insert([entry]);
        await transaction.writeHead(headOf(next + 1));
        order.push(next);
      });
    await Promise.all(entries.map((_, index) => append(index % 2 === 0 ? store : other)));
    assert.deepEqual(order, [...entries.keys()]);
    assert.equal((await store.readEntries(0, 12)).length, 12);
  });

  contract('two sequencers on one log number every entry once', async ({ store, other, namespaces }) => {
    const signer = ed25519Signer();
    const clock = { now: () => 1_800_000_000_000 };
    const left = await openSequencer({ store, signer, origin, clock });
    const right = await openSequencer({ store: other, signer, origin, clock });
    const pending = await Promise.all(
      Array.from({ length: 40 }, (_, index) => pendingEntry(signer, `e${index}`, namespaces[index % 2])),
    );
    const answers = await Promise.all(
      pending.flatMap((entry) => [left.append([entry]), right.append([entry])]),
    );
    const indexes = answers.map(([logged]) => logged?.logIndex ?? -1);
    for (let index = 0; index < 80; index += 2) assert.equal(indexes[index], indexes[index + 1]);
    assert.deepEqual(
      [...new Set(indexes)].sort((a, b) => a - b),
      [...pending.keys()],
    );
    assert.equal((await left.head()).checkpoint, (await right.head()).checkpoint);
    await left.close();
    await right.close();
  });
}

async function sequenced(namespaces: readonly [string, string], count: number): Promise<SequencedEntry[]> {
  // Through the real sequencer, so that the entries are what it writes and nothing else.
  const { openMemorySequenceStore } = await import('../support/memory-sequence-store.ts');
  const signer = ed25519Signer();
  const store = openMemorySequenceStore();
  const clock = { now: () => 1_700_000_000_000 };
  const sequencer = await openSequencer({ store, signer, origin: 'contract.example/made', clock });
  for (let index = 0; index < count; index += 1) {
    await sequencer.append([await pendingEntry(signer, `é${index}`, namespaces[index % 2])]);
  }
  return store.entries;
}

function headOf(size: number): StoredHead {
  return {
    size,
    rootHash: Buffer.from(bytesOf(size)).toString('base64'),
    checkpoint: `contract.example/log\n${size}\n…\n\n— é +\n`,
    signedAtMs: 1_763_716_676_000 + size,
    frontier: [bytesOf(0), bytesOf(255)],
  };
}

function bytesOf(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

function plainHead(head: StoredHead | undefined): unknown {
  if (head === undefined) return undefined;
  const { size, rootHash, checkpoint, signedAtMs } = head;
  return { size, rootHash, checkpoint, signedAtMs, frontier: head.frontier.map(hex) };
}

function plain(entry: SequencedEntry): unknown {
  const { logIndex, namespace, envelopeDigest, envelope, statement } = entry;
  const bytes = { leaf: hex(entry.leaf), envelopeBytes: hex(entry.envelopeBytes) };
  return { logIndex, namespace, envelopeDigest, envelope, statement, ...bytes };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
