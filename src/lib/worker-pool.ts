import { Worker } from 'node:worker_threads';
import type { TaskMessage, WorkerMessage } from './worker-task.ts';

/** Bytes that a worker reads: by a local path that it opens itself, or by asking this thread. */
export interface TaskSource {
  readonly sizeBytes: number;
  readonly localPath?: string | undefined;
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
}

export interface WorkerPoolOptions {
  /** The module that workers run; it calls `serveTasks`. */
  readonly script: URL;
  /** Tasks at the same time. One more worker serves lanes of which no task is under way. */
  readonly size: number;
  /** One task may take so long and hold so much heap and buffer memory; then its worker is ended. */
  readonly timeMs: number;
  readonly memoryMB: number;
}

/** `time`, `memory`, `crash` end the worker, never this process; `error` is a thrown value; `aborted` the signal. */
export type TaskOutcome<R> =
  | { readonly kind: 'done'; readonly value: R }
  | {
      readonly kind: 'failed';
      readonly reason: 'time' | 'memory' | 'crash' | 'error' | 'aborted';
      readonly message: string;
    };

/** What a task may be told. */
export interface TaskOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whose task it is; tasks of one lane give way to those of others. */
  readonly lane?: string | undefined;
}

interface Job {
  readonly lane: string;
  readonly task: unknown;
  readonly sources: readonly TaskSource[];
  readonly signal: AbortSignal | undefined;
  readonly settle: (outcome: TaskOutcome<unknown>) => void;
}

const memoryCheckMs = 250;

/**
 * A small pool of worker threads for work on foreign bytes. A task that hangs, dies or asks for too much memory costs
 * its own worker and answers `failed`; the next task gets a new worker. Idle workers do not keep the process alive.
 * Lanes are served in turns, those without a task under way first, and the last worker takes no second task of a lane:
 * whoever has many or slow tasks holds up himself.
 * Workers get no environment variables and none of this process's Node flags.
 */
export class WorkerPool<T, R> {
  readonly #options: WorkerPoolOptions;
  /** In the order in which lanes are served; a lane without jobs is not in it. */
  readonly #waiting = new Map<string, Job[]>();
  /** Tasks under way, by lane. */
  readonly #busy = new Map<string, number>();
  readonly #idle: Worker[] = [];
  #running = 0;
  #closed = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  run(task: T, sources: readonly TaskSource[] = [], options: TaskOptions = {}): Promise<TaskOutcome<R>> {
    const { signal, lane = '' } = options;
    return new Promise((resolve) => {
      const jobs = this.#waiting.get(lane) ?? [];
      // The worker's script is ours and typed by the same `T` and `R`; this is the one place that says so.
      jobs.push({ lane, task, sources, signal, settle: (outcome) => resolve(outcome as TaskOutcome<R>) });
      this.#waiting.set(lane, jobs);
      this.#next();
    });
  }

  /** Starts every worker now: a module graph takes longer to load than most tasks to run. */
  warm(): void {
    while (!this.#closed && this.#running + this.#idle.length < this.#options.size) this.#rest(this.#spawn());
  }

  /** Ends every idle worker; tasks under way finish, those that wait are aborted. */
  async close(): Promise<void> {
    this.#closed = true;
    const waiting = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    for (const job of waiting) job.settle(aborted);
    await Promise.all(this.#idle.splice(0).map((worker) => worker.terminate()));
  }

  #next(): void {
    for (let job = this.#take(); job !== undefined; job = this.#take()) {
      if (this.#closed || job.signal?.aborted === true) {
        job.settle(aborted);
        continue;
      }
      this.#running += 1;
      this.#busy.set(job.lane, (this.#busy.get(job.lane) ?? 0) + 1);
      const worker = this.#idle.pop() ?? this.#spawn();
      void this.#perform(worker, job);
    }
  }

  /** The job that may begin now; its lane goes to the end of the line. */
  #take(): Job | undefined {
    const { size } = this.#options;
    if (this.#running > size) return undefined;
    const lanes = [...this.#waiting.keys()];
    const resting = lanes.find((lane) => !this.#busy.has(lane));
    const lane = resting ?? (this.#running < size ? lanes[0] : undefined);
    const jobs = lane === undefined ? undefined : this.#waiting.get(lane);
    if (lane === undefined || jobs === undefined) return undefined;
    const job = jobs.shift();
    this.#waiting.delete(lane);
    if (jobs.length > 0) this.#waiting.set(lane, jobs);
    return job;
  }

  #spawn(): Worker {
    const worker = new Worker(this.#options.script, {
      resourceLimits: {
        maxOldGenerationSizeMb: this.#options.memoryMB,
        // What is short-lived in a scan fits; more is memory that each worker keeps without using it.
        maxYoungGenerationSizeMb: 16,
        stackSizeMb: 4,
      },
      env: {},
      execArgv: [],
      stdin: false,
    });
    worker.setMaxListeners(0);
    return worker;
  }

  async #perform(worker: Worker, job: Job): Promise<void> {
    const { outcome, reusable } = await new Attempt(worker, job, this.#options).outcome;
    this.#running -= 1;
    const others = (this.#busy.get(job.lane) ?? 1) - 1;
    if (others > 0) this.#busy.set(job.lane, others);
    else this.#busy.delete(job.lane);
    worker.removeAllListeners();
    if (reusable && !this.#closed) {
      this.#rest(worker);
    } else {
      worker.on('error', () => undefined);
      await worker.terminate();
    }
    job.settle(outcome);
    this.#next();
  }

  #rest(worker: Worker): void {
    worker.unref();
    // An idle worker that dies must not take the process with it.
    worker.on('error', () => this.#forget(worker));
    worker.on('exit', () => this.#forget(worker));
    this.#idle.push(worker);
  }

  #forget(worker: Worker): void {
    const at = this.#idle.indexOf(worker);
    if (at >= 0) this.#idle.splice(at, 1);
  }
}

const aborted = { kind: 'failed', reason: 'aborted', message: 'the work was cancelled' } as const;

interface Ending {
  readonly outcome: TaskOutcome<unknown>;
  readonly reusable: boolean;
}

/** One task on one worker, until it answers, dies or a limit is met. */
class Attempt {
  readonly outcome: Promise<Ending>;
  readonly #worker: Worker;
  readonly #job: Job;
  readonly #options: WorkerPoolOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  #end: (ending: Ending) => void = () => undefined;

  constructor(worker: Worker, job: Job, options: WorkerPoolOptions) {
    this.#worker = worker;
    this.#job = job;
    this.#options = options;
    this.outcome = new Promise<Ending>((resolve) => {
      this.#end = resolve;
      this.#start();
    }).finally(() => {
      for (const timer of this.#timers) clearTimeout(timer);
      job.signal?.removeEventListener('abort', this.#abort);
    });
  }

  readonly #abort = (): void => this.#end({ outcome: aborted, reusable: false });

  #fail(reason: 'time' | 'memory' | 'crash' | 'error', message: string): void {
    this.#end({ outcome: { kind: 'failed', reason, message }, reusable: reason === 'error' });
  }

  #start(): void {
    const { timeMs, memoryMB } = this.#options;
    const worker = this.#worker;
    worker.removeAllListeners();
    worker.ref();
    worker.on('message', (message: WorkerMessage) => this.#receive(message));
    worker.on('error', (error: Error & { code?: string }) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY')
        this.#fail('memory', `more than ${memoryMB} MB of memory`);
      else this.#fail('crash', error.message);
    });
    worker.on('exit', (code) => this.#fail('crash', `the worker ended with code ${code}`));
    this.#job.signal?.addEventListener('abort', this.#abort);
    this.#timers.push(setTimeout(() => this.#fail('time', `longer than ${timeMs} ms`), timeMs));
    this.#timers.push(setInterval(() => void this.#checkMemory(), memoryCheckMs));
    this.#send({
      kind: 'task',
      task: this.#job.task,
      sources: this.#job.sources.map(({ localPath, sizeBytes }) => ({ localPath, sizeBytes })),
    });
  }

  #send(message: TaskMessage): void {
    // A worker thread has no origin; the rule is about windows.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    this.#worker.postMessage(message);
  }

  #receive(message: WorkerMessage): void {
    if (message.kind === 'done')
      this.#end({ outcome: { kind: 'done', value: message.value }, reusable: true });
    else if (message.kind === 'error') this.#fail('error', message.message);
    else void this.#answerRead(message);
  }

  async #answerRead({ id, source, offset, lengthBytes }: WorkerMessage & { kind: 'read' }): Promise<void> {
    try {
      const bytes = await this.#job.sources[source]?.read(offset, lengthBytes);
      this.#send({ kind: 'bytes', id, bytes });
    } catch (error) {
      this.#send({
        kind: 'bytes',
        id,
        bytes: undefined,
        message: error instanceof Error ? error.message : '',
      });
    }
  }

  /** `resourceLimits` bound the JavaScript heap; buffers live outside it and are bounded here. */
  async #checkMemory(): Promise<void> {
    try {
      const { external_memory: externalBytes } = await this.#worker.getHeapStatistics();
      const { memoryMB } = this.#options;
      if (externalBytes > memoryMB * 1024 * 1024) this.#fail('memory', `more than ${memoryMB} MB of buffers`);
    } catch {
      // The worker ended while it was asked; its `exit` event says how.
    }
  }
}
