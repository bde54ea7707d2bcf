import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '#lib/fault.ts';
import type { Catalog, RepositoryName } from '#artifact/catalog.ts';
import { isJsonObject } from '#lib/json.ts';
import type { JsonValue } from '#lib/json.ts';
import type { Arrival, Intake, Listing } from '#gates/pull/ports.ts';
import type { Flights } from './flights.ts';
import { follow } from './follow.ts';
import type { FollowPorts } from './follow.ts';
import type { Listings } from './listings.ts';
import { answerWithin, resolvePatiently } from './patience.ts';
import type { Upstream } from './upstream.ts';

/** What is written down so that an arrival goes on after the process was killed. */
export interface ArrivalJob {
  readonly namespace: string;
  readonly repository: RepositoryName;
  readonly commit: string;
  readonly paths: readonly string[];
}

export interface IntakePorts extends FollowPorts {
  readonly listings: Listings;
  readonly flights: Flights;
  readonly upstream: Upstream;
  readonly catalog: Catalog;
  /** Durable and idempotent per key. */
  readonly remember: (key: string, job: ArrivalJob) => Promise<void>;
  readonly signal: AbortSignal;
  /** How long a caller waits for metadata of the upstream. */
  readonly upstreamWaitMs: number;
}

const listedRepositories = 1_000;

/** The pull gate's way in. The work belongs to the commit: it goes on when the caller leaves. */
export function openIntake(ports: IntakePorts): Intake {
  const remember = rememberOnce(ports);
  const intake: Intake = {
    resolve: resolvePatiently(ports.listings, ports.upstreamWaitMs),
    want: async (listing, paths, wait) => {
      const known = ports.flights.look(listing, paths);
      if (known?.kind === 'ready' || known?.kind === 'failed') return known;
      const unknown = paths.find((path) => !listing.files.some((file) => file.path === path));
      if (unknown !== undefined) throw new Fault('resource.unknown', `the commit has no file \`${unknown}\``);
      await remember(listing, paths);
      const joined = ports.flights.join(listing, paths);
      if (wait.waitMs <= 0) return pendingOf(ports, listing, paths);
      return Promise.race([joined, later(ports, listing, paths, wait)]);
    },
    follow: (listing, path, wait) => follow(ports, intake, { listing, path, wait }),
    refs: (_namespace, repository) =>
      answerWithin(ports.upstream.refs(repository, ports.signal), ports.upstreamWaitMs),
    list: async (namespace, query) => {
      // The database holds no text with a NUL, so nothing can match; asking it would be an error.
      if (query.search?.includes('\0') === true) return { repositories: [], next: undefined };
      const seen = new Map<string, string>();
      let before: string | undefined;
      while (seen.size < listedRepositories) {
        const page = await ports.catalog.listSnapshots(namespace, {
          limit: 200,
          ...(before === undefined ? {} : { before }),
          ...(query.search === undefined ? {} : { search: query.search }),
        });
        for (const { repository, commit } of page.snapshots) {
          if (repository.type === query.type && !seen.has(repository.id)) seen.set(repository.id, commit);
        }
        if (page.next === undefined) break;
        before = page.next;
      }
      const ids = [...seen.keys()]
        .filter((id) => query.author === undefined || id.startsWith(`${query.author}/`))
        .filter((id) => query.after === undefined || id > query.after)
        .sort();
      const shown = ids.slice(0, query.limit);
      return {
        repositories: shown.map((id) => ({ id, commit: seen.get(id) ?? '', card: blankCard })),
        next: ids.length > shown.length ? shown.at(-1) : undefined,
      };
    },
  };
  return intake;
}

/** Writes an arrival down once while it is under way: a thousand callers of one file are one write. */
function rememberOnce(ports: IntakePorts) {
  const written = new Map<string, Promise<void>>();
  return (listing: Listing, paths: readonly string[]): Promise<void> => {
    const { namespace, repository, commit } = listing;
    const key = jobKey(listing, paths);
    const name = `${namespace} ${key}`;
    const known = written.get(name);
    if (known !== undefined) return known;
    const writing = ports.remember(key, { namespace, repository, commit, paths });
    written.set(name, writing);
    const forget = (): boolean => written.delete(name);
    // Whoever asks after it has settled asks for a new one.
    writing.then(() => void ports.flights.join(listing, paths).finally(forget), forget);
    return writing;
  };
}

const blankCard = {
  createdAt: undefined,
  lastModified: undefined,
  tags: [],
  pipelineTag: undefined,
  libraryName: undefined,
  downloads: 0,
  likes: 0,
};

function pendingOf(ports: IntakePorts, listing: Listing, paths: readonly string[]): Arrival {
  return ports.flights.look(listing, paths) ?? { kind: 'pending', since: Date.now(), retryAfterSeconds: 1 };
}

async function later(
  ports: IntakePorts,
  listing: Listing,
  paths: readonly string[],
  wait: { readonly waitMs: number; readonly signal: AbortSignal },
): Promise<Arrival> {
  await sleep(wait.waitMs, undefined, { signal: wait.signal, ref: false }).catch(() => {});
  return pendingOf(ports, listing, paths);
}

function jobKey(listing: Listing, paths: readonly string[]): string {
  const { repository, commit } = listing;
  const asked = createHash('sha256')
    .update([...paths].sort().join('\0'))
    .digest('hex')
    .slice(0, 16);
  return `${repository.type}/${repository.id}@${commit}#${asked}`;
}

/** Runs a remembered arrival: joins the flight of this process, or starts it after a restart. */
export async function resumeArrival(
  ports: Pick<IntakePorts, 'listings' | 'flights'>,
  job: ArrivalJob,
): Promise<Arrival> {
  const resolution = await ports.listings.resolve(job.namespace, job.repository, job.commit);
  if (resolution.kind === 'absent')
    return {
      kind: 'failed',
      fault: new Fault('resource.unknown', `upstream no longer has \`${job.repository.id}\``),
    };
  return ports.flights.join(resolution.listing, job.paths);
}

/** A job's payload as it comes back from the database. Fault `internal.unexpected` for anything else. */
export function parseArrivalJob(namespace: string, payload: JsonValue): ArrivalJob {
  if (isJsonObject(payload)) {
    const { type, id, commit, paths } = payload;
    const known = type === 'models' || type === 'datasets' || type === 'spaces';
    if (known && typeof id === 'string' && typeof commit === 'string' && Array.isArray(paths)) {
      return {
        namespace,
        repository: { type, id },
        commit,
        paths: paths.filter((path) => typeof path === 'string'),
      };
    }
  }
  throw new Fault('internal.unexpected', 'a stored intake job is not readable');
}

export function encodeArrivalJob(job: ArrivalJob): unknown {
  return { type: job.repository.type, id: job.repository.id, commit: job.commit, paths: job.paths };
}
