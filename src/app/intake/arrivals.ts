import type { Leases } from '#adapters/postgres/leases.ts';
import type { BlobStore } from '#artifact/blob-store.ts';
import type { Catalog, Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import type { PartialStore } from '#artifact/partial-store.ts';
import type { Ledger } from '#evidence/ledger.ts';
import type { IncidentKind } from '#evidence/predicates.ts';
import type { Statement } from '#evidence/statement.ts';
import type { Intake, Listing } from '#gates/pull/ports.ts';
import type { Clock } from '#lib/clock.ts';
import type { Fault } from '#lib/fault.ts';
import type { ProducerInput } from '#producers/producer.ts';
import type { ProducerTable } from '#producers/producers.ts';
import type { Configuration } from '../config.ts';
import type { OwnedNames } from './owned-names.ts';
import { bring, inputOf, takeSnapshot } from './arrive.ts';
import type { ArrivalPorts } from './arrive.ts';
import type { OpenDelivery } from '../delivery.ts';
import { openFills } from './fills.ts';
import type { FillProgress, Fills } from './fills.ts';
import { openFlights } from './flights.ts';
import type { FlightProgress } from './flights.ts';
import { openIncidents } from './incidents.ts';
import type { Incidents, IncidentSource } from './incidents.ts';
import { encodeArrivalJob, openIntake } from './intake.ts';
import { knownStatements } from './known.ts';
import { openListings } from './listings.ts';
import type { Listings } from './listings.ts';
import type { Upstream } from './upstream.ts';
import { intakeQueue, openWorker } from './worker.ts';
import type { IntakeJobs } from './worker.ts';
import { unrepeated } from './unrepeated.ts';

export interface ArrivalsPorts {
  readonly configuration: Configuration;
  readonly clock: Clock;
  readonly stores: {
    readonly blobs: BlobStore;
    readonly partials: PartialStore;
    readonly leases: Pick<Leases, 'acquire'>;
  };
  readonly delivery: Pick<OpenDelivery, 'modeOf'>;
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly jobs: IntakeJobs;
  readonly table: ProducerTable;
  readonly upstream: Upstream;
  /** Names that are never asked for upstream. */
  readonly owned: OwnedNames;
  readonly write: (namespace: string, statements: readonly Statement[]) => Promise<void>;
  /** The files that are present have changed; what was remembered about the artifact must be read anew. */
  readonly arrived: (namespace: string, artifact: Digest) => void;
  readonly took: (seconds: number) => void;
  readonly failed: (error: unknown) => void;
  /** Is told of everything that the upstream did wrong. */
  readonly incident: (kind: IncidentKind) => void;
}

/** Everything about getting artifacts in: the gate's port, and what the rest of the house asks about it. */
export interface Arrivals {
  readonly intake: Intake;
  /** The artifact of a listing, as far as its manifest is known here. */
  artifactOf(listing: Listing): Promise<Digest | undefined>;
  references(snapshot: Snapshot): readonly string[];
  /** Brings every file of a snapshot. */
  complete(snapshot: Snapshot, signal: AbortSignal): Promise<void>;
  /** What producers see of it now. */
  input(snapshot: Snapshot, signal: AbortSignal): Promise<ProducerInput>;
  /** What is on its way now: arrivals of commits, and the transfers of large files. */
  underWay(): { readonly flights: readonly FlightProgress[]; readonly fills: readonly FillProgress[] };
  wake(): void;
  close(): Promise<void>;
}

export function openArrivals(ports: ArrivalsPorts): Arrivals {
  const stop = new AbortController();
  const { configuration, clock, catalog, jobs } = ports;
  const { incidents, note } = openRecord(ports, stop.signal);
  const listings = ports.owned.over(openHubListings(ports, note, stop.signal));
  const references = (snapshot: Snapshot) =>
    listings.references(snapshot.namespace, snapshot.repository, snapshot.commit);
  const fills = openTransfers(ports, stop.signal);
  const work = workOf(ports, { fills, references });
  const flights = openFlights({
    clock,
    take: (listing) => takeSnapshot(work, listing, stop.signal),
    bring: async (snapshot, paths, fetched) => {
      const upstream = await ports.owned.upstreamOf(snapshot, ports.upstream);
      await bring({ ...work, upstream }, snapshot, { paths, signal: stop.signal, fetched });
      ports.arrived(snapshot.namespace, snapshot.artifact);
    },
    took: ports.took,
    failed: (listing, path, fault) => note(sourceOf(listing, path, fault), fault),
  });
  const intake = openIntake({
    listings,
    flights,
    fills,
    linked: (namespace, digest) => isLinked(catalog, namespace, digest),
    delivery: ports.delivery,
    upstream: ports.upstream,
    catalog,
    remember: (key, job) =>
      jobs.enqueue([{ namespace: job.namespace, queue: intakeQueue, key, payload: encodeArrivalJob(job) }]),
    signal: stop.signal,
    upstreamWaitMs: configuration['upstream-wait'] * 1000,
  });
  const worker = openWorker({ jobs, listings, flights, failed: ports.failed });
  return {
    intake: ports.owned.before(intake),
    artifactOf: async (listing) =>
      (
        flights.snapshotOf(listing) ??
        (await catalog.findSnapshot(listing.namespace, listing.repository, listing.commit))
      )?.artifact,
    references,
    complete: async (snapshot, signal) => {
      const resolution = await intake.resolve(snapshot.namespace, snapshot.repository, snapshot.commit);
      if (resolution.kind === 'absent') return;
      const paths = snapshot.files.map((file) => file.path);
      const arrival = await flights.join(resolution.listing, paths);
      signal.throwIfAborted();
      if (arrival.kind === 'failed') throw arrival.fault;
    },
    input: (snapshot, signal) => inputOf(work, snapshot, signal),
    underWay: () => ({ flights: flights.underWay(), fills: fills.underWay() }),
    wake: worker.wake,
    close: async () => {
      stop.abort();
      await worker.close();
      await fills.settled();
      await incidents.close();
    },
  };
}

/** What the work of one arrival needs: everything of the house that it touches. */
function workOf(ports: ArrivalsPorts, own: Pick<ArrivalPorts, 'fills' | 'references'>): ArrivalPorts {
  const { clock, catalog, ledger } = ports;
  const [observe, ...inspectors] = ports.table.producers;
  if (observe === undefined) throw new Error('table 1 is empty');
  return {
    ...own,
    upstream: ports.upstream,
    blobs: ports.stores.blobs,
    catalog,
    clock,
    observe,
    inspectors,
    known: (namespace) => knownStatements(ledger, clock, namespace),
    write: async (namespace, statements) =>
      ports.write(namespace, await unrepeated(ledger, clock, { namespace, statements })),
    sourceUri: ports.owned.sourceUri,
    fetchWidth: ports.configuration['intake-concurrency'],
  };
}

function openTransfers(ports: ArrivalsPorts, signal: AbortSignal): Fills {
  const { catalog, configuration, owned, upstream } = ports;
  const { partials, blobs, leases } = ports.stores;
  return openFills({
    partials,
    blobs,
    bytes: async function* (source, options) {
      yield* (await owned.upstreamOf(source, upstream)).bytes(source, options);
    },
    acquire: (name) => leases.acquire(name),
    linked: (namespace, digest) => isLinked(catalog, namespace, digest),
    link: (namespace, blob) => catalog.link(namespace, [blob]),
    signal,
    clock: ports.clock,
    width: configuration['intake-concurrency'],
  });
}

async function isLinked(catalog: Catalog, namespace: string, digest: Digest): Promise<boolean> {
  return (await catalog.linked(namespace, [digest])).has(digest);
}

function openHubListings(ports: ArrivalsPorts, note: Incidents['note'], signal: AbortSignal): Listings {
  const { configuration, catalog, clock, upstream } = ports;
  return openListings({
    upstream,
    catalog,
    clock,
    referenceTtlMs: configuration['reference-ttl'] * 1000,
    absentTtlMs: configuration['absent-ttl'] * 1000,
    failed: ({ namespace, repository, commit }, fault) =>
      note({ namespace, repository, commit, path: pathIn(fault), declared: undefined }, fault),
    signal,
  });
}

/** The record of what the upstream does wrong. */
function openRecord(ports: ArrivalsPorts, stop: AbortSignal) {
  const incidents = openIncidents({
    ledger: ports.ledger,
    clock: ports.clock,
    upstream: ports.configuration.upstream.host,
    write: ports.write,
    counted: ports.incident,
    failed: ports.failed,
  });
  const note: Incidents['note'] = (source, fault) => {
    // What breaks because we stop is not the upstream's doing.
    if (!stop.aborted) incidents.note(source, fault);
  };
  return { incidents, note };
}

/** Which file of the listing a failure is about: the one that the Fault names, else the one that was asked for. */
function sourceOf(
  { namespace, repository, commit, files }: Listing,
  path: string,
  fault: Fault,
): IncidentSource {
  const about = pathIn(fault) ?? path;
  const declared = files.find((file) => file.path === about)?.lfsDigest;
  return { namespace, repository, commit, path: about === '' ? undefined : about, declared };
}

function pathIn({ details: { path } }: Fault): string | undefined {
  return typeof path === 'string' ? path : undefined;
}
