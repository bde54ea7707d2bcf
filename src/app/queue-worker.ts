export interface QueueWorkerPorts<Job> {
  /** Jobs that this process takes on, at most `count`. */
  readonly claim: (count: number) => Promise<readonly Job[]>;
  /** Sees one job through; the signal is aborted when the server stops. */
  readonly perform: (job: Job, stop: AbortSignal) => Promise<void>;
  /** Jobs under way at once in this process. */
  readonly width: number;
  /** Why the signal is aborted; for those who pass it on. */
  readonly stopped?: Error;
  readonly failed: (error: unknown) => void;
}

/** Takes jobs from a queue until it is closed; after a restart this is what continues them. */
export interface QueueWorker {
  /** There may be something to do. */
  wake(): void;
  /** Resolves when nothing is under way any more. */
  close(): Promise<void>;
}

/** A wake-up may be lost between replicas, so the queue is looked at all the same. */
const pollMs = 5_000;

export function openQueueWorker<Job>(ports: QueueWorkerPorts<Job>): QueueWorker {
  const running = new Set<Promise<void>>();
  const stop = new AbortController();
  let claiming: Promise<void> | undefined;
  let again = false;

  const claim = async (): Promise<void> => {
    while (!stop.signal.aborted && running.size < ports.width) {
      const jobs = await ports.claim(ports.width - running.size);
      if (jobs.length === 0) return;
      for (const job of jobs) {
        const work: Promise<void> = ports
          .perform(job, stop.signal)
          .catch(ports.failed)
          .finally(() => {
            running.delete(work);
            wake();
          });
        running.add(work);
      }
    }
  };
  const wake = (): void => {
    if (stop.signal.aborted) return;
    // What became ready while we were looking may have been missed by the look.
    if (claiming !== undefined) {
      again = true;
      return;
    }
    claiming = claim()
      .catch(ports.failed)
      .finally(() => {
        claiming = undefined;
        if (!again) return;
        again = false;
        wake();
      });
  };
  const timer = setInterval(wake, pollMs);
  wake();
  return {
    wake,
    close: async () => {
      stop.abort(ports.stopped);
      clearInterval(timer);
      await claiming;
      await Promise.all(running);
    },
  };
}
