import type { RepositoryName } from '#artifact/catalog.ts';
import { parseDigest } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { SourceRequest } from '#artifact/source.ts';
import type { Environment } from '#evidence/predicates.ts';
import { repositoryName, revisionName } from '#gates/pull/target.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { parsePathName } from '#lib/path-name.ts';

/** What a caller asks for, as `POST /wb/v1/intakes` takes it. */
export interface IntakeBody {
  /** `hf://…`, `https://…`, `s3://…`, `git+https://…`, `oci://…` or `upload`; several only of `https`. */
  readonly source: string | readonly string[];
  readonly as?: string;
  readonly type?: 'models' | 'datasets';
  readonly reference?: string;
  readonly environment?: Environment;
  readonly sha256?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly include?: string;
}

/** What is to be done, by whom it is done. */
export type IntakeTask =
  | { readonly kind: 'foreign'; readonly request: SourceRequest }
  | { readonly kind: 'hub'; readonly revision: string; readonly include: string | undefined }
  | { readonly kind: 'upload' };

export interface IntakeOrder {
  readonly task: IntakeTask;
  readonly repository: RepositoryName;
  readonly reference: string;
  /** The source for people: no query, no credential. */
  readonly shown: string;
}

interface Parsed {
  readonly task: IntakeTask;
  readonly shown: string;
  /** `org/name` where nobody says otherwise; undefined where somebody must. */
  readonly name: string | undefined;
  readonly type?: 'models' | 'datasets';
}

const invalid = (message: string, hint?: string): Fault =>
  new Fault('request.invalid', message, hint === undefined ? {} : { hint });

/** The order behind a request. Fault `request.invalid` says what a source looks like. Judges no address yet. */
export function parseIntake(body: IntakeBody): IntakeOrder {
  const texts = typeof body.source === 'string' ? [body.source] : body.source;
  const parsed = parseSource(texts, body);
  refuseStrayOptions(parsed.task, body);
  const type = parsed.type ?? body.type ?? 'models';
  if (parsed.task.kind === 'hub') {
    if (body.as !== undefined && body.as !== parsed.name)
      throw invalid('a repository of the hub keeps its name', 'leave `as` out');
    if (body.type !== undefined && body.type !== type)
      throw invalid('the source names another type of repository');
  }
  const name = body.as ?? parsed.name;
  if (name === undefined) throw invalid('an upload needs a name', 'say `as`: `org/name`');
  if (!/^[^/]+\/[^/]+$/.test(name)) throw invalid('the name is not `org/name`');
  return {
    task: parsed.task,
    repository: repositoryName(type, name.split('/')),
    reference: parsed.task.kind === 'hub' ? parsed.task.revision : parseReference(body.reference ?? 'main'),
    shown: parsed.shown,
  };
}

function parseReference(text: string): string {
  const name = revisionName(text);
  if (name === '' || name === 'HEAD' || name.startsWith('refs/') || /^[0-9a-f]{40}$/.test(name))
    throw invalid('a reference is a name such as `main` or `v1`');
  return name;
}

function refuseStrayOptions({ kind, ...task }: IntakeTask, body: IntakeBody): void {
  const of = 'request' in task ? task.request.kind : kind;
  const refuse = (name: string, ...kinds: readonly string[]): void => {
    if (kinds.includes(of)) return;
    throw invalid(`\`${name}\` says nothing about this source`, `it belongs to ${kinds.join(', ')}`);
  };
  if (body.sha256 !== undefined) refuse('sha256', 'https');
  if (body.endpoint !== undefined) refuse('endpoint', 's3');
  if (body.region !== undefined) refuse('region', 's3');
  if (body.include !== undefined) refuse('include', 'hub');
}

function parseSource(texts: readonly string[], body: IntakeBody): Parsed {
  const [text = '', ...more] = texts;
  if (texts.length > limits.sourceUrls) throw new Fault('limit.exceeded', 'too many URLs for one intake');
  if (texts.some((one) => one.length > limits.sourceTextBytes || /[\p{Cc}\s\\]/u.test(one)))
    throw invalid('a source holds a space, a control character or a backslash, or is too long');
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(text)?.[1] ?? text;
  if (more.length > 0 && !texts.every((one) => /^https?:/.test(one)))
    throw invalid('several sources are taken as one artifact only where all are https URLs');
  switch (scheme) {
    case 'upload':
      return { task: { kind: 'upload' }, shown: 'upload', name: undefined };
    case 'file':
      throw invalid(
        'the server opens no path that a caller names',
        '`weighbridge intake` uploads local files',
      );
    case 'hf':
      return parseHub(text, body);
    case 'https':
    case 'http':
      return parseHttps(texts, body.sha256);
    case 's3':
      return parseS3(text, body);
    case 'git+https':
    case 'git+http':
      return parseGit(text);
    case 'oci':
    case 'oci+http':
      return parseOci(text);
    default:
      throw invalid(
        `\`${scheme.slice(0, 40)}\` is not a kind of source`,
        'one of hf://org/name, https://, s3://, git+https://, oci://; `weighbridge intake` also takes file:PATH and upload PATH',
      );
  }
}

function parseHub(text: string, body: IntakeBody): Parsed {
  const match = /^hf:\/\/(?:(models|datasets)\/)?([^/@]+\/[^/@]+)(?:@(.+))?$/.exec(text);
  const id = match?.[2];
  if (id === undefined) throw invalid('write `hf://org/name`, `hf://datasets/org/name` or `…@revision`');
  const type = match?.[1] === 'datasets' ? 'datasets' : 'models';
  const revision = revisionName(match?.[3] ?? 'main');
  return {
    task: { kind: 'hub', revision, include: body.include },
    shown: `hf://${type}/${id}@${revision}`,
    name: id,
    type,
  };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '') throw invalid('the source is not a URL');
  if (url.username !== '' || url.password !== '') {
    throw invalid('the URL carries a credential', 'the operator gives credentials with `intake-credentials`');
  }
  url.hash = '';
  return url;
}

function parseHttps(texts: readonly string[], sha256: string | undefined): Parsed {
  const urls = texts.map(parseUrl);
  const [first] = urls;
  const stray = urls.find(({ pathname }) => pathname.endsWith('/'));
  if (first === undefined || stray !== undefined) throw invalid('a URL must name a file, not a folder');
  if (sha256 !== undefined && urls.length > 1) throw invalid('`sha256` is about one file');
  const last = first.pathname.split('/').filter((part) => part !== '');
  const file = (urls.length === 1 ? last.at(-1) : last.at(-2)) ?? 'files';
  return {
    task: { kind: 'foreign', request: { kind: 'https', urls, digest: parseSha256(sha256) } },
    shown: `${first.origin}${first.pathname}${urls.length > 1 ? ` and ${urls.length - 1} more` : ''}`,
    name: deriveName(first.hostname, file.replace(/(?<=.)\.[A-Za-z0-9]{1,16}$/, '')),
  };
}

function parseSha256(text: string | undefined): Digest | undefined {
  return text === undefined ? undefined : parseDigest(text.startsWith('sha256:') ? text : `sha256:${text}`);
}

function parseS3(text: string, { endpoint, region = 'us-east-1' }: IntakeBody): Parsed {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(text);
  const bucket = match?.[1];
  if (bucket === undefined) throw invalid('write `s3://bucket/prefix`');
  if (!/^[a-z0-9-]{1,40}$/.test(region)) throw invalid('the region is not one');
  const prefix = match?.[2]?.replace(/\/$/, '') ?? '';
  if (prefix !== '') parsePathName(prefix);
  const url = endpoint === undefined ? undefined : parseUrl(endpoint);
  if (url !== undefined && (url.pathname !== '/' || url.search !== ''))
    throw invalid('the endpoint has a path', 'write `https://host` or `https://host:port`');
  return {
    task: { kind: 'foreign', request: { kind: 's3', bucket, prefix, endpoint: url, region } },
    shown: `s3://${bucket}/${prefix}`,
    name: deriveName(bucket, prefix.split('/').at(-1) ?? ''),
  };
}

function parseGit(text: string): Parsed {
  const url = parseUrl(text.slice('git+'.length));
  if (url.search !== '') throw invalid('the URL of a git repository has no query');
  const match = /^(.*?\.git)@(.+)$/.exec(url.pathname) ?? /^(.*)@([^@]+)$/.exec(url.pathname);
  if (match !== null) url.pathname = match[1] ?? '';
  url.pathname = url.pathname.replace(/\/+$/, '');
  if (url.pathname === '/') throw invalid('write `git+https://host/repository.git@reference`');
  const revision = match === null ? undefined : revisionName(decodeURIComponent(match[2] ?? ''));
  return {
    task: { kind: 'foreign', request: { kind: 'git', url, revision } },
    shown: `git+${url.href}${revision === undefined ? '' : `@${revision}`}`,
    name: deriveName(url.hostname, url.pathname.replace(/\.git$/, '')),
  };
}

/** `<name>` and `<reference>` of the OCI distribution specification. */
const ociName = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const ociTag = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

function parseOci(text: string): Parsed {
  const match = /^oci(\+http)?:\/\/([^/]+)\/([^:@]+)(?::([^@]+))?(?:@(.+))?$/.exec(text);
  const [, plain, host = '', repository = '', tag = 'latest', digest] = match ?? [];
  if (match === null || repository.length > 255 || !ociName.test(repository) || !ociTag.test(tag))
    throw invalid('write `oci://host/repository:tag` or `oci://host/repository@sha256:…`');
  const registry = parseUrl(`${plain === undefined ? 'https' : 'http'}://${host}`);
  const reference = digest === undefined ? tag : parseDigest(digest);
  return {
    task: { kind: 'foreign', request: { kind: 'oci', registry, repository, reference } },
    shown: `oci://${registry.host}/${repository}${digest === undefined ? ':' : '@'}${reference}`,
    name: deriveName(registry.hostname, repository),
  };
}

/**
 * `host/rest-of-the-path`. The host is always in front: a name derived from a path alone would let whoever runs some host
 * choose the name of somebody's model on the hub.
 */
function deriveName(host: string, rest: string): string {
  return `${clean(host) || 'source'}/${clean(rest) || 'files'}`;
}

function clean(text: string): string {
  return text
    .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
    .replaceAll(/-{2,}/g, '-')
    .replaceAll(/\.{2,}/g, '.')
    .replace(/\.git$/i, '')
    .slice(0, 90)
    .replaceAll(/^[^A-Za-z0-9_]+|[^A-Za-z0-9_]+$/g, '');
}

/** Do names match as in a shell without directories: `*` any text, `?` one character. Linear, whatever the pattern. */
export function matchesGlob(pattern: string, name: string): boolean {
  let [at, within] = [0, 0];
  let [star, mark] = [-1, 0];
  while (within < name.length) {
    if (pattern[at] === '*') {
      star = at++;
      mark = within;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[within])) {
      at += 1;
      within += 1;
    } else if (star >= 0) {
      at = star + 1;
      within = ++mark;
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}
