import type { ServerResponse } from 'node:http';
import type { Following } from './ports.ts';
import type { TailPlan } from './tail-plan.ts';

/** One read and one write. A thousand followers hold one each, also while they wait for bytes. */
const stepBytes = 48 * 1024;
const keptBuffers = 16;
const free: Buffer[] = [];

/** How the sending of a tail ended: `expired` = the verdict did not come, `stopped` = by `stop`. */
export type TailEnd = 'complete' | 'left' | 'expired' | 'stopped';

/** The body of one answer that is sent while its verdict is pending. Its head has been written. */
export interface TailBody {
  /** Sends until the part is complete. Rejects with the Fault that ended the transfer. */
  run(): Promise<TailEnd>;
  /** The verdict is yes: everything may leave. */
  release(): void;
  /** Not one byte more. */
  stop(): void;
  /** Bytes that the socket has taken. */
  sentBytes(): number;
}

export interface TailPace {
  readonly trickleMs: number;
  /** How long the held part is waited for. */
  readonly capMs: number;
}

/**
 * Sends what the plan lets pass as it arrives, then a byte now and then, and the rest after `release`. A byte is read only
 * once it may leave, so nothing that is withheld is ever in a buffer of the connection.
 */
export function openTailBody(
  response: ServerResponse,
  following: Following,
  plan: TailPlan,
  pace: TailPace,
): TailBody {
  const { part } = plan;
  const stopping = new AbortController();
  const state = { position: part.start, released: false, heldSinceMs: 0, wake: (): void => undefined };
  const { socket } = response.req;
  const leave = (): void => stopping.abort();
  const over = (): boolean => stopping.signal.aborted || response.destroyed || socket.destroyed;

  /** Reads up to `end` and writes it; returns when the socket has taken it. */
  const step = async (end: number): Promise<void> => {
    const buffer = free.pop() ?? Buffer.allocUnsafeSlow(stepBytes);
    const target = buffer.subarray(0, Math.min(stepBytes, end - state.position));
    // A read that was given up may still be filling the buffer: only one that ended is used again.
    const read = await following.readInto(target, state.position, stopping.signal);
    if (read === 0) throw new Error('a followed file ended before its size');
    if (!over()) {
      const last = state.position + read === part.end;
      await written(response, target.subarray(0, read), last);
      if (last ? response.writableFinished : !socket.destroyed) state.position += read;
    }
    if (free.length < keptBuffers) free.push(buffer);
  };
  /** Until the next byte may leave, or something happened. */
  const rest = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, pace.trickleMs);
      state.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const send = async (): Promise<TailEnd> => {
    while (!over() && state.position < part.end) {
      const limit = state.released ? part.end : plan.freeEnd;
      if (state.position < limit) {
        await step(limit);
        continue;
      }
      if (state.heldSinceMs === 0) state.heldSinceMs = performance.now();
      else if (performance.now() - state.heldSinceMs >= pace.capMs) return 'expired';
      else if (state.position < plan.trickleEnd) await step(state.position + 1);
      if (!state.released && !over()) await rest();
    }
    return state.position === part.end ? 'complete' : 'left';
  };
  return {
    run: async () => {
      socket.once('close', leave);
      stopping.signal.addEventListener('abort', () => state.wake());
      try {
        const end = await send();
        return end === 'left' && !socket.destroyed ? 'stopped' : end;
      } catch (error) {
        if (!over()) throw error;
        return socket.destroyed ? 'left' : 'stopped';
      } finally {
        socket.off('close', leave);
      }
    },
    release: () => {
      state.released = true;
      state.wake();
    },
    stop: leave,
    sentBytes: () => state.position - part.start,
  };
}

/** Settles when the socket has taken the bytes, or when the caller is gone. */
function written(response: ServerResponse, bytes: Buffer, last: boolean): Promise<void> {
  const { socket } = response.req;
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('close', done);
      resolve();
    };
    // The response of a pipelined request has no socket yet and would never hear that the connection closed.
    socket.once('close', done);
    if (socket.destroyed) done();
    else if (last) response.end(bytes, done);
    else response.write(bytes, done);
  });
}
