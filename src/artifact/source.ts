import type { Digest } from './digest.ts';

/** A file as its source declares it, before its bytes are here. */
export interface SourceFile {
  /** Where the file lies in the artifact (`parsePathName`). */
  readonly path: string;
  /** What the source says beforehand; bytes that differ are Fault `upstream.lied`. */
  readonly sizeBytes?: number | undefined;
  readonly digest?: Digest | undefined;
  /** How git holds the file, where the source is a git repository: its object id, and whether that is an LFS pointer. */
  readonly git?: { readonly oid: string; readonly lfs: boolean };
}

/**
 * Where a source puts what it brings. Every file is verified and stored before `put` resolves; paths, the number of files
 * and their bytes are bounded here, for all sources alike. Faults: `path.invalid`, `path.collision`, `artifact.too-large`,
 * `limit.exceeded`, `upstream.lied`, `disk.full`.
 */
export interface SourceSink {
  readonly signal: AbortSignal;
  /** How much there is, as soon as the source knows. Refuses what would be too much before it is fetched. */
  expect(total: { readonly files: number; readonly bytes: number | undefined }): void;
  /** `open` is not called where the namespace holds these bytes already; it may be called again after a broken transfer. */
  put(file: SourceFile, open: () => AsyncIterable<Uint8Array>): Promise<void>;
}

/** What came of a collection. */
export interface Collected {
  /** Where the files came from, for evidence: never a query, a credential or a path of this machine. */
  readonly uri: string;
  /** The commit that the source itself names (git); undefined where it is derived from the files. */
  readonly commit?: string;
}

/** What is asked of a source. Parsed and judged before it comes here; every URL is judged again at every hop. */
export type SourceRequest =
  | {
      readonly kind: 'https';
      readonly urls: readonly URL[];
      /** Of the one file. */
      readonly digest: Digest | undefined;
    }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      readonly prefix: string;
      readonly endpoint: URL | undefined;
      readonly region: string;
    }
  | { readonly kind: 'git'; readonly url: URL; readonly revision: string | undefined }
  | {
      readonly kind: 'oci';
      readonly registry: URL;
      readonly repository: string;
      /** A tag or a digest. */
      readonly reference: string;
    };

/**
 * Brings the files of one foreign place. Faults: `source.absent` (nothing is there), `source.forbidden` (the rules about
 * addresses), `request.forbidden` (it asks for credentials that we have not), `upstream.unavailable`, `upstream.lied`,
 * `limit.exceeded` and those of the sink.
 */
export type CollectSource = (request: SourceRequest, sink: SourceSink) => Promise<Collected>;
