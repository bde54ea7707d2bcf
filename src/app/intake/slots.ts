/** One transfer may be under way. `leave` must be called; more calls do nothing. */
export interface Slot {
  /** Aborts where others wait and this one has had its turn: stop, leave, and queue again. */
  readonly over: AbortSignal;
  /** Told of every piece that came. */
  moved(bytes: number): void;
  /** What would be stopped had to begin from its first byte: it may stay. */
  keep(): void;
  leave(): void;
}

export interface Turns {
  /** While others wait, a transfer that brought less than this in this time gives way. */
  readonly slowMs: number;
  readonly slowBytes: number;
  /** While others wait, any transfer gives way after this long: one more request in return for a place for a small file. */
  readonly longMs: number;
}

const usualTurns: Turns = { slowMs: 15_000, slowBytes: 4 * 1024 * 1024, longMs: 60_000 };

interface Holder {
  readonly stop: AbortController;
  readonly sinceMs: number;
  windowMs: number;
  windowBytes: number;
  kept: boolean;
}

/**
 * At most `width` at a time, in the order in which they came, and in turns: four transfers that upstream lets crawl, or that
 * take hours, would otherwise be the only ones that anybody gets.
 */
export function openSlots(width: number, turns: Turns = usualTurns): () => Promise<Slot> {
  const holders = new Set<Holder>();
  const queue: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    const nowMs = performance.now();
    let wanted = queue.length - [...holders].filter(({ stop }) => stop.signal.aborted).length;
    for (const holder of holders) {
      const slow = nowMs - holder.windowMs >= turns.slowMs && holder.windowBytes < turns.slowBytes;
      if (nowMs - holder.windowMs >= turns.slowMs) [holder.windowMs, holder.windowBytes] = [nowMs, 0];
      const long = nowMs - holder.sinceMs >= turns.longMs;
      if (wanted <= 0 || holder.kept || holder.stop.signal.aborted || (!slow && !long)) continue;
      wanted -= 1;
      holder.stop.abort(new Error('others have waited long enough'));
    }
  };
  const watch = (): void => {
    if (queue.length === 0) {
      clearInterval(timer);
      timer = undefined;
    } else timer ??= setInterval(look, Math.max(5, Math.min(turns.slowMs, turns.longMs) / 15)).unref();
  };
  const take = (): Slot => {
    const nowMs = performance.now();
    const holder: Holder = {
      stop: new AbortController(),
      sinceMs: nowMs,
      windowMs: nowMs,
      windowBytes: 0,
      kept: false,
    };
    holders.add(holder);
    return {
      over: holder.stop.signal,
      moved: (bytes) => void (holder.windowBytes += bytes),
      keep: () => void (holder.kept = true),
      leave: () => {
        if (!holders.delete(holder)) return;
        queue.shift()?.();
        watch();
      },
    };
  };
  return async () => {
    if (holders.size < width && queue.length === 0) return take();
    const { promise, resolve } = Promise.withResolvers<Slot>();
    // Taken at once when its turn comes, so that nobody who comes in between can be faster.
    queue.push(() => resolve(take()));
    watch();
    return promise;
  };
}
