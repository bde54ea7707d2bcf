import { availableParallelism } from 'node:os';
import { limits } from '#lib/limits.ts';
import { WorkerPool, type TaskOutcome, type TaskSource } from '#lib/worker-pool.ts';
import { judge, type Judgement } from './finding.ts';
import type { ScanTask, ScanTaskResult } from './scan-task.ts';

/** How a reason begins that is one of this machine's, not of the bytes: another scan may answer otherwise. */
export const notFinished = 'not finished:';

export interface ScannerOptions {
  readonly workers?: number;
  readonly timeMs?: number;
  readonly memoryMB?: number;
  /** The worker's module; tests plant one that hangs. */
  readonly script?: URL;
}

export interface ScannableFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly formats: readonly string[];
  readonly source: TaskSource | undefined;
}

/**
 * Scans in worker threads with limits on time and memory. Whatever happens to a worker becomes the answer for that
 * file, `inconclusive` with the reason; nothing is thrown but the abort of the caller's own signal. `lane`: whose file
 * it is, so that one artifact with slow files does not hold up the others.
 */
export interface Scanner extends AsyncDisposable {
  scanBlob(source: TaskSource, signal?: AbortSignal, lane?: string): Promise<Judgement>;
  /** A blob that is elsewhere (`triage-blob.ts`); `requests`: how many the members of an archive may cost. */
  triageBlob(source: TaskSource, requests: number, signal?: AbortSignal): Promise<Judgement>;
  scanArtifact(files: readonly ScannableFile[], signal?: AbortSignal, lane?: string): Promise<Judgement>;
  /** Starts the workers before the first file arrives. */
  warm(): void;
  close(): Promise<void>;
}

/** Worker modules have the extension of this file: `.ts` from source, `.js` when compiled. */
const workerScript = new URL(
  `./scan-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`,
  import.meta.url,
);

/** Opens a scanner; workers start when the first files arrive and do not keep the process alive. */
export function openScanner(options: ScannerOptions = {}): Scanner {
  const pool = new WorkerPool<ScanTask, ScanTaskResult>({
    script: options.script ?? workerScript,
    size: options.workers ?? availableParallelism(),
    timeMs: options.timeMs ?? limits.scanTimeMs,
    memoryMB: options.memoryMB ?? limits.scanMemoryMB,
  });
  const close = (): Promise<void> => pool.close();
  return {
    async scanBlob(source, signal, lane) {
      return judgementOf(await pool.run({ kind: 'blob' }, [source], { signal, lane }), signal);
    },
    async triageBlob(source, requests, signal) {
      return judgementOf(await pool.run({ kind: 'triage', requests }, [source], { signal }), signal);
    },
    async scanArtifact(files, signal, lane) {
      const sources: TaskSource[] = [];
      const listed = files.map(({ path, sizeBytes, formats, source }) => {
        if (source === undefined) return { path, sizeBytes, formats, source: undefined };
        sources.push(source);
        return { path, sizeBytes, formats, source: sources.length - 1 };
      });
      return judgementOf(
        await pool.run({ kind: 'artifact', files: listed }, sources, { signal, lane }),
        signal,
      );
    },
    warm: () => pool.warm(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function judgementOf(outcome: TaskOutcome<ScanTaskResult>, signal: AbortSignal | undefined): Judgement {
  if (outcome.kind === 'done') return outcome.value;
  if (outcome.reason === 'aborted') signal?.throwIfAborted();
  const reason = {
    time: 'the scan took too long',
    memory: 'the scan needed too much memory',
    crash: 'the scanner ended while reading the file',
    error: 'the file cannot be read',
    aborted: 'the scan was cancelled',
  }[outcome.reason];
  return judge(['unknown'], [], [`${notFinished} ${reason}: ${outcome.message}`]);
}
