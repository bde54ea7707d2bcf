/**
 * Lets at most `width` pieces of work through at a time, first come first served. What waits when `signal` aborts is
 * rejected with its reason; what is under way ends as it will.
 */
export function openTurnstile(
  width: number,
  signal?: AbortSignal,
): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let inside = 0;
  return async (work) => {
    if (inside >= width) await new Promise<void>((resolve) => waiting.push(resolve));
    else inside += 1;
    try {
      signal?.throwIfAborted();
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) inside -= 1;
      else next();
    }
  };
}
