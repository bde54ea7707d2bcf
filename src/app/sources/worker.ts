import type { Jobs } from '#adapters/postgres/jobs.ts';
import { Fault, toFault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { openQueueWorker } from '../queue-worker.ts';
import type { QueueWorker } from '../queue-worker.ts';

export const sourceQueue = 'source';

/** What of the queue the intakes of sources use. */
export type SourceJobs = Pick<Jobs, 'enqueue' | 'claim' | 'heartbeat' | 'complete' | 'fail'>;
type ClaimedJob = Awaited<ReturnType<SourceJobs['claim']>>[number];

const leaseMs = 15_000;
const beatMs = 5_000;
/** Intakes at once in this process. */
const width = 2;
/** A server that is killed takes one attempt away; a source that is away takes one, too. */
export const sourceAttempts = 20;
/** After so many attempts of its own a source that does not answer is given up. */
const unanswered = 5;

export interface SourceWorkerPorts {
  readonly jobs: SourceJobs;
  readonly perform: (namespace: string, id: string, signal: AbortSignal) => Promise<void>;
  /** Ends the intake with this Fault. */
  readonly end: (namespace: string, id: string, fault: Fault) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

/** Claims intakes and sees them through, also those that a killed server left. */
export function openSourceWorker(ports: SourceWorkerPorts): QueueWorker {
  return openQueueWorker({
    claim: (count) => ports.jobs.claim({ queues: [sourceQueue], count, leaseMs }),
    perform: (job: ClaimedJob, stop) => settle(ports, job, stop),
    width,
    stopped: new Fault('server.draining', 'the server is stopping'),
    failed: ports.failed,
  });
}

async function settle(ports: SourceWorkerPorts, job: ClaimedJob, stop: AbortSignal): Promise<void> {
  const { namespace, key } = job;
  const lost = new AbortController();
  const beat = setInterval(() => {
    ports.jobs.heartbeat(job, leaseMs).then((held) => {
      if (!held) lost.abort(new Fault('database.unavailable', 'another worker has taken the intake over'));
    }, ports.failed);
  }, beatMs);
  const late = AbortSignal.timeout(limits.sourceTimeMs);
  try {
    await ports.perform(namespace, key, AbortSignal.any([stop, lost.signal, late]));
    await ports.jobs.complete(job);
  } catch (error) {
    if (lost.signal.aborted) return;
    // Stopped, not failed: the job is free at once, and the next start goes on with it.
    if (stop.aborted) return void (await ports.jobs.fail(job, 'the server stopped', 0));
    ports.failed(error);
    const fault = late.aborted
      ? new Fault('limit.exceeded', 'the intake took too long', { cause: error })
      : toFault(error);
    const again = fault.row.retryable && job.attempt < unanswered;
    if (again && (await ports.jobs.fail(job, fault.message)) === 'waiting') return;
    await ports.end(namespace, key, fault);
    await ports.jobs.complete(job);
  } finally {
    clearInterval(beat);
  }
}
