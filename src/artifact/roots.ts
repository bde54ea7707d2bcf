import type { Digest } from './digest.ts';
import { buildManifest } from './manifest.ts';
import type { ManifestFile } from './manifest.ts';
import { roleOf } from './roles.ts';

/**
 * The three roots of an artifact (DESIGN §1a "Identity"): manifest v1 digests of all files, of weights and what
 * steers loading, and of the weights. Null where the subset has no file. Equal subsets have equal roots.
 */
export interface ArtifactRoots {
  /** The artifact digest. */
  readonly all: Digest;
  readonly loading: Digest | null;
  readonly weights: Digest | null;
}

/** The roots of the files of an artifact. Faults as `buildManifest`. */
export function rootsOf(files: readonly ManifestFile[]): ArtifactRoots {
  const loading = files.filter((file) => roleOf(file.path) !== 'documentation');
  const weights = loading.filter((file) => roleOf(file.path) === 'weights');
  const all = buildManifest(files).digest;
  const loadingRoot = loading.length === files.length ? all : rootOf(loading);
  return {
    all,
    loading: loadingRoot,
    weights: weights.length === loading.length ? loadingRoot : rootOf(weights),
  };
}

function rootOf(files: readonly ManifestFile[]): Digest | null {
  return files.length === 0 ? null : buildManifest(files).digest;
}
