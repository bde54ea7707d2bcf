import { setTimeout as sleep } from 'node:timers/promises';
import type { PartialKey, PartialStore, WatchedPartial } from '#artifact/partial-store.ts';

const lookEveryMs = 100;
/** After this long it is tried again whether the other process still holds the lease. */
const watchMs = 500;

/**
 * Follows what another process writes for a moment, then returns so that the caller can ask for the lease. Never throws for
 * what the other one does to its partial.
 */
export async function followOther(
  partials: PartialStore,
  key: PartialKey,
  follower: {
    readonly signal: AbortSignal;
    readonly found: (partial: WatchedPartial) => void;
    readonly grown: () => void;
  },
): Promise<void> {
  const partial = await partials.watch(key);
  if (partial !== undefined) follower.found(partial);
  const until = performance.now() + watchMs;
  while (performance.now() < until) {
    await sleep(lookEveryMs, undefined, { signal: follower.signal });
    if (partial === undefined || !(await partial.refresh())) return;
    follower.grown();
  }
}
