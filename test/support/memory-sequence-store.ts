import type {
  SequencedEntry,
  SequenceStore,
  SequenceTransaction,
  StoredHead,
} from '#evidence/log/sequence-store.ts';

/** What a test may look at and damage. */
export interface MemorySequenceStore extends SequenceStore {
  head: StoredHead | undefined;
  readonly entries: SequencedEntry[];
}

/** A sequence store in memory with the transactions of a real one: exclusive, all or nothing. For tests. */
export function openMemorySequenceStore(): MemorySequenceStore {
  let turn: Promise<unknown> = Promise.resolve();
  const entries: SequencedEntry[] = [];
  const byDigest = new Map<string, SequencedEntry>();

  const store: MemorySequenceStore = {
    head: undefined,
    entries,
    withHead: (work) => {
      const next = turn.then(async () => {
        const inserted: SequencedEntry[] = [];
        let head: StoredHead | undefined;
        const transaction: SequenceTransaction = {
          existing: async (digests) =>
            digests.map((digest) => byDigest.get(digest)).filter((entry) => entry !== undefined),
          insert: async (fresh) => {
            for (const entry of fresh) {
              const index = entries.length + inserted.length;
              if (entry.logIndex !== index) throw new Error(`index ${entry.logIndex} where ${index} is next`);
              inserted.push(entry);
            }
          },
          writeHead: async (written) => {
            head = written;
          },
        };
        const result = await work(store.head, transaction);
        for (const entry of inserted) {
          entries.push(entry);
          byDigest.set(entry.envelopeDigest, entry);
        }
        if (head !== undefined) store.head = head;
        return result;
      });
      turn = next.catch(() => {});
      return next;
    },
    readHead: async () => store.head,
    readEntries: async (start, end) => entries.slice(start, end),
  };
  return store;
}
