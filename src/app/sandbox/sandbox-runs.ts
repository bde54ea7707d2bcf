import type { JobRecord, Jobs } from '#adapters/postgres/jobs.ts';
import { isDigest, type Digest } from '#artifact/digest.ts';
import { Fault, faults, toFault, type FaultCode } from '#lib/fault.ts';
import { isJsonObject, parseJson } from '#lib/json.ts';
import { openQueueWorker } from '../queue-worker.ts';
import type { QueueWorker } from '../queue-worker.ts';

export const sandboxQueue = 'sandbox';

type ClaimedJob = Awaited<ReturnType<Jobs['claim']>>[number];

export interface SandboxRunsPorts {
  readonly jobs: Pick<Jobs, 'enqueue' | 'claim' | 'heartbeat' | 'complete' | 'fail' | 'newest'>;
  /** Runs the producer over the artifact and appends its evidence; decisions have been taken again when it resolves. */
  readonly perform: (namespace: string, artifact: Digest, signal: AbortSignal) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

/** Where the newest run of an artifact stands. */
export interface SandboxRunState {
  readonly state: 'none' | 'waiting' | 'running' | 'done' | 'failed';
  readonly fault: { readonly code: FaultCode; readonly message: string; readonly hint: string | null } | null;
}

/** Runs that somebody ordered, one at a time in this process. */
export interface SandboxRuns extends QueueWorker {
  /** Does nothing where a run of this artifact waits or is under way. */
  order(namespace: string, artifact: Digest): Promise<void>;
  state(namespace: string, artifact: Digest): Promise<SandboxRunState>;
}

const leaseMs = 30_000;
const beatMs = 10_000;

/**
 * The queue of the sandbox. A run that fails is not repeated: what it needs does not come by waiting, and whoever asked is
 * told. If the process stops during a run, the job is lost and says so; nothing was appended, and it can be ordered again.
 */
export function openSandboxRuns(ports: SandboxRunsPorts): SandboxRuns {
  const worker = openQueueWorker({
    claim: (count) => ports.jobs.claim({ queues: [sandboxQueue], count, leaseMs }),
    perform: (job: ClaimedJob, stop) => settle(ports, job, stop),
    width: 1,
    stopped: new Fault('server.draining', 'the server is stopping'),
    failed: ports.failed,
  });
  return {
    order: (namespace, artifact) =>
      ports.jobs.enqueue([{ namespace, queue: sandboxQueue, key: artifact, payload: {}, maxAttempts: 1 }]),
    state: async (namespace, artifact) => stateOf(await ports.jobs.newest(namespace, sandboxQueue, artifact)),
    ...worker,
  };
}

async function settle(ports: SandboxRunsPorts, job: ClaimedJob, stop: AbortSignal): Promise<void> {
  const lost = new AbortController();
  const beat = setInterval(() => {
    ports.jobs.heartbeat(job, leaseMs).then((held) => {
      if (!held) lost.abort(new Fault('database.unavailable', 'the lease of the run was lost'));
    }, ports.failed);
  }, beatMs);
  try {
    if (!isDigest(job.key)) throw new Fault('digest.invalid', `\`${job.key}\` is not a digest`);
    await ports.perform(job.namespace, job.key, AbortSignal.any([stop, lost.signal]));
    await ports.jobs.complete(job);
  } catch (error) {
    if (lost.signal.aborted) return;
    const fault = toFault(stop.aborted ? stop.reason : error);
    ports.failed(fault);
    const { code, message, hint } = fault;
    await ports.jobs.fail(job, JSON.stringify({ code, message, hint: hint ?? null }));
  } finally {
    clearInterval(beat);
  }
}

function stateOf(record: JobRecord | undefined): SandboxRunState {
  if (record === undefined) return { state: 'none', fault: null };
  if (record.state !== 'dead') return { state: record.state, fault: null };
  return { state: 'failed', fault: faultOf(record.lastError ?? '') };
}

/** A lost job has plain words instead. What was not foreseen may name paths of this machine: the log has its words. */
function faultOf(text: string): SandboxRunState['fault'] {
  const parsed = text.startsWith('{') ? parseJson(text) : undefined;
  const { code, message, hint } = isJsonObject(parsed) ? parsed : {};
  const known = Object.keys(faults).find((one): one is FaultCode => one === code);
  if (known === undefined || known === 'internal.unexpected' || typeof message !== 'string')
    return {
      code: 'internal.unexpected',
      message: 'the run did not end; the log of the server says why',
      hint: null,
    };
  return { code: known, message, hint: typeof hint === 'string' ? hint : null };
}
