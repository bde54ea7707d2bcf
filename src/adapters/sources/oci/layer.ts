import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { digestOfHex } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { isDigest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { isJsonObject } from '#lib/json.ts';
import type { JsonValue } from '#lib/json.ts';

export interface Layer {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly content:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'archive'; readonly compression: 'none' | 'gzip' | 'zstd' };
}

const invalid = (why: string, hint?: string): Fault =>
  new Fault(
    'manifest.invalid',
    `the OCI manifest cannot be taken as files: ${why}`,
    hint === undefined ? {} : { hint },
  );

/**
 * A layer as a file or an archive of files. A path is what `org.cncf.model.filepath` (ModelPack) or
 * `org.opencontainers.image.title` (ORAS) says. Archives are those of ModelPack, KitOps and ORAS (`…content.unpack`) and
 * those of container images; a title makes everything else a file, because ORAS gives files the media type of archives.
 */
export function parseLayer(value: JsonValue): Layer {
  if (!isJsonObject(value)) throw invalid('a layer is not an object');
  const { digest, size, mediaType, annotations, urls } = value;
  if (!isDigest(digest)) throw invalid('a layer has no SHA-256 digest');
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw invalid('a layer has no size');
  if (typeof mediaType !== 'string') throw invalid('a layer has no media type');
  if (urls !== undefined) throw invalid('a layer lies somewhere else', 'foreign layers are not fetched');
  const notes = isJsonObject(annotations) ? annotations : {};
  const path = notes['org.cncf.model.filepath'] ?? notes['org.opencontainers.image.title'];
  const known = { digest, sizeBytes: size };
  const archive = /[.+]tar(?:[.+](gzip|zstd))?$/.exec(mediaType);
  const model = /^application\/vnd\.(?:cncf\.model|kitops\.modelkit)\./.test(mediaType);
  const unpacks = notes['io.deis.oras.content.unpack'] === 'true';
  if (archive !== null && (model || unpacks || path === undefined)) {
    const compression = archive[1] === 'gzip' || archive[1] === 'zstd' ? archive[1] : 'none';
    return { ...known, content: { kind: 'archive', compression } };
  }
  if (typeof path !== 'string')
    throw invalid('a layer has no name', 'push with ModelPack, KitOps or ORAS, which name each layer');
  return { ...known, content: { kind: 'file', path } };
}

/** The bytes of a layer, and at their end the proof that they are those of its digest. */
export async function* verifiedLayer(
  bytes: AsyncIterable<Uint8Array>,
  { digest, sizeBytes }: Layer,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > sizeBytes) break;
    hash.update(chunk);
    yield chunk;
  }
  if (size !== sizeBytes || digestOfHex(hash.digest('hex')) !== digest)
    throw new Fault('upstream.lied', `layer \`${digest}\` has other bytes than its digest says`);
}

/** An archive as it was before it was packed. Fault `bundle.invalid` where it is not packed so. */
export async function* unpack(
  bytes: AsyncIterable<Uint8Array>,
  compression: 'none' | 'gzip' | 'zstd',
): AsyncGenerator<Uint8Array> {
  if (compression === 'none') return void (yield* bytes);
  const inflate = compression === 'gzip' ? createGunzip() : createZstdDecompress();
  let failure: unknown;
  const fed = pipeline(Readable.from(bytes), inflate).catch((error: unknown) => {
    failure = error;
  });
  try {
    for await (const chunk of inflate) yield chunk as Uint8Array;
    await fed;
  } catch (error) {
    await fed;
    if (failure instanceof Fault) throw failure;
    if (error instanceof Fault) throw error;
    throw new Fault('bundle.invalid', `an archive of the registry is not ${compression}`, { cause: error });
  } finally {
    inflate.destroy();
  }
}
