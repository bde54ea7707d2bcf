import type { Clock } from '#lib/clock.ts';
import { toFault } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import type { Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import { roleOf } from '#artifact/roles.ts';
import type { Arrival, Listing } from '#gates/pull/ports.ts';
import { listingName } from './remembered.ts';

/** How long a failed arrival is answered from memory before it is tried again. */
const failureKeptMs = 5_000;
/** A lie does not become true by asking again soon, and a client that resumes must hear of it. */
const lieKeptMs = 60_000;
const keptFlights = 5_000;
/** After this long a settled commit is looked at again, so that evidence that has grown old is made anew. */
const settledForMs = 24 * 3600 * 1000;

interface Failure {
  readonly fault: Fault;
  readonly atMs: number;
}

interface Flight {
  readonly listing: Listing;
  readonly startedAtMs: number;
  snapshot: Snapshot | undefined;
  /** When each path was settled; what steers loading always is once any path (or `noPath`) is. */
  readonly ready: Map<string, number>;
  /** Why each path is not; under `noPath` what failed for the commit as a whole. */
  readonly failures: Map<string, Failure>;
  wanted: Set<string>;
  running: Promise<void> | undefined;
  phase: FlightPhase;
  roundStartedAtMs: number;
  bringing: readonly string[];
}

/** Stands for the commit itself: no path is empty. */
const noPath = '';

/** `listing`: the manifest is made; `fetching`: bytes arrive; `inspecting`: producers read them and their evidence is logged. */
export type FlightPhase = 'listing' | 'fetching' | 'inspecting';

/** An arrival as people see it. */
export interface FlightProgress {
  readonly listing: Listing;
  readonly artifact: Digest | undefined;
  readonly phase: FlightPhase;
  readonly sinceMs: number;
  /** Paths that this round was asked for; what steers loading comes with them. */
  readonly paths: readonly string[];
}

/** The arrivals under way and settled in this process: one at a time per commit, whoever asks. */
export interface Flights {
  /** Resolves when these paths are settled or failed; never rejects. */
  join(listing: Listing, paths: readonly string[]): Promise<Arrival>;
  /** Where it stands now, without starting anything; undefined where this process knows nothing. */
  look(listing: Listing, paths: readonly string[]): Arrival | undefined;
  /** The artifact of a commit whose manifest is known here. */
  snapshotOf(listing: Listing): Snapshot | undefined;
  /** What is running now, oldest first. */
  underWay(): readonly FlightProgress[];
}

export interface FlightPorts {
  readonly clock: Clock;
  /** The manifest and its observation. */
  readonly take: (listing: Listing) => Promise<Snapshot>;
  /** Bytes of and evidence about these paths and everything that steers loading. */
  readonly bring: (snapshot: Snapshot, paths: readonly string[], fetched: () => void) => Promise<void>;
  readonly took: (seconds: number) => void;
  /** Is told of every failure; `path` is empty where it is the commit's as a whole. */
  readonly failed?: (listing: Listing, path: string, fault: Fault) => void;
}

function nameOf(listing: Listing): string {
  return listingName(listing.namespace, listing.repository, listing.commit);
}

export function openFlights(ports: FlightPorts): Flights {
  const flights = new Map<string, Flight>();
  const flightOf = (listing: Listing): Flight => {
    const name = nameOf(listing);
    const known = flights.get(name);
    if (known !== undefined) return known;
    if (flights.size >= keptFlights) forgetIdle(flights);
    const flight: Flight = {
      startedAtMs: ports.clock.now(),
      snapshot: undefined,
      ready: new Map(),
      failures: new Map(),
      wanted: new Set(),
      running: undefined,
      phase: 'listing',
      roundStartedAtMs: 0,
      bringing: [],
      listing,
    };
    flights.set(name, flight);
    return flight;
  };
  /** Starts the next round where none runs; a round takes everything that was wanted up to its start. */
  const advance = (listing: Listing, flight: Flight): Promise<void> => {
    flight.running ??= runRound(ports, listing, flight).finally(() => {
      flight.running = undefined;
    });
    return flight.running;
  };
  return {
    join: async (listing, paths) => {
      const flight = flightOf(listing);
      for (;;) {
        const state = stateOf(ports.clock, flight, paths);
        if (state !== undefined) return state;
        for (const path of [noPath, ...paths]) flight.wanted.add(path);
        await advance(listing, flight);
      }
    },
    look: (listing, paths) => {
      const flight = flights.get(nameOf(listing));
      if (flight === undefined) return undefined;
      const pending: Arrival = { kind: 'pending', since: flight.startedAtMs, retryAfterSeconds: 2 };
      return stateOf(ports.clock, flight, paths) ?? pending;
    },
    snapshotOf: (listing) => flights.get(nameOf(listing))?.snapshot,
    underWay: () =>
      [...flights.values()]
        .filter(({ running }) => running !== undefined)
        .map((flight) => ({
          listing: flight.listing,
          artifact: flight.snapshot?.artifact,
          phase: flight.phase,
          sinceMs: flight.roundStartedAtMs,
          paths: flight.bringing,
        }))
        .sort((a, b) => a.sinceMs - b.sinceMs),
  };
}

function stateOf(clock: Clock, flight: Flight, paths: readonly string[]): Arrival | undefined {
  const nowMs = clock.now();
  const needed = [noPath, ...paths];
  for (const path of needed) {
    const failure = flight.failures.get(path);
    if (failure !== undefined && nowMs - failure.atMs < keptMs(failure.fault))
      return { kind: 'failed', fault: failure.fault };
  }
  const settled = needed.every((path) => nowMs - settledAtMs(flight, path) < settledForMs);
  return flight.snapshot !== undefined && settled ? arrived(flight.snapshot, paths) : undefined;
}

function keptMs(fault: Fault): number {
  return fault.code === 'upstream.lied' ? lieKeptMs : failureKeptMs;
}

/** A file that steers loading is settled with the commit: every round brings all of them. */
function settledAtMs({ ready }: Flight, path: string): number {
  return ready.get(path) ?? (roleOf(path) === 'steering' ? ready.get(noPath) : undefined) ?? -Infinity;
}

async function runRound(ports: FlightPorts, listing: Listing, flight: Flight): Promise<void> {
  const begunMs = ports.clock.now();
  const paths = [...flight.wanted].filter((path) => path !== noPath);
  flight.wanted = new Set();
  [flight.phase, flight.roundStartedAtMs, flight.bringing] = ['listing', begunMs, paths];
  const fail = (path: string, error: unknown): void => {
    const fault = toFault(error);
    flight.failures.set(path, { fault, atMs: ports.clock.now() });
    ports.failed?.(listing, path, fault);
  };
  const settle = (settled: readonly string[]): void => {
    for (const path of [noPath, ...settled]) {
      flight.failures.delete(path);
      flight.ready.set(path, begunMs);
    }
  };
  try {
    const snapshot = await ports.take(listing);
    flight.snapshot = snapshot;
    await bringAll(bringOf(ports, flight), { snapshot, paths }, settle, fail);
  } catch (error) {
    fail(noPath, error);
  }
  ports.took((ports.clock.now() - begunMs) / 1000);
}

type Bring = (snapshot: Snapshot, paths: readonly string[]) => Promise<void>;

function bringOf(ports: FlightPorts, flight: Flight): Bring {
  return (snapshot, paths) => {
    flight.phase = 'fetching';
    return ports.bring(snapshot, paths, () => (flight.phase = 'inspecting'));
  };
}

/** All paths together; where that fails, one by one, so that one bad file does not refuse its neighbours. */
async function bringAll(
  bring: Bring,
  { snapshot, paths }: { readonly snapshot: Snapshot; readonly paths: readonly string[] },
  settle: (paths: readonly string[]) => void,
  fail: (path: string, error: unknown) => void,
): Promise<void> {
  try {
    await bring(snapshot, paths);
    return settle(paths);
  } catch (error) {
    if (paths.length === 0) throw error;
    if (paths.length === 1) return fail(paths[0] ?? noPath, error);
    // Upstream or the database is away: asking a thousand times more would only make everybody wait for the same answer.
    if (toFault(error).row.retryable) {
      for (const path of paths) fail(path, error);
      return;
    }
  }
  await bring(snapshot, []);
  settle([]);
  for (const path of paths) {
    try {
      await bring(snapshot, [path]);
      settle([path]);
    } catch (error) {
      fail(path, error);
    }
  }
}

function forgetIdle(flights: Map<string, Flight>): void {
  for (const [name, flight] of flights) {
    if (flight.running !== undefined) continue;
    flights.delete(name);
    return;
  }
}

function arrived(snapshot: Snapshot, paths: readonly string[]): Arrival {
  const asked = new Set(paths);
  const digests = new Map<string, Digest>();
  for (const file of snapshot.files) if (asked.has(file.path)) digests.set(file.path, file.digest);
  return { kind: 'ready', artifact: snapshot.artifact, digests };
}
