import type { HubCommit } from './repository.ts';

export type RepositoryKind = 'models' | 'datasets' | 'spaces';

/** A way in which the hub misbehaves. Lies about bytes leave sizes and headers as they should be unless they say so. */
export type Lie =
  /** Same length, other bytes. */
  | 'wrong-bytes'
  /** Fewer bytes, announced as such. */
  | 'short'
  /** More bytes, announced as such. */
  | 'long'
  /** More bytes than the tree says, chunked, so that nothing announces it. */
  | 'long-chunked'
  /** Ends early without any error, chunked. */
  | 'short-chunked'
  /** Half of the body, then the connection breaks. */
  | 'cut'
  /** Half of the body, then silence. */
  | 'stall'
  /** No answer at all. */
  | 'silent'
  /** Continues a broken download at another place than asked. */
  | 'wrong-range'
  /** gzip although identity was asked for. */
  | 'encoded'
  | 'status-500'
  /** 429 with `RateLimit` and `RateLimit-Policy` instead of `Retry-After`, as the real hub sends it. */
  | 'status-429-ratelimit'
  /** Listed in the tree, and 404 when it is asked for. */
  | 'gone'
  /** When its bytes are asked for the file is another, longer one, and every header says so. */
  | 'changed-between'
  /** The tree of the commit has one file more than the first time. */
  | 'other-tree'
  /** The redirect of an LFS file leads to another host, over plain http. */
  | 'redirect-elsewhere'
  /** The redirect of an LFS file leads to a private address, over https. */
  | 'redirect-private'
  | 'status-429'
  | 'status-503'
  /** The redirect of an LFS file leads to a link-local address. */
  | 'redirect-inside'
  /** The redirect of an LFS file leads to itself. */
  | 'redirect-loop'
  /** The tree lists another size. */
  | 'wrong-size'
  /** The tree lists another digest. */
  | 'wrong-digest'
  /** The tree leaves the file out. */
  | 'omitted'
  /** The tree lists a path that leaves the repository. */
  | 'bad-path'
  /** The tree lists the file twice. */
  | 'duplicate'
  /** The next page of the tree is on another host. */
  | 'foreign-page'
  /** The next page of the tree is the same page. */
  | 'same-page'
  /** A listing that is not JSON. */
  | 'not-json';

export interface Planted {
  readonly lie: Lie;
  /** A file; undefined for every request about the repository. */
  readonly path?: string | undefined;
  /** How often; undefined for ever. */
  times?: number | undefined;
}

export interface HubRepository {
  readonly kind: RepositoryKind;
  readonly id: string;
  readonly commits: Map<string, HubCommit>;
  readonly refs: Map<string, string>;
  readonly lies: Planted[];
  /** Bytes of bodies that were handed to connections, by path. */
  readonly sentBytes: Map<string, number>;
}

/** One request as it arrived, for assertions about what leaves the house. */
export interface SeenRequest {
  readonly server: 'hub' | 'cdn';
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface HubState {
  readonly repositories: Map<string, HubRepository>;
  readonly seen: SeenRequest[];
  /** Entries of one page of a tree. */
  pageSize: number;
  /** Milliseconds before every answer. */
  delayMs: number;
  hubOrigin: string;
  cdnOrigin: string;
}

export function refName(revision: string): string {
  return revision.startsWith('refs/') ? revision : `refs/heads/${revision}`;
}
