import type { Catalog, RepositoryName, Snapshot } from '#artifact/catalog.ts';
import type { Intake, Listing, RepositoryRefs, Resolution } from '#gates/pull/ports.ts';
import type { Origins } from '#adapters/postgres/origins.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault } from '#lib/fault.ts';
import { listingOfSnapshot } from './listings.ts';
import type { Listings } from './listings.ts';
import type { Upstream } from './upstream.ts';

/** How long it is believed that a name was not taken by another replica meanwhile; this process knows its own at once. */
const believedMs = 1_000;
const rememberedNames = 20_000;
const keptListings = 200;

/** Names that intakes took, and what they mean. The upstream hub is never asked for them. */
export interface OwnedNames {
  /** Answers for taken names, from the catalog alone; lets `listings` answer for all others. */
  over(listings: Listings): Listings;
  isTaken(namespace: string, repository: RepositoryName): Promise<boolean>;
  /** References of taken names from here; all else as `intake` does it. */
  before(intake: Intake): Intake;
  /** Where a commit of a taken name came from, as `observed` says it; undefined for what came from the hub. */
  sourceUri(snapshot: Snapshot): Promise<string | undefined>;
  /** `upstream` for names of the hub; for taken ones a place where nothing is. */
  upstreamOf(
    place: { readonly namespace: string; readonly repository: RepositoryName },
    upstream: Upstream,
  ): Promise<Upstream>;
  /** Takes a name for an intake; its spelling must be the one that was taken first. Fault `name.taken`. */
  take(namespace: string, repository: RepositoryName): Promise<void>;
  /** A commit has arrived: it is what the reference means from now on. */
  save(snapshot: Snapshot, reference: string, sourceUri: string): Promise<void>;
}

interface OwnedPorts {
  readonly origins: Origins;
  readonly catalog: Pick<Catalog, 'findSnapshot'>;
  readonly clock: Clock;
}

interface Belief {
  /** Undefined: not taken. */
  readonly spelling: string | undefined;
  readonly untilMs: number;
}

interface Memory {
  readonly names: Map<string, Belief>;
  readonly listings: Map<string, Listing>;
  /** `listings` name → references that were seen to lead there. */
  readonly references: Map<string, Set<string>>;
}

const keyOf = (namespace: string, { type, id }: RepositoryName): string =>
  `${namespace} ${type}/${id.toLowerCase()}`;

export function openOwnedNames(ports: OwnedPorts): OwnedNames {
  const memory: Memory = { names: new Map(), listings: new Map(), references: new Map() };
  const believe = (key: string, spelling: string | undefined): void => {
    if (memory.names.size >= rememberedNames) memory.names.clear();
    const untilMs = spelling === undefined ? ports.clock.now() + believedMs : Infinity;
    memory.names.set(key, { spelling, untilMs });
  };
  const asking = new Map<string, Promise<string | undefined>>();
  const spellingOf = async (namespace: string, repository: RepositoryName): Promise<string | undefined> => {
    const key = keyOf(namespace, repository);
    const known = memory.names.get(key);
    if (known !== undefined && known.untilMs > ports.clock.now()) return known.spelling;
    // A thousand callers of one name are one question to the database.
    const asked = asking.get(key) ?? ports.origins.taken(namespace, repository);
    asking.set(key, asked);
    const spelling = await asked.finally(() => asking.delete(key));
    // A name that was taken while the database answered stays taken.
    if (spelling !== undefined || memory.names.get(key)?.spelling === undefined) believe(key, spelling);
    return memory.names.get(key)?.spelling ?? spelling;
  };
  const isTaken: OwnedNames['isTaken'] = async (namespace, repository) =>
    (await spellingOf(namespace, repository)) !== undefined;
  return {
    isTaken,
    over: (listings) => listingsOver(ports, memory, isTaken, listings),
    before: (intake) => ({
      ...intake,
      refs: async (namespace, repository) =>
        (await isTaken(namespace, repository))
          ? refsOf(ports, namespace, repository)
          : intake.refs(namespace, repository),
    }),
    sourceUri: async ({ namespace, repository, commit }) =>
      (await isTaken(namespace, repository))
        ? (await ports.origins.find(namespace, repository, { commit }))?.sourceUri
        : undefined,
    upstreamOf: async ({ namespace, repository }, upstream) =>
      (await isTaken(namespace, repository)) ? nowhere : upstream,
    take: async (namespace, repository) => {
      const answer = await ports.origins.take(namespace, repository);
      if ('known' in answer) {
        throw new Fault('name.taken', `\`${repository.id}\` is a repository of the hub here`, {
          hint: 'choose another name: what was pulled under this one must not change its origin',
        });
      }
      believe(keyOf(namespace, repository), answer.spelling);
      if (answer.spelling !== repository.id) {
        throw new Fault('name.taken', `\`${repository.id}\` is taken as \`${answer.spelling}\``, {
          hint: 'hubs do not tell capitals apart; use the name as it was taken',
        });
      }
    },
    save: async ({ namespace, repository, commit }, reference, sourceUri) => {
      await ports.origins.save(namespace, repository, { commit, reference, sourceUri });
      believe(keyOf(namespace, repository), repository.id);
      seen(memory, keyOf(namespace, repository), { commit, reference });
    },
  };
}

/** What is taken is answered from here, all else by `listings`. */
function listingsOver(
  ports: OwnedPorts,
  memory: Memory,
  isTaken: OwnedNames['isTaken'],
  listings: Listings,
): Listings {
  return {
    ...listings,
    resolve: async (namespace, repository, revision) => {
      if (!(await isTaken(namespace, repository))) {
        const resolution = await listings.resolve(namespace, repository, revision);
        // What the hub said while the name was being taken counts for nothing.
        if (memory.names.get(keyOf(namespace, repository))?.spelling === undefined) return resolution;
      }
      return resolveOwned(ports, memory, { namespace, repository, revision });
    },
    stored: async (namespace, repository, revision) =>
      (await isTaken(namespace, repository))
        ? resolveOwned(ports, memory, { namespace, repository, revision })
        : listings.stored(namespace, repository, revision),
    references: (namespace, repository, commit) => [
      ...new Set([
        ...listings.references(namespace, repository, commit),
        ...(memory.references.get(`${keyOf(namespace, repository)} ${commit}`) ?? []),
      ]),
    ],
  };
}

function seen(
  memory: Memory,
  key: string,
  { commit, reference }: { readonly commit: string; readonly reference: string },
): void {
  for (const [name, references] of memory.references) {
    if (name.startsWith(`${key} `)) references.delete(reference);
    if (references.size === 0) memory.references.delete(name);
  }
  const name = `${key} ${commit}`;
  memory.references.set(name, (memory.references.get(name) ?? new Set()).add(reference));
  if (memory.references.size > rememberedNames) memory.references.clear();
}

async function resolveOwned(
  ports: OwnedPorts,
  memory: Memory,
  asked: { readonly namespace: string; readonly repository: RepositoryName; readonly revision: string },
): Promise<Resolution> {
  const { namespace, repository } = asked;
  const key = keyOf(namespace, repository);
  if (memory.names.get(key)?.spelling !== repository.id) return { kind: 'absent', what: 'repository' };
  const revision = asked.revision.replace(/^refs\/(?:heads|tags)\//, '');
  const byCommit = /^[0-9a-f]{40}$/.test(revision);
  const kept = memory.listings.get(`${key} ${revision}`);
  if (byCommit && kept !== undefined) return { kind: 'found', listing: kept };
  const found = byCommit
    ? await ports.origins.find(namespace, repository, { commit: revision })
    : await newestOf(ports.origins, asked, revision);
  const snapshot =
    found === undefined ? undefined : await ports.catalog.findSnapshot(namespace, repository, found.commit);
  if (found === undefined || snapshot === undefined) {
    const commits = await ports.origins.commits(namespace, repository);
    return { kind: 'absent', what: commits.length === 0 ? 'repository' : 'revision' };
  }
  const listing = listingOfSnapshot(snapshot);
  const oldest = memory.listings.keys().next().value;
  if (memory.listings.size >= keptListings && oldest !== undefined) memory.listings.delete(oldest);
  memory.listings.set(`${key} ${found.commit}`, listing);
  if (!byCommit) seen(memory, key, found);
  return { kind: 'found', listing };
}

/** `HEAD` is `main`, or the newest of all where nothing is called so. */
async function newestOf(
  origins: Origins,
  { namespace, repository }: { readonly namespace: string; readonly repository: RepositoryName },
  revision: string,
) {
  if (revision !== 'HEAD') return origins.find(namespace, repository, { reference: revision });
  const main = await origins.find(namespace, repository, { reference: 'main' });
  return main ?? (await origins.commits(namespace, repository))[0];
}

async function refsOf(
  { origins }: OwnedPorts,
  namespace: string,
  repository: RepositoryName,
): Promise<RepositoryRefs | undefined> {
  const newest = new Map<string, string>();
  for (const { reference, commit } of await origins.commits(namespace, repository)) {
    if (!newest.has(reference)) newest.set(reference, commit);
  }
  if (newest.size === 0) return undefined;
  return {
    branches: [...newest].map(([name, commit]) => ({ name, ref: `refs/heads/${name}`, commit })),
    tags: [],
  };
}

const gone = (): Promise<never> =>
  Promise.reject(
    new Fault(
      'blob.missing',
      'the bytes of this file are gone, and no hub is asked for what an intake brought',
      {
        hint: 'take it in again from its source',
      },
    ),
  );
const nowhere: Upstream = {
  resolve: gone,
  tree: gone,
  refs: gone,
  fetch: gone,
  // eslint-disable-next-line require-yield
  bytes: async function* () {
    await gone();
  },
};
