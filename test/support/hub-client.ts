import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LargeModel } from './large-model.ts';

export interface Download {
  /** Bytes that came, each checked against the model. */
  readonly receivedBytes: number;
  readonly connections: number;
  readonly wrong: boolean;
  readonly statuses: readonly number[];
}

export interface DownloadOptions {
  readonly start?: number;
  /** Leaves for good after this many bytes. */
  readonly leaveAfter?: number;
  /** Called with every total; for tests that wait for a place. */
  readonly progressed?: (receivedBytes: number) => void;
  readonly deadlineMs: number;
}

/**
 * A download as huggingface_hub does one: on a broken connection, or 10 s without a byte, it waits a second and asks for the
 * rest by Range. Nothing is kept; every byte is compared as it comes.
 */
export async function download(url: string, model: LargeModel, options: DownloadOptions): Promise<Download> {
  const start = options.start ?? 0;
  const until = performance.now() + options.deadlineMs;
  let position = start;
  let connections = 0;
  let wrong = false;
  const statuses: number[] = [];
  const wanted = Math.min(model.sizeBytes, start + (options.leaveAfter ?? Infinity));
  while (position < wanted && performance.now() < until && !wrong) {
    connections += 1;
    try {
      const response = await open(url, position);
      statuses.push(response.statusCode ?? 0);
      if (response.statusCode !== 200 && response.statusCode !== 206) {
        response.resume();
        if (response.statusCode === 403 || response.statusCode === 404) break;
      } else {
        for await (const chunk of response as AsyncIterable<Buffer>) {
          if (!model.matches(chunk, position)) wrong = true;
          position += chunk.length;
          options.progressed?.(position - start);
          if (position >= wanted) break;
        }
      }
      response.destroy();
    } catch {
      // The server died or fell silent; a client resumes.
    }
    if (position < wanted) await sleep(1_000);
  }
  return { receivedBytes: position - start, connections, wrong, statuses };
}

function open(url: string, position: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = { 'user-agent': 'unknown/None; hf_hub/1.16.0; python/3.11' };
    if (position > 0) headers['range'] = `bytes=${position}-`;
    const request = get(url, { headers, agent: false }, resolve);
    request.on('error', reject);
    // An interim answer is a byte too; Node tells of it here and restarts its time-out.
    request.setTimeout(10_000, () => request.destroy(new Error('no byte for 10 s')));
  });
}
