import type { Jobs } from '#adapters/postgres/jobs.ts';
import { toFault } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import type { JsonValue } from '#lib/json.ts';
import type { Flights } from './flights.ts';
import { parseArrivalJob, resumeArrival } from './intake.ts';
import type { Listings } from './listings.ts';

export const intakeQueue = 'intake';

/** What of the queue the intake uses. */
export type IntakeJobs = Pick<Jobs, 'enqueue' | 'claim' | 'heartbeat' | 'complete' | 'fail' | 'sweep'>;
type ClaimedJob = Awaited<ReturnType<IntakeJobs['claim']>>[number];

const leaseMs = 30_000;
const beatMs = 10_000;
const pollMs = 5_000;
/** Finished jobs are forgotten after a day, once an hour. */
const sweep = { everyMs: 3_600_000, olderThanMs: 24 * 3_600_000 } as const;
/** Jobs under way at once. Most of them only wait for the flight that their caller has started. */
const width = 16;

interface WorkerPorts {
  readonly jobs: IntakeJobs;
  readonly listings: Listings;
  readonly flights: Flights;
  readonly failed: (error: unknown) => void;
}

/** Claims remembered arrivals and sees them through; after a restart this is what continues them. */
export function openWorker(ports: WorkerPorts): { wake(): void; close(): Promise<void> } {
  const running = new Set<Promise<void>>();
  let claiming: Promise<void> | undefined;
  let again = false;
  const stop = new AbortController();

  const claim = async (): Promise<void> => {
    while (!stop.signal.aborted && running.size < width) {
      const jobs = await ports.jobs.claim({ queues: [intakeQueue], count: width - running.size, leaseMs });
      if (jobs.length === 0) return;
      for (const job of jobs) {
        const work: Promise<void> = perform(ports, job, stop.signal)
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
  const sweeping = setInterval(
    () => void ports.jobs.sweep(sweep.olderThanMs).catch(ports.failed),
    sweep.everyMs,
  );
  wake();
  return {
    wake,
    close: async () => {
      stop.abort();
      clearInterval(timer);
      clearInterval(sweeping);
      await claiming;
      await Promise.all(running);
    },
  };
}

async function perform(ports: WorkerPorts, job: ClaimedJob, stop: AbortSignal): Promise<void> {
  const beat = setInterval(() => void ports.jobs.heartbeat(job, leaseMs).catch(ports.failed), beatMs);
  try {
    const arrival = await resumeArrival(ports, parseArrivalJob(job.namespace, job.payload as JsonValue));
    if (arrival.kind !== 'failed') await ports.jobs.complete(job);
    // Stopped, not failed: the job is free at once, and the next start goes on with it.
    else if (stop.aborted) await ports.jobs.fail(job, 'the server stopped', 0);
    else await settleFailed(ports, job, arrival.fault);
  } catch (error) {
    ports.failed(error);
    if (!stop.aborted) await ports.jobs.fail(job, toFault(error).message);
  } finally {
    clearInterval(beat);
  }
}

/** A failure that may pass is tried again later; one that will not is settled, and the next caller starts anew. */
async function settleFailed(ports: WorkerPorts, job: ClaimedJob, fault: Fault): Promise<void> {
  if (fault.row.retryable) await ports.jobs.fail(job, fault.message);
  else await ports.jobs.complete(job);
  ports.failed(fault);
}
