import type { Collected, SourceRequest, SourceSink } from '#artifact/source.ts';
import { Fault } from '#lib/fault.ts';
import { readBounded } from '#lib/http-client.ts';
import { limits } from '#lib/limits.ts';
import { download } from '../download.ts';
import { askFor, credentialFor } from '../site.ts';
import type { Site } from '../site.ts';
import { parseListing } from './listing.ts';
import type { S3Object } from './listing.ts';
import { encodeKey, encodeQuery, signGet } from './sign.ts';

type S3Request = Extract<SourceRequest, { kind: 's3' }>;

/**
 * All objects below a prefix of a bucket (or the one that is called so). Keys that the operator configured for the
 * endpoint's host sign the requests; without, they are anonymous. A caller who names another endpoint gets no signature
 * of ours. Each object is fetched as the listing saw it (`If-Match`).
 */
export async function collectS3(site: Site, request: S3Request, sink: SourceSink): Promise<Collected> {
  const bucket = bucketUrl(request);
  site.egress.admit(bucket);
  const headersOf = signerFor(site, bucket, request.region);
  const objects = await listObjects({ site, request, bucket, headersOf, signal: sink.signal });
  if (objects.length === 0) throw new Fault('source.absent', 'nothing lies under this prefix of the bucket');
  sink.expect({
    files: objects.length,
    bytes: objects.reduce((sum, { object }) => sum + object.sizeBytes, 0),
  });
  for (const { path, object } of objects) {
    const url = new URL(bucket);
    url.pathname = `${bucket.pathname.replace(/\/$/, '')}/${encodeKey(object.key)}`;
    const match = object.etag === undefined ? {} : { 'if-match': object.etag };
    await sink.put({ path, sizeBytes: object.sizeBytes }, () =>
      download(site, {
        url,
        signal: sink.signal,
        sizeBytes: object.sizeBytes,
        headers: () => headersOf(url, match),
      }),
    );
  }
  const endpoint = request.endpoint === undefined ? '' : `?endpoint=${request.endpoint.host}`;
  return { uri: `s3://${request.bucket}/${request.prefix}${endpoint}` };
}

/** By name at AWS, by path at an endpoint of somebody else's, and where dots in the name would break the certificate. */
function bucketUrl({ bucket, endpoint, region }: S3Request): URL {
  if (endpoint !== undefined) return new URL(`/${bucket}/`, endpoint);
  const host = `s3.${region}.amazonaws.com`;
  return new URL(bucket.includes('.') ? `https://${host}/${bucket}/` : `https://${bucket}.${host}/`);
}

type HeadersOf = (url: URL, more: Readonly<Record<string, string>>) => Readonly<Record<string, string>>;

function signerFor(site: Site, bucket: URL, region: string): HeadersOf {
  const { accessKeyId, secretAccessKey, sessionToken } =
    credentialFor(site, bucket) ?? (isAws(bucket) ? credentialFor(site, awsHost) : undefined) ?? {};
  if (accessKeyId === undefined || secretAccessKey === undefined) return (_url, more) => more;
  const key = { accessKeyId, secretAccessKey, sessionToken };
  return (url, headers) => signGet({ url, headers }, key, { region, at: new Date() });
}

/** One entry of the credentials is enough for all buckets and regions of AWS. */
const awsHost = new URL('https://amazonaws.com');

function isAws({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' && /(?:^|\.)s3\.[a-z0-9-]{1,40}\.amazonaws\.com$/.test(hostname);
}

interface Listed {
  readonly path: string;
  readonly object: S3Object;
}

async function listObjects(at: {
  readonly site: Site;
  readonly request: S3Request;
  readonly bucket: URL;
  readonly headersOf: HeadersOf;
  readonly signal: AbortSignal;
}): Promise<readonly Listed[]> {
  const { site, request, bucket, headersOf, signal } = at;
  const found: Listed[] = [];
  const seen = new Set<string>();
  let next: string | undefined;
  do {
    const url = new URL(bucket);
    url.search = encodeQuery({
      'encoding-type': 'url',
      'list-type': '2',
      prefix: request.prefix,
      ...(next === undefined ? {} : { 'continuation-token': next }),
    });
    const answer = await askFor(site, { url, signal, headers: headersOf(url, {}) }, [200]);
    const page = parseListing(new TextDecoder().decode(await readBounded(answer, limits.sourceAnswerBytes)));
    for (const object of page.objects) {
      const path = pathOf(request.prefix, object);
      if (path !== undefined) found.push({ path, object });
    }
    if (found.length > limits.artifactFiles)
      throw new Fault('artifact.too-large', `there are more than ${limits.artifactFiles} objects`);
    ({ next } = page);
    if (next !== undefined && (seen.has(next) || page.objects.length === 0))
      throw new Fault('upstream.lied', "the bucket's listing goes in a circle");
    if (next !== undefined) seen.add(next);
  } while (next !== undefined);
  const exact = found.find(({ object }) => object.key === request.prefix);
  return exact === undefined ? found : [exact];
}

/** `models/a` means the object of that name or what lies in that folder, never `models/ab`. */
function pathOf(prefix: string, { key, sizeBytes }: S3Object): string | undefined {
  if (key === prefix) return key.split('/').at(-1);
  const folder = prefix === '' ? '' : `${prefix}/`;
  if (!key.startsWith(folder)) return undefined;
  // Consoles make empty objects that stand for folders.
  return key.endsWith('/') && sizeBytes === 0 ? undefined : key.slice(folder.length);
}
