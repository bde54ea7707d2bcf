interface Wait {
  readonly offset: number;
  readonly wake: () => void;
}

/** Readers that wait for bytes at a place, oldest first. */
export class Waiting {
  readonly #waits = new Set<Wait>();

  /** Resolves when somebody calls `wake` for it; rejects with the signal's reason. */
  at(offset: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waits.delete(wait);
        signal.removeEventListener('abort', abort);
      };
      const abort = (): void => {
        leave();
        reject(signal.reason instanceof Error ? signal.reason : new Error('the reader left'));
      };
      const wait: Wait = {
        offset,
        wake: () => {
          leave();
          resolve();
        },
      };
      this.#waits.add(wait);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  /** Wakes those whose place can be read now. */
  wake(reach: (offset: number) => number): void {
    for (const wait of this.#waits) if (reach(wait.offset) > wait.offset) wait.wake();
  }

  wakeAll(): void {
    for (const wait of this.#waits) wait.wake();
  }

  /** The place that has been waited for longest among those that match. */
  oldest(matches: (offset: number) => boolean): number | undefined {
    for (const { offset } of this.#waits) if (matches(offset)) return offset;
    return undefined;
  }
}
