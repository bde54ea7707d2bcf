import type { Digest } from '#artifact/digest.ts';
import type { PartialKey, PartialStore } from '#artifact/partial-store.ts';

/** The marks of a partial store in memory, of transfers that a test begins, throws away and publishes. */
export interface MemoryMarks extends Pick<PartialStore, 'mark' | 'isMixed'> {
  /** A transfer of these bytes begins. As in a real store, all that run at the same time are one, and what is stored has none. */
  begin(digest: Digest): void;
  /** It has ended, well or badly. */
  ended(digest: Digest): void;
  /** What was transferred so far counts for nothing. */
  beginAll(): void;
  published(digest: Digest): void;
  forget(): void;
}

export function memoryMarks(): MemoryMarks {
  const sessions = new Map<string, number>();
  const marks = new Map<string, number>();
  const running = new Map<string, number>();
  const stored = new Set<string>();
  let last = 0;
  const sessionOf = (digest: string): number => sessions.get(digest) ?? 0;
  return {
    mark: async ({ digest }: PartialKey) => {
      if (!marks.has(digest)) marks.set(digest, sessionOf(digest));
    },
    isMixed: async ({ digest }) => marks.has(digest) && marks.get(digest) !== sessionOf(digest),
    begin: (digest) => {
      const others = running.get(digest) ?? 0;
      running.set(digest, others + 1);
      if (others === 0 && !stored.has(digest)) sessions.set(digest, ++last);
    },
    ended: (digest) => void running.set(digest, (running.get(digest) ?? 1) - 1),
    beginAll: () => {
      for (const digest of sessions.keys()) sessions.set(digest, ++last);
    },
    published: (digest) => {
      if (marks.get(digest) === sessionOf(digest)) marks.delete(digest);
      sessions.delete(digest);
      stored.add(digest);
    },
    forget: () => {
      marks.clear();
      stored.clear();
    },
  };
}
