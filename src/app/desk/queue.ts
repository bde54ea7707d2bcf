import type { Snapshot } from '#artifact/catalog.ts';
import { BoundedMap } from '#lib/bounded-map.ts';
import { formatInstant } from '#lib/clock.ts';
import type { FillProgress } from '../intake/fills.ts';
import type { FlightProgress } from '../intake/flights.ts';
import type { QueueDesk, QueueView } from '../routes/queue.ts';
import type { House } from '../wire.ts';
import { worstOf } from './inventory.ts';

type Arriving = QueueView['arriving'][number];
type Held = QueueView['held'][number];

const shownArriving = 200;
const shownPaths = 20;
const snapshots = 200;
/** What is held is looked through anew after this long, also where nothing seems to have happened. */
const heldForMs = 10_000;
const rememberedNamespaces = 100;

interface HeldPorts {
  readonly catalog: Pick<House['catalog'], 'listSnapshots'>;
  readonly clock: Pick<House['clock'], 'now'>;
  readonly decisionStore: Pick<House['decisionStore'], 'list' | 'recent'>;
  readonly log: { readonly ledger: { head(): Promise<{ readonly size: number }> } };
}

/** What the intake is doing, and what the newest decisions refuse. */
export function openQueueDesk(
  house: HeldPorts & { readonly arrivals: Pick<House['arrivals'], 'underWay'> },
): QueueDesk {
  const heldIn = openHeld(house);
  return {
    view: async (namespace) => {
      const { flights, fills } = house.arrivals.underWay();
      const mine = flights.filter(({ listing }) => listing.namespace === namespace);
      const transfers = fills.filter(({ source }) => source.namespace === namespace);
      return {
        at: formatInstant(house.clock.now()),
        arriving: mine.slice(0, shownArriving).map((flight) => arrivingOf(flight, transfers)),
        arrivingCount: mine.length,
        held: await heldIn(namespace),
      };
    },
  };
}

/**
 * People's pages ask every other second, and hundreds of decisions stand behind one answer: they are read when the log or the
 * newest decision has moved, for all who ask. A decision's row may come after its place in the log, so both are looked at.
 */
function openHeld(house: HeldPorts): (namespace: string) => Promise<Held[]> {
  const known = new BoundedMap<string, { mark: string; readMs: number; held: Promise<Held[]> }>(
    rememberedNamespaces,
  );
  return async (namespace) => {
    const { size } = await house.log.ledger.head();
    const [newest] = await house.decisionStore.recent(namespace, { limit: 1 });
    const mark = `${size} ${newest?.logIndex}`;
    const nowMs = house.clock.now();
    const before = known.get(namespace);
    if (before !== undefined && before.mark === mark && Math.abs(nowMs - before.readMs) < heldForMs)
      return before.held;
    const held = readHeld(house, namespace);
    known.set(namespace, { mark, readMs: nowMs, held });
    held.catch(() => known.delete(namespace));
    return held;
  };
}

async function readHeld(house: HeldPorts, namespace: string): Promise<Held[]> {
  const page = await house.catalog.listSnapshots(namespace, { limit: snapshots });
  const held: Held[] = [];
  for (const snapshot of page.snapshots) {
    const refused = await refusalOf(house, snapshot);
    if (refused !== undefined) held.push(refused);
  }
  return held;
}

function arrivingOf(flight: FlightProgress, fills: readonly FillProgress[]): Arriving {
  const { listing, phase, paths } = flight;
  const transfers = fills.filter(
    ({ source }) =>
      source.commit === listing.commit &&
      source.repository.id === listing.repository.id &&
      source.repository.type === listing.repository.type,
  );
  return {
    repository: listing.repository,
    commit: listing.commit,
    artifact: flight.artifact ?? null,
    phase,
    since: formatInstant(flight.sinceMs),
    why: whyOf(phase, transfers),
    paths: paths.slice(0, shownPaths),
    pathCount: paths.length,
    transfers: transfers.map(({ source, state, sinceMs, receivedBytes, readers }) => ({
      path: source.file.path,
      state,
      since: formatInstant(sinceMs),
      sizeBytes: source.file.sizeBytes,
      receivedBytes,
      readers,
    })),
  };
}

function whyOf(phase: FlightProgress['phase'], transfers: readonly FillProgress[]): string {
  if (phase === 'listing') return 'its small files are fetched, so that it gets a name';
  if (phase === 'inspecting') return 'its bytes are here and are being scanned and inventoried';
  if (transfers.some(({ state }) => state === 'verifying'))
    return 'its digest is held against the declared one';
  if (transfers.every(({ state }) => state === 'waiting') && transfers.length > 0)
    return 'other transfers come first (`intake-concurrency`)';
  return 'its bytes are on their way';
}

async function refusalOf(
  { decisionStore }: Pick<HeldPorts, 'decisionStore'>,
  snapshot: Snapshot,
): Promise<Held | undefined> {
  const kept = (await decisionStore.list(snapshot.namespace, snapshot.artifact)).toReversed();
  const environment = kept[0]?.decision.question.environment;
  const worst = worstOf(kept.filter(({ decision }) => decision.question.environment === environment));
  if (worst === undefined || environment === undefined || worst.decision.verdict !== 'deny') return undefined;
  return {
    repository: snapshot.repository,
    commit: snapshot.commit,
    artifact: snapshot.artifact,
    environment,
    since: worst.decision.at,
    reasons: worst.decision.reasons
      .filter(({ effect }) => effect === 'deny')
      .map(({ rule, message, who, remedy }) => ({ rule, message, who, remedy })),
  };
}
