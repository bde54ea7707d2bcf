import type { Clock } from '#lib/clock.ts';
import { toFault } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import { Fill } from './fill.ts';
import type { FillPorts, FillReader, FillSource, FillState } from './fill.ts';
import { openSlots, type Turns } from './slots.ts';

/** How long what ended a transfer is answered from memory: a lie does not become true by asking again soon. */
const lieKeptMs = 60_000;
const failureKeptMs = 5_000;
const keptFailures = 10_000;

/** A transfer as people see it. */
export interface FillProgress {
  readonly source: FillSource;
  readonly state: FillState;
  readonly sinceMs: number;
  /** Of this process; what an earlier one left is not counted. */
  readonly receivedBytes: number;
  readonly readers: number;
}

/** A file that can be read along. */
export interface FollowedFill extends FillReader {
  /** What its first bytes are; waits for them. */
  format(): Promise<string>;
}

/** One transfer per file, whoever asks for it and however often. */
export interface Fills {
  /** Resolves when the blob is stored and visible in the namespace; rejects with the Fault that ended the transfer. */
  fetch(source: FillSource): Promise<void>;
  /**
   * Reads along, beginning the transfer where none is under way. Undefined while the same bytes come from somewhere else:
   * what another repository sends is nothing to stream. Throws the Fault of a transfer that ended shortly before.
   */
  follow(source: FillSource): FollowedFill | undefined;
  /** Are these bytes on their way, from wherever? */
  isUnderWay(source: FillSource): boolean;
  underWay(): readonly FillProgress[];
  /** Resolves when no transfer is under way: after the signal was aborted, when what they wrote is noted. */
  settled(): Promise<void>;
}

export interface FillsPorts extends FillPorts {
  readonly clock: Clock;
  /** Transfers at the same time. */
  readonly width: number;
  /** When a transfer gives way to others; the usual times where absent. */
  readonly turns?: Turns;
}

export function openFills(ports: FillsPorts): Fills {
  const fills = new Map<string, Fill>();
  const open = new Set<Promise<void>>();
  const failures = openFailures(ports);
  const slot = openSlots(ports.width, ports.turns);
  const begin = (source: FillSource): Fill => {
    failures.refuse(source);
    const fill = new Fill(source, ports, { nowMs: ports.clock.now(), slot });
    const name = bytesName(source);
    fills.set(name, fill);
    open.add(fill.closed);
    void fill.closed.finally(() => open.delete(fill.closed));
    fill.done.then(
      () => void fills.delete(name),
      (error: unknown) => {
        fills.delete(name);
        if (!ports.signal.aborted) failures.keep(source, toFault(error));
      },
    );
    return fill;
  };
  return {
    fetch: async (source) => {
      for (;;) {
        const running = fills.get(bytesName(source));
        if (running === undefined || sourceName(running.source) === sourceName(source))
          return (running ?? begin(source)).done;
        // The same bytes from somewhere else: where they turn out to be others, this source is asked itself.
        if (await succeeded(running.done)) return undefined;
      }
    },
    follow: (source) => {
      const running = fills.get(bytesName(source));
      if (running !== undefined && sourceName(running.source) !== sourceName(source)) return undefined;
      const fill = running ?? begin(source);
      return { ...fill.open(), format: () => fill.format() };
    },
    isUnderWay: (source) => fills.has(bytesName(source)),
    underWay: () =>
      [...fills.values()].map((fill) => ({
        source: fill.source,
        state: fill.state,
        sinceMs: fill.sinceMs,
        receivedBytes: fill.receivedBytes,
        readers: fill.readers,
      })),
    settled: async () => {
      await Promise.allSettled(open);
    },
  };
}

function succeeded(done: Promise<void>): Promise<boolean> {
  return done.then(
    () => true,
    () => false,
  );
}

/** Two transfers of the same bytes would write to one partial. */
function bytesName({ namespace, file }: FillSource): string {
  return `${namespace} ${file.lfsDigest}`;
}

/** Another commit may declare the same bytes and send others: whose word it is belongs to the name. */
function sourceName(source: FillSource): string {
  const { repository, commit, file } = source;
  return `${bytesName(source)} ${repository.type}/${repository.id}@${commit} ${file.path}`;
}

/** Why transfers ended, for a while. */
function openFailures({ clock }: Pick<FillsPorts, 'clock'>) {
  const kept = new Map<string, { readonly fault: Fault; readonly untilMs: number }>();
  return {
    keep: (source: FillSource, fault: Fault): void => {
      if (kept.size >= keptFailures) kept.delete(kept.keys().next().value ?? '');
      const keptMs = fault.code === 'upstream.lied' ? lieKeptMs : failureKeptMs;
      kept.set(sourceName(source), { fault, untilMs: clock.now() + keptMs });
    },
    refuse: (source: FillSource): void => {
      const failure = kept.get(sourceName(source));
      if (failure === undefined) return;
      if (clock.now() < failure.untilMs) throw failure.fault;
      kept.delete(sourceName(source));
    },
  };
}
