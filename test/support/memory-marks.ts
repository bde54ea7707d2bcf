import type { Digest } from '#artifact/digest.ts';
import type { PartialKey, PartialStore } from '#artifact/partial-store.ts';

/** The marks of a partial store in memory, of transfers that a test begins, throws away and publishes. */
export interface MemoryMarks extends Pick<PartialStore, 'mark' | 'isMixed'> {
  /** What was transferred so far counts for nothing. */
  begin(digest: Digest): void;
  beginAll(): void;
  published(digest: Digest): void;
  forget(): void;
}

export function memoryMarks(): MemoryMarks {
  const sessions = new Map<string, number>();
  const marks = new Map<string, number>();
  let last = 0;
  const sessionOf = (digest: string): number => sessions.get(digest) ?? 0;
  return {
    mark: async ({ digest }: PartialKey) => {
      if (!marks.has(digest)) marks.set(digest, sessionOf(digest));
    },
    isMixed: async ({ digest }) => marks.has(digest) && marks.get(digest) !== sessionOf(digest),
    begin: (digest) => void sessions.set(digest, ++last),
    beginAll: () => {
      for (const digest of sessions.keys()) sessions.set(digest, ++last);
    },
    published: (digest) => {
      if (marks.get(digest) === sessionOf(digest)) marks.delete(digest);
      sessions.delete(digest);
    },
    forget: () => marks.clear(),
  };
}
