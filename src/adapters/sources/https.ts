import type { Collected, SourceRequest, SourceSink } from '#artifact/source.ts';
import { Fault } from '#lib/fault.ts';
import { download } from './download.ts';
import { authorizationFor } from './site.ts';
import type { Site } from './site.ts';

/**
 * One or several URLs of one host as one artifact. Paths are what the URLs have after the folder they share; one URL is
 * its last segment. What a server says about names (`Content-Disposition`) is not believed.
 */
export async function collectHttps(
  site: Site,
  { urls, digest }: Extract<SourceRequest, { kind: 'https' }>,
  sink: SourceSink,
): Promise<Collected> {
  const { folder, paths } = layOut(urls);
  for (const url of urls) site.egress.admit(url);
  sink.expect({ files: urls.length, bytes: undefined });
  for (const [index, url] of urls.entries()) {
    const path = paths[index] ?? '';
    await sink.put({ path, digest }, () =>
      download(site, { url, signal: sink.signal, headers: () => authorizationFor(site, url) }),
    );
  }
  const [first] = urls;
  if (first === undefined) throw new Fault('request.invalid', 'no URL is named');
  return { uri: urls.length === 1 ? `${first.origin}${first.pathname}` : `${first.origin}${folder}` };
}

function layOut(urls: readonly URL[]): { readonly folder: string; readonly paths: readonly string[] } {
  const origins = new Set(urls.map(({ origin }) => origin));
  if (origins.size > 1) {
    throw new Fault('request.invalid', 'the URLs are of several hosts', {
      hint: 'make one intake per host: evidence names one source',
    });
  }
  const segments = urls.map((url) => url.pathname.split('/').slice(1).map(decode));
  let shared = 0;
  const first = segments[0] ?? [];
  while (
    shared < first.length - 1 &&
    segments.every((parts) => shared < parts.length - 1 && parts[shared] === first[shared])
  )
    shared += 1;
  return {
    folder: `/${first
      .slice(0, shared)
      .map((part) => `${encodeURIComponent(part)}/`)
      .join('')}`,
    paths: segments.map((parts) => parts.slice(shared).join('/')),
  };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Fault('request.invalid', 'the path of a URL holds a bad percent escape');
  }
}
