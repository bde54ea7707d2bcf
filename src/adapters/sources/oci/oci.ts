import { digestOf, isDigest } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Collected, SourceRequest, SourceSink } from '#artifact/source.ts';
import { Fault } from '#lib/fault.ts';
import { readBounded } from '#lib/http-client.ts';
import { isJsonObject } from '#lib/json.ts';
import type { JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { readTarStream } from '#lib/tar-stream.ts';
import { download } from '../download.ts';
import { parseAnswer, refusedAnswer } from '../site.ts';
import type { Site } from '../site.ts';
import { parseLayer, unpack, verifiedLayer } from './layer.ts';
import type { Layer } from './layer.ts';
import { openRegistry } from './registry.ts';
import type { Registry } from './registry.ts';

type OciRequest = Extract<SourceRequest, { kind: 'oci' }>;

const imageManifest = 'application/vnd.oci.image.manifest.v1+json';
const imageIndex = 'application/vnd.oci.image.index.v1+json';
const accept = [
  imageManifest,
  imageIndex,
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');

/**
 * The layers of one manifest of an OCI registry as files (OCI distribution-spec v1.1 "Pull"). Manifest and layers must
 * have the digests by which they are named; the evidence names the manifest by its digest, also where a tag was asked for.
 */
export async function collectOci(site: Site, request: OciRequest, sink: SourceSink): Promise<Collected> {
  const { registry: origin, repository } = request;
  site.egress.admit(origin);
  const registry = openRegistry({ site, registry: origin, repository, signal: sink.signal });
  const { digest, layers } = await fetchManifest(registry, request.reference);
  if (layers.length === 0) throw new Fault('artifact.empty', 'the OCI manifest has no layer');
  if (layers.every(({ content }) => content.kind === 'file')) {
    const bytes = layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    sink.expect({ files: layers.length, bytes });
  }
  for (const layer of layers) await takeLayer({ site, registry, layer, sink });
  return { uri: `oci://${origin.host}/${repository}@${digest}` };
}

async function takeLayer(at: {
  readonly site: Site;
  readonly registry: Registry;
  readonly layer: Layer;
  readonly sink: SourceSink;
}): Promise<void> {
  const { site, registry, layer, sink } = at;
  const headers = await registry.headers();
  const url = registry.url(`blobs/${layer.digest}`);
  const open = () =>
    download(site, { url, signal: sink.signal, sizeBytes: layer.sizeBytes, headers: () => headers });
  const { digest, sizeBytes, content } = layer;
  if (content.kind === 'file') return sink.put({ path: content.path, digest, sizeBytes }, open);
  // The layer's digest is known to be right only after its last file: until then nothing of it is part of an artifact.
  const plain = unpack(verifiedLayer(open(), layer), content.compression);
  for await (const entry of readTarStream(plain))
    await sink.put({ path: entry.name, sizeBytes: entry.sizeBytes }, () => entry.bytes);
}

interface Manifest {
  readonly digest: Digest;
  readonly layers: readonly Layer[];
}

async function fetchManifest(registry: Registry, reference: string): Promise<Manifest> {
  const { digest, value } = await fetchDocument(registry, reference);
  const inside = isJsonObject(value) ? value['manifests'] : undefined;
  if (!Array.isArray(inside)) return { digest, layers: layersOf(value) };
  const [only, ...others] = inside;
  const next = isJsonObject(only) ? only['digest'] : undefined;
  if (!isDigest(next) || others.length > 0) {
    throw new Fault('manifest.invalid', `the OCI index names ${inside.length} manifests`, {
      hint: 'name one of them by its digest: `oci://host/repository@sha256:…`',
    });
  }
  const single = await fetchDocument(registry, next);
  return { digest: single.digest, layers: layersOf(single.value) };
}

function layersOf(value: JsonValue): readonly Layer[] {
  const layers = isJsonObject(value) ? value['layers'] : undefined;
  if (!Array.isArray(layers)) throw new Fault('manifest.invalid', 'the OCI manifest has no layers');
  if (layers.length > limits.ociLayers)
    throw new Fault('limit.exceeded', 'the OCI manifest has too many layers');
  return layers.map((layer: JsonValue) => parseLayer(layer));
}

async function fetchDocument(registry: Registry, reference: string) {
  const path = `manifests/${reference}`;
  const answer = await registry.get(path, accept);
  if (answer.status !== 200) {
    answer.discard();
    throw refusedAnswer(answer.status, registry.url(path));
  }
  const bytes = await readBounded(answer, limits.sourceAnswerBytes);
  const digest = digestOf(bytes);
  const declared = isDigest(reference) ? reference : answer.header('docker-content-digest');
  if (declared !== undefined && declared !== digest)
    throw new Fault('upstream.lied', 'the OCI manifest has other bytes than its digest says');
  return { digest, value: parseAnswer(bytes, registry.url(path)) };
}
