/** Memory that many bodies share while they are sent or received. */
export interface BufferBudget {
  /**
   * A buffer with whatever was in it before: `wantBytes` rounded down to a power of two, less while much is lent out,
   * and never under the least size. Never waits: what is over the budget is lent in the least size.
   */
  take(wantBytes: number): Buffer;
  /** Takes a buffer of `take` back, once; nobody may still read or write it. */
  give(buffer: Buffer): void;
  /** Bytes that are lent out now. */
  lentBytes(): number;
}

export interface BudgetBounds {
  /** Powers of two, and so is their ratio. */
  readonly leastBytes: number;
  readonly mostBytes: number;
  /** Above this only the least size is lent. */
  readonly budgetBytes: number;
  /** What is kept for reuse: new memory has to be mapped and zeroed by the system, which costs as much as reading into it. */
  readonly keptBytes: number;
}

/**
 * One loan takes at most a `shareOfRest`th of what is left, so that the sizes shrink while the budget fills: with a
 * budget of 64 times the largest size, half of it is lent in the largest size and the rest in halves of that and less.
 */
const shareOfRest = 32;

export function openBufferBudget(bounds: BudgetBounds): BufferBudget {
  const { leastBytes, mostBytes, budgetBytes, keptBytes } = bounds;
  const free = new Map<number, Buffer[]>();
  let lent = 0;
  let kept = 0;
  const sizeFor = (wantBytes: number): number => {
    const most = Math.min(wantBytes, mostBytes, (budgetBytes - lent) / shareOfRest);
    let size = leastBytes;
    while (size * 2 <= most) size *= 2;
    return size;
  };
  return {
    take: (wantBytes) => {
      const size = sizeFor(wantBytes);
      lent += size;
      const known = free.get(size)?.pop();
      if (known === undefined) return Buffer.allocUnsafeSlow(size);
      kept -= size;
      return known;
    },
    give: (buffer) => {
      const size = buffer.length;
      lent -= size;
      if (kept + size > keptBytes) return;
      kept += size;
      const row = free.get(size);
      if (row === undefined) free.set(size, [buffer]);
      else row.push(buffer);
    },
    lentBytes: () => lent,
  };
}

const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * What every body of this process is moved in. 1 MiB per step was measured to cost a third less CPU than 256 KiB; a
 * thousand slow callers hold two of the least size each.
 */
export const bodyBuffers: BufferBudget = openBufferBudget({
  leastBytes: 64 * KiB,
  mostBytes: MiB,
  budgetBytes: 64 * MiB,
  keptBytes: 32 * MiB,
});
