import { createHash } from 'node:crypto';
import type { RepositoryName } from '#artifact/catalog.ts';
import { BoundedMap } from '#lib/bounded-map.ts';
import type { Clock } from '#lib/clock.ts';
import type { Fault } from '#lib/fault.ts';
import type { ListedFile, Listing, Resolution } from '#gates/pull/ports.ts';

const keptListings = 2_000;
/** Files over all kept listings: about 100 MB, whatever trees callers ask for. */
const keptFiles = 300_000;
/** References, absences, lies and fingerprints: names that callers and upstream choose. */
const keptNames = 20_000;

export function listingName(namespace: string, repository: RepositoryName, revision: string): string {
  return `${namespace} ${repository.type}/${repository.id} ${revision}`;
}

export interface KnownReference {
  readonly commit: string;
  readonly checkedAtMs: number;
  readonly revision: string;
}

type Absent = Extract<Resolution, { readonly kind: 'absent' }>;

interface Negative {
  readonly untilMs: number;
  readonly answer: Absent | Fault;
}

/** What listings remember in this process; every part is bounded, because callers choose the names. */
export class RememberedListings {
  readonly references = new BoundedMap<string, KnownReference>(keptNames);
  readonly #listings = new Map<string, Listing>();
  readonly #negatives = new BoundedMap<string, Negative>(keptNames);
  readonly #trees = new BoundedMap<string, string>(keptNames);
  #files = 0;

  listing(namespace: string, repository: RepositoryName, commit: string): Listing | undefined {
    return this.#listings.get(listingName(namespace, repository, commit));
  }

  keep(listing: Listing): Listing {
    const name = listingName(listing.namespace, listing.repository, listing.commit);
    this.#files += listing.files.length - (this.#listings.get(name)?.files.length ?? 0);
    this.#listings.set(name, listing);
    for (const [oldest, { files }] of this.#listings) {
      if (this.#listings.size <= keptListings && this.#files <= keptFiles) break;
      if (oldest === name) continue;
      this.#listings.delete(oldest);
      this.#files -= files.length;
    }
    return listing;
  }

  /** What upstream said last about a name that it has nothing true to say about; undefined where that is long ago. */
  negative(clock: Clock, name: string): Absent | Fault | undefined {
    const known = this.#negatives.get(name);
    if (known === undefined) return undefined;
    if (clock.now() < known.untilMs) return known.answer;
    this.#negatives.delete(name);
    return undefined;
  }

  keepNegative(name: string, negative: Negative): void {
    this.#negatives.set(name, negative);
  }

  /**
   * Is this the tree that the commit had the last time, in whatever namespace? The first one is remembered. Of what others asked
   * for, only a lie of the upstream shows anything.
   */
  sameTree(repository: RepositoryName, commit: string, files: readonly ListedFile[]): boolean {
    const name = `${repository.type}/${repository.id} ${commit}`;
    const print = fingerprint(files);
    const known = this.#trees.get(name);
    this.#trees.set(name, known ?? print);
    return known === undefined || known === print;
  }
}

function fingerprint(files: readonly ListedFile[]): string {
  const hash = createHash('sha256');
  for (const { path, sizeBytes, gitOid, lfsDigest } of files) {
    hash.update(JSON.stringify([path, sizeBytes, gitOid, lfsDigest ?? null]));
  }
  return hash.digest('base64');
}
