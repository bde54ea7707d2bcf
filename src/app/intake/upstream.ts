import type { BlobDescriptor, BlobStore } from '#artifact/blob-store.ts';
import type { RepositoryName } from '#artifact/catalog.ts';
import type { ListedFile, RepositoryCard, RepositoryRefs } from '#gates/pull/ports.ts';

/** A hub that files come from. Faults: `upstream.unavailable`, `upstream.lied`, `limit.exceeded`. */
export interface Upstream {
  /** The commit that a revision means now; undefined where there is no such repository or revision. */
  resolve(
    repository: RepositoryName,
    revision: string,
    signal: AbortSignal,
  ): Promise<
    | {
        readonly kind: 'found';
        readonly commit: string;
        readonly card: RepositoryCard;
        /** Files that the same answer names, where it names any: the tree must have each of them. */
        readonly paths?: readonly string[];
      }
    | { readonly kind: 'absent'; readonly what: 'repository' | 'revision' }
  >;
  /** Every file of the commit, in code-point order of path. */
  tree(repository: RepositoryName, commit: string, signal: AbortSignal): Promise<readonly ListedFile[]>;
  refs(repository: RepositoryName, signal: AbortSignal): Promise<RepositoryRefs | undefined>;
  /** Brings one file into the store, verified against everything that upstream declared about it. */
  fetch(
    source: { readonly repository: RepositoryName; readonly commit: string; readonly file: ListedFile },
    blobs: BlobStore,
    signal: AbortSignal,
  ): Promise<BlobDescriptor>;
  /**
   * The bytes of one file from `offset` to its end, as upstream sends them: their number is right, nothing else is verified.
   * A broken connection is continued where it broke. `answered` says whether upstream honours requests for a part.
   */
  bytes(
    source: { readonly repository: RepositoryName; readonly commit: string; readonly file: ListedFile },
    options: {
      readonly offset: number;
      readonly signal: AbortSignal;
      readonly answered?: (ranges: boolean) => void;
    },
  ): AsyncIterable<Uint8Array>;
}
