import type { Digest } from './digest.ts';

export type RepositoryType = 'models' | 'datasets' | 'spaces';

export interface RepositoryName {
  readonly type: RepositoryType;
  /** `org/name` or a bare `name`, validated. */
  readonly id: string;
}

/** A file of a hub repository at one commit. */
export interface SnapshotFile {
  readonly path: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** git blob id as upstream lists it (for an LFS file: of its pointer). */
  readonly gitOid: string;
  readonly lfs: boolean;
}

/** A repository at a commit. Immutable: the same commit with other bytes is an integrity refusal. */
export interface Snapshot {
  readonly namespace: string;
  readonly repository: RepositoryName;
  /** 40 lower-case hex digits. */
  readonly commit: string;
  readonly artifact: Digest;
  /** Code-point order of path. */
  readonly files: readonly SnapshotFile[];
  readonly provisional: boolean;
}

/** A name that resolves to a commit at a time. */
export interface Reference {
  readonly namespace: string;
  readonly repository: RepositoryName;
  readonly name: string;
  readonly commit: string;
  readonly checkedAtMs: number;
}

/**
 * What repositories, snapshots and blobs a namespace can see. Every call is confined to the namespace it names (row
 * level security underneath). `saveSnapshot` of a commit that is stored with other bytes is Fault `upstream.lied`.
 */
export interface Catalog {
  saveSnapshot(snapshot: Snapshot): Promise<void>;
  findSnapshot(namespace: string, repository: RepositoryName, commit: string): Promise<Snapshot | undefined>;
  findArtifact(namespace: string, artifact: Digest): Promise<readonly Snapshot[]>;
  /** Newest first; `before` is the cursor of the previous page. */
  listSnapshots(
    namespace: string,
    page: { readonly limit: number; readonly before?: string; readonly search?: string },
  ): Promise<{
    readonly snapshots: readonly Snapshot[];
    readonly next: string | undefined;
  }>;
  saveReference(reference: Reference): Promise<void>;
  findReference(namespace: string, repository: RepositoryName, name: string): Promise<Reference | undefined>;
  /** Makes a stored blob visible in the namespace: its bytes are here and verified. */
  link(
    namespace: string,
    blobs: readonly { readonly digest: Digest; readonly sizeBytes: number }[],
  ): Promise<void>;
  /** Which of these are present in the namespace. */
  linked(namespace: string, digests: readonly Digest[]): Promise<ReadonlySet<Digest>>;
}
