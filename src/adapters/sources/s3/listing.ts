import { Fault } from '#lib/fault.ts';

export interface S3Object {
  readonly key: string;
  readonly sizeBytes: number;
  /** Quoted, as `If-Match` takes it; undefined where the listing names none. */
  readonly etag: string | undefined;
}

export interface S3Page {
  readonly objects: readonly S3Object[];
  /** Continuation token of the next page. */
  readonly next: string | undefined;
}

const lied = (why: string): Fault => new Fault('upstream.lied', `the bucket's listing is not one: ${why}`);

/**
 * One answer of ListObjectsV2 that was asked with `encoding-type=url`. Reads exactly the members that matter, in text that
 * holds no comment, CDATA or document type, so that no two readers can see different listings.
 */
export function parseListing(text: string): S3Page {
  if (/<!/.test(text)) throw lied('it holds a declaration');
  const root = /<ListBucketResult\b[^>]*>([\s\S]*)<\/ListBucketResult>\s*$/.exec(text)?.[1];
  if (root === undefined) throw lied('it has no `ListBucketResult`');
  const outside = root.replaceAll(/<Contents>[\s\S]*?<\/Contents>/g, '');
  const objects = [...root.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)].map(([, body = '']) => {
    const size = member(body, 'Size') ?? '';
    const key = member(body, 'Key');
    if (key === undefined || !/^\d{1,15}$/.test(size)) throw lied('an object has no key or no size');
    return { key: decodeKey(key), sizeBytes: Number(size), etag: member(body, 'ETag') };
  });
  const truncated = member(outside, 'IsTruncated') === 'true';
  const next = member(outside, 'NextContinuationToken');
  if (truncated && next === undefined) throw lied('it goes on and does not say where');
  return { objects, next: truncated ? next : undefined };
}

function member(body: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1];
  return text?.replaceAll(/&(amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});/g, (_whole, entity: string) =>
    decodeEntity(entity),
  );
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decodeEntity(entity: string): string {
  const named = entities[entity];
  if (named !== undefined) return named;
  const code = entity.startsWith('#x') ? Number.parseInt(entity.slice(2), 16) : Number(entity.slice(1));
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) throw lied('it names a character that is none');
  return String.fromCodePoint(code);
}

/** `encoding-type=url` escapes as forms do, where `+` is a space. */
function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', '%20'));
  } catch {
    throw lied('a key holds a bad percent escape');
  }
}
