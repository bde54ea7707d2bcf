import { closeSync, openSync, readSync } from 'node:fs';
import type { SandboxEvent } from '#producers/sandbox/runner-port.ts';
import { eventOf } from './trace-events.ts';
import { TraceLines } from './trace-line.ts';

/** Reads a trace while it is written. */
export interface TraceFollower {
  /** Tasks (processes and threads) that were ever seen. */
  tasks(): number;
  /** Those that have not ended. */
  alive(): Iterable<number>;
  /** Was there more trace than `mostBytes`? */
  overflowed(): boolean;
  /** Did the observer ask for the end? */
  refused(): boolean;
  /** Reads what is left; call it after the writer ended. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

const followMs = 50;
const stepBytes = 1024 * 1024;

/** `observe` is told of every event in the order of the trace, and of nothing more after it answered false. */
export function followTrace(
  path: string,
  mostBytes: number,
  observe: (event: SandboxEvent) => boolean,
): TraceFollower {
  const descriptor = openSync(path, 'r');
  const lines = new TraceLines();
  const seen = new Set<number>();
  const alive = new Set<number>();
  const buffer = Buffer.alloc(stepBytes);
  let offset = 0;
  let rest = Buffer.alloc(0);
  let refused = false;

  const take = (text: string): void => {
    const line = lines.read(text);
    if (line === undefined || refused) return;
    if (line.kind === 'unreadable') {
      refused = !observe({ kind: 'unreadable', failed: undefined });
      return;
    }
    seen.add(line.task);
    if (line.kind === 'ended') {
      alive.delete(line.task);
      if (line.signal !== undefined)
        refused = !observe({ kind: 'signal', failed: undefined, signal: line.signal });
      return;
    }
    alive.add(line.task);
    if (line.kind === 'other') return;
    const event = eventOf(line);
    if (event !== undefined) refused = !observe(event);
  };
  /** One step at most, so that the event loop turns while a trace grows quickly. */
  const step = (): boolean => {
    if (offset >= mostBytes || refused) return false;
    const read = readSync(descriptor, buffer, 0, stepBytes, offset);
    if (read === 0) return false;
    offset += read;
    const bytes = Buffer.concat([rest, buffer.subarray(0, read)]);
    const end = bytes.lastIndexOf(0x0a) + 1;
    rest = bytes.subarray(end);
    for (const line of bytes.toString('utf8', 0, end).split('\n')) if (line !== '') take(line);
    return true;
  };
  const timer = setInterval(step, followMs);
  return {
    tasks: () => seen.size,
    alive: () => alive,
    overflowed: () => offset >= mostBytes,
    refused: () => refused,
    finish: async () => {
      clearInterval(timer);
      while (step()) await new Promise((resolve) => setImmediate(resolve));
      // Half a line: the writer was stopped in the middle of it.
      if (rest.length > 0 && !refused) observe({ kind: 'unreadable', failed: undefined });
    },
    close: () => {
      clearInterval(timer);
      closeSync(descriptor);
      return Promise.resolve();
    },
  };
}
