import { Fault } from '#lib/fault.ts';
import { encodeJcsString } from '#lib/jcs.ts';
import { isJsonObject, parseJson } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { compareCodePoints, parsePathName } from '#lib/path-name.ts';
import { digestOf, parseDigest } from './digest.ts';
import type { Digest } from './digest.ts';

/** One file of an artifact: its path, the SHA-256 of its bytes and their number. */
export interface ManifestFile {
  readonly path: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Manifest v1 (docs/reference/artifact-digest.md). `digest` is the name of the artifact that the files make up. */
export interface Manifest {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly config: { readonly bytes: Uint8Array; readonly digest: Digest };
  /** Code-point order of path. */
  readonly files: readonly ManifestFile[];
}

export const manifestMediaType = 'application/vnd.oci.image.manifest.v1+json';
export const manifestArtifactType = 'application/vnd.cncf.model.manifest.v1+json';
export const manifestConfigMediaType = 'application/vnd.cncf.model.config.v1+json';
export const manifestLayerMediaType = 'application/vnd.cncf.model.weight.v1.raw';
export const manifestPathAnnotation = 'org.cncf.model.filepath';

const encoder = new TextEncoder();

/**
 * Files in any order to manifest v1: the RFC 8785 encoding of an OCI image manifest, written piece by piece because
 * 100 000 files are usual enough. The bytes never change for the same files; nothing in them is a classification.
 * Paths that differ only in case or Unicode form are different files here (`findPathCollisions` reports them).
 * Faults: `artifact.empty`; `artifact.too-large` above `limits.artifactFiles` or `limits.manifestBytes`;
 * `path.invalid`; `path.collision` for a path named twice or used as file and directory; `manifest.invalid` for a
 * size that is no safe integer.
 */
export function buildManifest(files: readonly ManifestFile[]): Manifest {
  if (files.length === 0) {
    throw new Fault('artifact.empty', 'an artifact has at least one file');
  }
  if (files.length > limits.artifactFiles) {
    throw new Fault('artifact.too-large', `${files.length} files are more than ${limits.artifactFiles}`);
  }
  const sorted = [...files].sort((left, right) => compareCodePoints(left.path, right.path));
  refuseCollisions(sorted);
  let diffIds = '';
  let layers = '';
  for (const file of sorted) {
    const separator = layers === '' ? '' : ',';
    diffIds += `${separator}"${file.digest}"`;
    layers += separator + encodeLayer(file);
  }
  const configBytes = encoder.encode(
    `{"config":{},"descriptor":{},"modelfs":{"diffIds":[${diffIds}],"type":"layers"}}`,
  );
  const config = { bytes: configBytes, digest: digestOf(configBytes) };
  const bytes = encoder.encode(
    `{"artifactType":"${manifestArtifactType}","config":{"digest":"${config.digest}",` +
      `"mediaType":"${manifestConfigMediaType}","size":${configBytes.length}},"layers":[${layers}],` +
      `"mediaType":"${manifestMediaType}","schemaVersion":2}`,
  );
  if (bytes.length > limits.manifestBytes) {
    throw new Fault(
      'artifact.too-large',
      `a manifest of ${bytes.length} bytes is larger than ${limits.manifestBytes}`,
    );
  }
  return { bytes, digest: digestOf(bytes), config, files: sorted };
}

/**
 * Manifest v1 from its bytes. Only the canonical bytes are taken: the files are encoded again and compared, so a
 * foreign manifest, another order, white space or one more member is Fault `manifest.invalid`.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  const value = parseJson(bytes, { depth: 8, bytes: limits.manifestBytes, duplicateKeys: 'last' });
  const layers = isJsonObject(value) ? value['layers'] : undefined;
  if (!Array.isArray(layers)) throw notManifest('it has no layers');
  if (layers.length > limits.artifactFiles) {
    throw new Fault('artifact.too-large', `${layers.length} files are more than ${limits.artifactFiles}`);
  }
  const manifest = buildManifest(layers.map(parseLayer));
  if (Buffer.compare(manifest.bytes, bytes) !== 0) throw notManifest('its bytes are not the canonical ones');
  return manifest;
}

function encodeLayer(file: ManifestFile): string {
  if (!Number.isSafeInteger(file.sizeBytes) || file.sizeBytes < 0) {
    throw new Fault('manifest.invalid', `the size of a file is \`${file.sizeBytes}\`, not a safe integer`);
  }
  return (
    `{"annotations":{"${manifestPathAnnotation}":${encodeJcsString(file.path)}},"digest":"${file.digest}",` +
    `"mediaType":"${manifestLayerMediaType}","size":${file.sizeBytes}}`
  );
}

function parseLayer(layer: unknown): ManifestFile {
  if (typeof layer !== 'object' || layer === null) throw notManifest('a layer is not an object');
  const { annotations, digest, size } = layer as Readonly<Record<string, unknown>>;
  if (typeof annotations !== 'object' || annotations === null) throw notManifest('a layer has no path');
  const path = (annotations as Readonly<Record<string, unknown>>)[manifestPathAnnotation];
  if (typeof path !== 'string') throw notManifest('a layer has no path');
  if (typeof digest !== 'string') throw notManifest('a layer has no digest');
  if (typeof size !== 'number') throw notManifest('a layer has no size');
  return { path, digest: parseDigest(digest), sizeBytes: size };
}

/** Files in code-point order of path: valid, each named once, none of them also a directory of another. */
function refuseCollisions(sorted: readonly ManifestFile[]): void {
  const paths = new Set<string>();
  for (const { path } of sorted) {
    parsePathName(path);
    if (paths.has(path)) throw new Fault('path.collision', `\`${path}\` is named twice`);
    paths.add(path);
  }
  let lastDirectory = '';
  for (const { path } of sorted) {
    const directory = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (directory === lastDirectory) continue;
    lastDirectory = directory;
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      if (paths.has(path.slice(0, cut))) {
        throw new Fault('path.collision', `\`${path.slice(0, cut)}\` is a file and a directory`);
      }
    }
  }
}

function notManifest(reason: string): Fault {
  return new Fault('manifest.invalid', `this is not a manifest v1: ${reason}`, {
    hint: 'the bytes of manifest v1 are fixed in docs/reference/artifact-digest.md',
  });
}
