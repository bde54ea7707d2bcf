import type { Clock } from '#lib/clock.ts';
import { toFault } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import type { Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Arrival, Listing } from '#gates/pull/ports.ts';
import { listingName } from './listings.ts';

/** How long a failed arrival is answered from memory before it is tried again. */
const failureKeptMs = 5_000;
const keptFlights = 5_000;

interface Flight {
  readonly startedAtMs: number;
  snapshot: Snapshot | undefined;
  /** Paths whose files and evidence are settled; what steers loading always is once `snapshot` is set. */
  readonly ready: Set<string>;
  wanted: Set<string>;
  running: Promise<void> | undefined;
  failure: { readonly fault: Fault; readonly atMs: number } | undefined;
}

/** The arrivals under way and settled in this process: one at a time per commit, whoever asks. */
export interface Flights {
  /** Resolves when these paths are settled or failed; never rejects. */
  join(listing: Listing, paths: readonly string[]): Promise<Arrival>;
  /** Where it stands now, without starting anything; undefined where this process knows nothing. */
  look(listing: Listing, paths: readonly string[]): Arrival | undefined;
  /** The artifact of a commit whose manifest is known here. */
  snapshotOf(listing: Listing): Snapshot | undefined;
}

export interface FlightPorts {
  readonly clock: Clock;
  readonly arrive: (listing: Listing, paths: readonly string[]) => Promise<Snapshot>;
  readonly took: (seconds: number) => void;
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
      ready: new Set(),
      wanted: new Set(),
      running: undefined,
      failure: undefined,
    };
    flights.set(name, flight);
    return flight;
  };
  const run = async (listing: Listing, flight: Flight): Promise<void> => {
    const begun = ports.clock.now();
    const paths = [...flight.wanted];
    flight.wanted = new Set();
    try {
      const snapshot = await ports.arrive(listing, paths);
      flight.failure = undefined;
      flight.snapshot = snapshot;
      for (const path of paths) flight.ready.add(path);
    } catch (error) {
      flight.failure = { fault: toFault(error), atMs: ports.clock.now() };
    }
    ports.took((ports.clock.now() - begun) / 1000);
  };
  /** Starts the next round where none runs; a round takes everything that was wanted up to its start. */
  const advance = (listing: Listing, flight: Flight): Promise<void> => {
    flight.running ??= run(listing, flight).finally(() => {
      flight.running = undefined;
    });
    return flight.running;
  };
  const stateOf = (flight: Flight, paths: readonly string[]): Arrival | undefined => {
    if (flight.snapshot !== undefined && paths.every((path) => flight.ready.has(path)))
      return arrived(flight.snapshot, paths);
    if (flight.failure !== undefined && ports.clock.now() - flight.failure.atMs < failureKeptMs) {
      return { kind: 'failed', fault: flight.failure.fault };
    }
    return undefined;
  };
  return {
    join: async (listing, paths) => {
      const flight = flightOf(listing);
      for (;;) {
        const state = stateOf(flight, paths);
        if (state !== undefined) return state;
        for (const path of paths) if (!flight.ready.has(path)) flight.wanted.add(path);
        await advance(listing, flight);
      }
    },
    look: (listing, paths) => {
      const flight = flights.get(nameOf(listing));
      if (flight === undefined) return undefined;
      return stateOf(flight, paths) ?? { kind: 'pending', since: flight.startedAtMs, retryAfterSeconds: 2 };
    },
    snapshotOf: (listing) => flights.get(nameOf(listing))?.snapshot,
  };
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
