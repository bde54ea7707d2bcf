import { Fault } from '#lib/fault.ts';
import type { Clock } from '#lib/clock.ts';
import type { Catalog, RepositoryName, Snapshot } from '#artifact/catalog.ts';
import type { ListedFile, Listing, RepositoryCard, Resolution } from '#gates/pull/ports.ts';
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

const keptListings = 2_000;
/** Files over all kept listings: about 100 MB, whatever trees callers ask for. */
const keptFiles = 300_000;

interface ListingPorts {
  readonly upstream: Pick<Upstream, 'resolve' | 'tree'>;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly referenceTtlMs: number;
  readonly signal: AbortSignal;
}

/** Revisions to listings. Metadata only; a commit never changes, so its listing is kept in memory. */
export interface Listings {
  resolve(namespace: string, repository: RepositoryName, revision: string): Promise<Resolution>;
  /** Which references lead to this commit, as far as they were asked for. */
  references(namespace: string, repository: RepositoryName, commit: string): readonly string[];
}

export function listingName(namespace: string, repository: RepositoryName, revision: string): string {
  return `${namespace} ${repository.type}/${repository.id} ${revision}`;
}

interface KnownReference {
  readonly commit: string;
  readonly checkedAtMs: number;
  readonly revision: string;
}

interface Memory {
  readonly listings: Map<string, Listing>;
  /** Files of all kept listings together. */
  files: number;
  readonly references: Map<string, KnownReference>;
}

/** Resolves through memory, the catalog and upstream, in this order of cost. Concurrent calls share one answer. */
export function openListings(ports: ListingPorts): Listings {
  const memory: Memory = { listings: new Map(), files: 0, references: new Map() };
  const underWay = new Map<string, Promise<Resolution>>();
  return {
    resolve: (namespace, repository, revision) => {
      const name = listingName(namespace, repository, revision);
      const shared = underWay.get(name);
      if (shared !== undefined) return shared;
      const place = { namespace, repository };
      const resolving = /^[0-9a-f]{40}$/.test(revision)
        ? resolveCommit(ports, memory, place, revision)
        : resolveReference(ports, memory, place, revision);
      const settled = resolving.finally(() => underWay.delete(name));
      underWay.set(name, settled);
      return settled;
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

interface Place {
  readonly namespace: string;
  readonly repository: RepositoryName;
}

async function resolveCommit(
  ports: ListingPorts,
  memory: Memory,
  place: Place,
  commit: string,
): Promise<Resolution> {
  const known = await knownListing(ports, memory, place, commit);
  if (known !== undefined) return { kind: 'found', listing: known };
  const answer = await ports.upstream.resolve(place.repository, commit, ports.signal);
  if (answer.kind === 'absent') return answer;
  if (answer.commit !== commit) {
    throw new Fault('upstream.lied', `upstream answered commit \`${commit}\` with another one`, {
      details: { kind: 'changed-commit' },
    });
  }
  return { kind: 'found', listing: await freshListing(ports, memory, place, answer) };
}

async function resolveReference(
  ports: ListingPorts,
  memory: Memory,
  place: Place,
  revision: string,
): Promise<Resolution> {
  const { namespace, repository } = place;
  const name = listingName(namespace, repository, revision);
  const last = memory.references.get(name);
  if (last !== undefined && ports.clock.now() - last.checkedAtMs < ports.referenceTtlMs) {
    return resolveCommit(ports, memory, place, last.commit);
  }
  try {
    const answer = await ports.upstream.resolve(repository, revision, ports.signal);
    if (answer.kind === 'absent') return answer;
    const checkedAtMs = ports.clock.now();
    memory.references.set(name, { commit: answer.commit, checkedAtMs, revision });
    if (last?.commit !== answer.commit) {
      await ports.catalog.saveReference({
        namespace,
        repository,
        name: revision,
        commit: answer.commit,
        checkedAtMs,
      });
    }
    return { kind: 'found', listing: await freshListing(ports, memory, place, answer) };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'upstream.unavailable') throw error;
    // Upstream is away: what the branch meant last is still the newest that is known, and still needs its decision.
    const stored = await ports.catalog.findReference(namespace, repository, revision);
    if (stored === undefined) throw error;
    return resolveCommit(ports, memory, place, stored.commit);
  }
}

async function knownListing(ports: ListingPorts, memory: Memory, place: Place, commit: string) {
  const kept = memory.listings.get(listingName(place.namespace, place.repository, commit));
  if (kept !== undefined) return kept;
  const stored = await ports.catalog.findSnapshot(place.namespace, place.repository, commit);
  return stored === undefined ? undefined : keep(memory, listingOfSnapshot(stored, blankCard));
}

async function freshListing(
  ports: ListingPorts,
  memory: Memory,
  place: Place,
  found: { readonly commit: string; readonly card: RepositoryCard },
): Promise<Listing> {
  const known = await knownListing(ports, memory, place, found.commit);
  if (known !== undefined)
    return known.card === blankCard ? keep(memory, { ...known, card: found.card }) : known;
  const files = await ports.upstream.tree(place.repository, found.commit, ports.signal);
  return keep(memory, { ...place, commit: found.commit, files, card: found.card });
}

function keep(memory: Memory, listing: Listing): Listing {
  const { listings } = memory;
  const name = listingName(listing.namespace, listing.repository, listing.commit);
  memory.files += listing.files.length - (listings.get(name)?.files.length ?? 0);
  listings.set(name, listing);
  for (const [oldest, { files }] of listings) {
    if (listings.size <= keptListings && memory.files <= keptFiles) break;
    if (oldest === name) continue;
    listings.delete(oldest);
    memory.files -= files.length;
  }
  return listing;
}

/** A stored commit as clients see it. */
export function listingOfSnapshot(snapshot: Snapshot, card: RepositoryCard = blankCard): Listing {
  const files: ListedFile[] = snapshot.files.map((file) => ({
    path: file.path,
    sizeBytes: file.sizeBytes,
    gitOid: file.gitOid,
    lfsDigest: file.lfs ? file.digest : undefined,
  }));
  return {
    namespace: snapshot.namespace,
    repository: snapshot.repository,
    commit: snapshot.commit,
    files,
    card,
  };
}
