import { createHash, createHmac } from 'node:crypto';
import type { Redacted } from '#lib/redacted.ts';

export interface S3Key {
  readonly accessKeyId: string;
  readonly secretAccessKey: Redacted<string>;
  readonly sessionToken?: Redacted<string> | undefined;
}

/** SHA-256 of nothing: a GET has no body. */
const emptyHash = createHash('sha256').digest('hex');

/**
 * Headers of a signed GET (AWS Signature Version 4, service `s3`, one chunk, no body). `url` must have its path in the form
 * of `encodeKey` and its query in the form of `encodeQuery`: S3 signs the path as it is sent, escaped once. `headers` are
 * signed with it.
 */
export function signGet(
  request: { readonly url: URL; readonly headers: Readonly<Record<string, string>> },
  key: S3Key,
  scope: { readonly region: string; readonly at: Date },
): Readonly<Record<string, string>> {
  const instant = scope.at.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const day = instant.slice(0, 8);
  const token = key.sessionToken?.reveal();
  const signed: Record<string, string> = {
    ...request.headers,
    'x-amz-content-sha256': emptyHash,
    'x-amz-date': instant,
    ...(token === undefined ? {} : { 'x-amz-security-token': token }),
  };
  const all: Readonly<Record<string, string>> = { ...signed, host: request.url.host };
  const names = Object.keys(all).sort();
  const query = [...request.url.searchParams]
    .map(([name, value]) => `${escapePart(name)}=${escapePart(value)}`)
    .sort()
    .join('&');
  const canonical = [
    'GET',
    request.url.pathname,
    query,
    ...names.map((name) => `${name}:${all[name]?.trim() ?? ''}`),
    '',
    names.join(';'),
    emptyHash,
  ].join('\n');
  const place = `${day}/${scope.region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', instant, place, sha256(canonical)].join('\n');
  const signingKey = [day, scope.region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${key.secretAccessKey.reveal()}`,
  );
  const signature = createHmac('sha256', signingKey).update(text).digest('hex');
  return {
    ...signed,
    authorization: `AWS4-HMAC-SHA256 Credential=${key.accessKeyId}/${place}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

/** A key as a path: everything escaped but unreserved characters and `/`. */
export function encodeKey(key: string): string {
  return key.split('/').map(escapePart).join('/');
}

/** A query that a URL keeps as it is. */
export function encodeQuery(pairs: Readonly<Record<string, string>>): string {
  return Object.entries(pairs)
    .map(([name, value]) => `${escapePart(name)}=${escapePart(value)}`)
    .join('&');
}

/** RFC 3986 §2.3 unreserved characters stay, all others are escaped. */
function escapePart(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
