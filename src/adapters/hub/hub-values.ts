import type { RepositoryName } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Courtesy } from '#lib/courtesy.ts';
import type { HttpTimeouts } from '#lib/http-client.ts';
import type { Redacted } from '#lib/redacted.ts';

/** The options with defaults, and the redirect rule that follows from the upstream's address. */
export interface HubAccess {
  readonly upstream: URL;
  readonly token: Redacted<string> | undefined;
  readonly timeouts: HttpTimeouts;
  readonly retryMs: number;
  readonly courtesy: Courtesy;
  readonly allowRedirect: (from: URL, to: URL) => boolean;
  readonly publicOnly: (url: URL) => boolean;
}

/** A file as upstream's tree lists it, validated. */
export interface HubFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly gitOid: string;
  /** What the LFS pointer declares; undefined for a file in git itself. */
  readonly lfsDigest: Digest | undefined;
}

export interface HubCard {
  readonly createdAt: string | undefined;
  readonly lastModified: string | undefined;
  readonly tags: readonly string[];
  readonly pipelineTag: string | undefined;
  readonly libraryName: string | undefined;
  readonly downloads: number;
  readonly likes: number;
}

export interface HubRef {
  readonly name: string;
  readonly ref: string;
  readonly commit: string;
}

export interface HubRefs {
  readonly branches: readonly HubRef[];
  readonly tags: readonly HubRef[];
}

export type HubResolution =
  | {
      readonly kind: 'found';
      readonly commit: string;
      readonly card: HubCard;
      /** Paths that the answer names; may be only some of them. */
      readonly paths: readonly string[];
    }
  | { readonly kind: 'absent'; readonly what: 'repository' | 'revision' };

export interface HubSource {
  readonly repository: RepositoryName;
  readonly commit: string;
  readonly file: HubFile;
}
