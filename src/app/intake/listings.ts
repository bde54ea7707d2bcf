import type { Catalog, RepositoryName, Snapshot } from '#artifact/catalog.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault, toFault } from '#lib/fault.ts';
import type { ListedFile, Listing, RepositoryCard, Resolution } from '#gates/pull/ports.ts';
import { listingName, RememberedListings } from './remembered.ts';
import type { Upstream } from './upstream.ts';

/** A repository without a card: nothing is decided on it. */
const blankCard: RepositoryCard = {
  createdAt: undefined,
  lastModified: undefined,
  tags: [],
  pipelineTag: undefined,
  libraryName: undefined,
  downloads: 0,
  likes: 0,
};

export interface ListingPorts {
  readonly upstream: Pick<Upstream, 'resolve' | 'tree'>;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly referenceTtlMs: number;
  /** How long an absence or a lie is answered without asking again. */
  readonly absentTtlMs: number;
  /** Is told what went wrong, once per question to upstream; `commit` as far as upstream has named one. */
  readonly failed: (place: Place & { readonly commit: string | undefined }, fault: Fault) => void;
  readonly signal: AbortSignal;
}

export interface Place {
  readonly namespace: string;
  readonly repository: RepositoryName;
}

/** Revisions to listings. Metadata only; a commit never changes, so its listing is kept in memory. */
export interface Listings {
  /** Takes as long as upstream does. */
  resolve(namespace: string, repository: RepositoryName, revision: string): Promise<Resolution>;
  /**
   * What a reference meant the last time that upstream said so, or the stored commit itself; undefined where nothing is known.
   * Asks upstream for nothing.
   */
  stored(namespace: string, repository: RepositoryName, revision: string): Promise<Resolution | undefined>;
  /** Which references lead to this commit, as far as they were asked for. */
  references(namespace: string, repository: RepositoryName, commit: string): readonly string[];
}

interface Room extends ListingPorts {
  readonly memory: RememberedListings;
}

/** Resolves through memory, the catalog and upstream, in this order of cost. Concurrent calls share one answer. */
export function openListings(ports: ListingPorts): Listings {
  const memory = new RememberedListings();
  const room: Room = { ...ports, memory };
  const underWay = new Map<string, Promise<Resolution>>();
  return {
    resolve: (namespace, repository, revision) => {
      const name = listingName(namespace, repository, revision);
      const shared = underWay.get(name);
      if (shared !== undefined) return shared;
      const place = { namespace, repository };
      const resolving = isCommit(revision)
        ? resolveCommit(room, place, revision)
        : resolveReference(room, place, revision);
      const settled = resolving.finally(() => underWay.delete(name));
      underWay.set(name, settled);
      return settled;
    },
    stored: async (namespace, repository, revision) => {
      const place = { namespace, repository };
      const commit = isCommit(revision) ? revision : await storedCommit(room, place, revision);
      const listing = commit === undefined ? undefined : await knownListing(room, place, commit);
      return listing === undefined ? undefined : { kind: 'found', listing };
    },
    references: (namespace, repository, commit) => {
      const prefix = listingName(namespace, repository, '');
      return [...memory.references]
        .filter(([name, known]) => name.startsWith(prefix) && known.commit === commit)
        .map(([, known]) => known.revision)
        .sort();
    },
  };
}

function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

async function storedCommit(
  room: Room,
  { namespace, repository }: Place,
  revision: string,
): Promise<string | undefined> {
  const remembered = room.memory.references.get(listingName(namespace, repository, revision));
  if (remembered !== undefined) return remembered.commit;
  return (await room.catalog.findReference(namespace, repository, revision))?.commit;
}

async function resolveCommit(room: Room, place: Place, commit: string): Promise<Resolution> {
  const known = await knownListing(room, place, commit);
  if (known !== undefined) return { kind: 'found', listing: known };
  return askUpstream(room, place, commit);
}

async function resolveReference(room: Room, place: Place, revision: string): Promise<Resolution> {
  const { namespace, repository } = place;
  const last = room.memory.references.get(listingName(namespace, repository, revision));
  if (last !== undefined && room.clock.now() - last.checkedAtMs < room.referenceTtlMs) {
    return resolveCommit(room, place, last.commit);
  }
  try {
    return await askUpstream(room, place, revision);
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'upstream.unavailable') throw error;
    // Upstream is away: what the branch meant last is still the newest that is known, and still needs its decision.
    const commit = await storedCommit(room, place, revision);
    if (commit === undefined) throw error;
    const known = await knownListing(room, place, commit);
    if (known === undefined) throw error;
    return { kind: 'found', listing: known };
  }
}

/** One question to upstream, or what it answered to the same one a moment ago where that was nothing. */
async function askUpstream(room: Room, place: Place, revision: string): Promise<Resolution> {
  const { clock, memory, absentTtlMs } = room;
  const whole = listingName(place.namespace, place.repository, '');
  const name = listingName(place.namespace, place.repository, revision);
  const negative = memory.negative(clock, whole) ?? memory.negative(clock, name);
  if (negative instanceof Fault) throw negative;
  if (negative !== undefined) return negative;
  const progress: { commit: string | undefined } = { commit: isCommit(revision) ? revision : undefined };
  try {
    const answer = await freshAnswer(room, place, revision, progress);
    if (answer.kind === 'absent') {
      const about = answer.what === 'repository' ? whole : name;
      memory.keepNegative(about, { untilMs: clock.now() + absentTtlMs, answer });
    }
    return answer;
  } catch (error) {
    const fault = toFault(error);
    if (fault.code === 'upstream.lied')
      memory.keepNegative(name, { untilMs: clock.now() + absentTtlMs, answer: fault });
    room.failed({ ...place, commit: progress.commit }, fault);
    throw error;
  }
}

async function freshAnswer(
  room: Room,
  place: Place,
  revision: string,
  progress: { commit: string | undefined },
): Promise<Resolution> {
  const { namespace, repository } = place;
  const answer = await room.upstream.resolve(repository, revision, room.signal);
  if (answer.kind === 'absent') return answer;
  if (isCommit(revision) && answer.commit !== revision) {
    throw new Fault('upstream.lied', `upstream answered commit \`${revision}\` with another one`, {
      details: { kind: 'changed-commit' },
    });
  }
  progress.commit = answer.commit;
  if (!isCommit(revision)) await keepReference(room, place, { revision, commit: answer.commit });
  const known = await knownListing(room, place, answer.commit);
  if (known !== undefined) {
    if (known.card !== blankCard) return { kind: 'found', listing: known };
    compareInBackground(room, known);
    return { kind: 'found', listing: room.memory.keep({ ...known, card: answer.card }) };
  }
  const files = await room.upstream.tree(repository, answer.commit, room.signal);
  refuseOmission(repository, answer, files);
  if (!room.memory.sameTree(repository, answer.commit, files)) throw otherTree(answer.commit);
  const listing = { namespace, repository, commit: answer.commit, files, card: answer.card };
  return { kind: 'found', listing: room.memory.keep(listing) };
}

/** What upstream names in one breath and leaves out of the tree in the next would never be looked at. */
function refuseOmission(
  repository: RepositoryName,
  { commit, paths = [] }: { readonly commit: string; readonly paths?: readonly string[] },
  files: readonly ListedFile[],
): void {
  const listed = new Set(files.map(({ path }) => path));
  const omitted = paths.find((path) => !listed.has(path));
  if (omitted === undefined) return;
  throw new Fault('upstream.lied', `the tree of \`${repository.id}\` leaves out \`${omitted}\``, {
    details: { kind: 'omitted', repository: repository.id, commit, path: omitted },
  });
}

async function keepReference(
  room: Room,
  { namespace, repository }: Place,
  { revision, commit }: { readonly revision: string; readonly commit: string },
): Promise<void> {
  const name = listingName(namespace, repository, revision);
  const last = room.memory.references.get(name);
  const checkedAtMs = room.clock.now();
  room.memory.references.set(name, { commit, checkedAtMs, revision });
  if (last?.commit === commit) return;
  await room.catalog.saveReference({ namespace, repository, name: revision, commit, checkedAtMs });
}

/**
 * Once per process and stored commit: does upstream still list what it listed when the snapshot was taken? The snapshot stays as
 * it is and is served all the same, because its bytes are verified; what upstream did is recorded.
 */
function compareInBackground(room: Room, stored: Listing): void {
  const { repository, commit, files } = stored;
  const compare = async (): Promise<void> => {
    room.memory.sameTree(repository, commit, files);
    const listed = await room.upstream.tree(repository, commit, room.signal);
    if (!room.memory.sameTree(repository, commit, listed)) throw otherTree(commit);
  };
  compare().catch((error: unknown) => {
    const fault = toFault(error);
    if (fault.code === 'upstream.lied') room.failed(stored, fault);
  });
}

function otherTree(commit: string): Fault {
  return new Fault('upstream.lied', `upstream lists other files for commit \`${commit}\` than before`, {
    details: { kind: 'changed-commit' },
  });
}

async function knownListing(
  { memory, catalog }: Room,
  { namespace, repository }: Place,
  commit: string,
): Promise<Listing | undefined> {
  const kept = memory.listing(namespace, repository, commit);
  if (kept !== undefined) return kept;
  const stored = await catalog.findSnapshot(namespace, repository, commit);
  return stored === undefined ? undefined : memory.keep(listingOfSnapshot(stored));
}

/** A stored commit as clients see it. */
export function listingOfSnapshot(snapshot: Snapshot, card: RepositoryCard = blankCard): Listing {
  const files: ListedFile[] = snapshot.files.map((file) => ({
    path: file.path,
    sizeBytes: file.sizeBytes,
    gitOid: file.gitOid,
    lfsDigest: file.lfs ? file.digest : undefined,
  }));
  const { namespace, repository, commit } = snapshot;
  return { namespace, repository, commit, files, card };
}
