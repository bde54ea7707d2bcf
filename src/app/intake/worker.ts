import type { Jobs } from '#adapters/postgres/jobs.ts';
import { toFault } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import type { JsonValue } from '#lib/json.ts';
import { openQueueWorker } from '../queue-worker.ts';
import type { QueueWorker } from '../queue-worker.ts';
import type { Flights } from './flights.ts';
import { parseArrivalJob, resumeArrival } from './intake.ts';
import type { Listings } from './listings.ts';

export const intakeQueue = 'intake';

/** What of the queue the intake uses. */
export type IntakeJobs = Pick<Jobs, 'enqueue' | 'claim' | 'heartbeat' | 'complete' | 'fail' | 'sweep'>;
type ClaimedJob = Awaited<ReturnType<IntakeJobs['claim']>>[number];

const leaseMs = 30_000;
const beatMs = 10_000;
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
export function openWorker(ports: WorkerPorts): QueueWorker {
  const worker = openQueueWorker({
    claim: (count) => ports.jobs.claim({ queues: [intakeQueue], count, leaseMs }),
    perform: (job: ClaimedJob, stop) => perform(ports, job, stop),
    width,
    failed: ports.failed,
  });
  const sweeping = setInterval(
    () => void ports.jobs.sweep(sweep.olderThanMs).catch(ports.failed),
    sweep.everyMs,
  );
  return {
    wake: worker.wake,
    close: async () => {
      clearInterval(sweeping);
      await worker.close();
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
