import type { BlobStore } from '#artifact/blob-store.ts';
import type { Delivery, Following } from '#gates/pull/ports.ts';
import { toFault } from '#lib/fault.ts';

/** How far a transfer has come: bytes are given out up to `length`. */
interface Arriving {
  readonly bytes: Buffer;
  length: number;
  /** Why it ended early. */
  fault: Error | undefined;
  /** Called whenever anything changed. */
  readonly waiting: Set<() => void>;
}

/** Lets transfers into a store be followed, and held up where a test wants them. */
export interface ArrivingBytes {
  /** A store that shows what is put into it while it arrives. */
  through(name: string, sizeBytes: number, blobs: BlobStore): BlobStore;
  /** Resolves with the first bytes; undefined where nothing of that name arrives or the signal aborts. */
  follow(name: string, delivery: Delivery, signal: AbortSignal): Promise<Following | undefined>;
  /** No transfer goes past this offset until it is moved. */
  stopAt(offset: number): void;
  /** What was given out of this transfer so far is void; it starts again from nothing. */
  discard(name: string): void;
  /** The arrival of this transfer is settled: its bytes are kept for those only who follow it. */
  settled(name: string): void;
  names(): readonly string[];
  /** Followings that are open. */
  open(): number;
}

const sniffedBytes = 4096;

export function arrivingBytes(): ArrivingBytes {
  const transfers = new Map<string, Arriving>();
  const moved = new Set<() => void>();
  let [stop, opened] = [Number.POSITIVE_INFINITY, 0];
  const notify = (waiting: Set<() => void>): void => {
    for (const wake of Array.from(waiting)) wake();
  };
  const mustWait = (arrived: number): boolean => arrived >= stop;
  async function* teed(
    name: string,
    sizeBytes: number,
    source: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    const made: Arriving = {
      bytes: Buffer.alloc(sizeBytes),
      length: 0,
      fault: undefined,
      waiting: new Set(),
    };
    transfers.set(name, made);
    let arrived = 0;
    const current = (): Arriving => transfers.get(name) ?? made;
    try {
      for await (const chunk of source) {
        for (let at = 0; at < chunk.length;) {
          while (mustWait(arrived)) await change(moved);
          const part = chunk.subarray(at, Math.min(chunk.length, at + Math.max(1, stop - arrived)));
          const transfer = current();
          transfer.bytes.set(part, Math.min(arrived, sizeBytes));
          [at, arrived] = [at + part.length, arrived + part.length];
          transfer.length = arrived;
          notify(transfer.waiting);
        }
        yield chunk;
      }
    } catch (error) {
      current().fault = toFault(error);
      notify(current().waiting);
      throw error;
    }
  }
  const followingOf = (transfer: Arriving, delivery: Delivery): Following => {
    opened += 1;
    return {
      sizeBytes: transfer.bytes.length,
      format: 'unknown',
      delivery,
      readInto: async (target, offset, signal) => {
        for (;;) {
          signal.throwIfAborted();
          if (transfer.fault !== undefined) throw transfer.fault;
          const read = Math.min(target.length, transfer.length - offset);
          if (read > 0) return transfer.bytes.copy(target, 0, offset, offset + read);
          if (offset >= transfer.bytes.length) return 0;
          await change(transfer.waiting, signal);
        }
      },
      close: () => void (opened -= 1),
    };
  };
  return {
    through: (name, sizeBytes, blobs) => ({
      ...blobs,
      put: (source, expected) =>
        blobs.put(source instanceof Uint8Array ? source : teed(name, sizeBytes, source), expected),
    }),
    follow: async (name, delivery, signal) => {
      const enough = (): boolean => {
        const transfer = transfers.get(name);
        return transfer !== undefined && transfer.length >= Math.min(sniffedBytes, transfer.bytes.length);
      };
      while (!enough() && !signal.aborted) await change(transfers.get(name)?.waiting ?? moved, signal, 20);
      const transfer = transfers.get(name);
      if (transfer?.fault !== undefined) throw transfer.fault;
      return transfer === undefined || signal.aborted ? undefined : followingOf(transfer, delivery);
    },
    stopAt: (offset) => {
      stop = offset;
      notify(moved);
    },
    discard: (name) => {
      const thrown = transfers.get(name);
      if (thrown === undefined) return;
      thrown.fault = new Error('the transfer was thrown away');
      transfers.set(name, { ...thrown, fault: undefined, waiting: new Set() });
      notify(thrown.waiting);
    },
    settled: (name) => void transfers.delete(name),
    names: () => [...transfers.keys()],
    open: () => opened,
  };
}

/** Until somebody is notified, the signal aborts or, where given, some milliseconds have passed. */
function change(waiting: Set<() => void>, signal?: AbortSignal, mostMs?: number): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      waiting.delete(wake);
      signal?.removeEventListener('abort', wake);
      clearTimeout(timer);
      resolve();
    };
    const timer = mostMs === undefined ? undefined : setTimeout(wake, mostMs);
    waiting.add(wake);
    signal?.addEventListener('abort', wake);
  });
}
