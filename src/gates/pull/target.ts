import type { RepositoryName, RepositoryType } from '#artifact/catalog.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { parsePathName } from '#lib/path-name.ts';

/** What a request of the hub protocol asks for. Revisions, paths and names are decoded and validated. */
export type Target =
  | FileTarget
  | {
      readonly kind: 'tree';
      readonly repository: RepositoryName;
      readonly revision: string;
      readonly path: string | undefined;
    }
  | {
      readonly kind: 'info' | 'paths-info' | 'commits' | 'auth-check';
      readonly repository: RepositoryName;
      readonly revision: string;
    }
  | { readonly kind: 'refs'; readonly repository: RepositoryName }
  | { readonly kind: 'list'; readonly type: RepositoryType }
  | { readonly kind: 'whoami' }
  | { readonly kind: 'telemetry' }
  | { readonly kind: 'unknown' };

export interface FileTarget {
  /** `raw` is the file as git holds it: for an LFS file its pointer. */
  readonly kind: 'file' | 'raw';
  readonly repository: RepositoryName;
  readonly revision: string;
  readonly path: string;
}

export interface RequestTarget {
  /** From `/hf/<namespace>/…`; undefined names the default namespace. */
  readonly namespace: string | undefined;
  readonly target: Target;
  readonly query: URLSearchParams;
}

const types: ReadonlyMap<string, RepositoryType> = new Map([
  ['models', 'models'],
  ['datasets', 'datasets'],
  ['spaces', 'spaces'],
]);
const apiMarkers = new Set(['revision', 'tree', 'paths-info', 'refs', 'commits', 'auth-check']);
const fileMarkers = new Set(['resolve', 'raw']);
const unknown: Target = { kind: 'unknown' };

/**
 * The raw request target (path and query as on the wire) to what it asks for. Each segment is decoded by itself, so an
 * encoded slash separates nothing before the segment is known to be a revision or a path. Fault `path.invalid` for
 * empty or dot segments, NUL and other control characters, bad escapes and over-long input; `request.invalid` for a
 * malformed repository name or revision. What is well formed and not ours is `unknown`.
 */
export function parseTarget(url: string): RequestTarget {
  if (Buffer.byteLength(url) > limits.requestTargetBytes) {
    throw new Fault('path.invalid', `the request target is longer than ${limits.requestTargetBytes} bytes`);
  }
  const cut = url.indexOf('?');
  const query = new URLSearchParams(cut === -1 ? '' : url.slice(cut + 1));
  const segments = splitPath(cut === -1 ? url : url.slice(0, cut));
  if (segments[0] !== 'hf' || segments.length < 2)
    return { namespace: undefined, target: route(segments), query };
  const [, namespace = '', ...rest] = segments;
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(namespace)) {
    throw new Fault('request.invalid', 'the namespace in the path is malformed', {
      hint: 'a namespace is lower-case letters, digits and `-`, 63 at most',
    });
  }
  return { namespace, target: route(rest), query };
}

function splitPath(path: string): readonly string[] {
  if (!path.startsWith('/')) throw new Fault('path.invalid', 'the request target is not an absolute path');
  if (path === '/') return [];
  const trimmed = path.endsWith('/') ? path.slice(1, -1) : path.slice(1);
  return trimmed.split('/').map(decodeSegment);
}

function decodeSegment(segment: string): string {
  let text: string;
  try {
    text = decodeURIComponent(segment);
  } catch (cause) {
    throw new Fault('path.invalid', 'the request path holds a bad percent escape', { cause });
  }
  if (text === '' || text === '.' || text === '..') {
    throw new Fault('path.invalid', 'the request path holds an empty or dot segment');
  }
  if (/[\p{Cc}\\]/u.test(text)) {
    throw new Fault('path.invalid', 'the request path holds a control character or a backslash');
  }
  return text;
}

function route(segments: readonly string[]): Target {
  const [first, ...rest] = segments;
  if (first === undefined) return unknown;
  if (first === 'api') return routeApi(rest);
  const type = first === 'datasets' || first === 'spaces' ? first : 'models';
  return routeFile(type, type === 'models' ? segments : rest);
}

function routeApi(segments: readonly string[]): Target {
  const [first = '', ...rest] = segments;
  if (first === 'whoami-v2' && rest.length === 0) return { kind: 'whoami' };
  if (first === 'telemetry') return { kind: 'telemetry' };
  const type = types.get(first);
  if (type === undefined) return unknown;
  if (rest.length === 0) return { kind: 'list', type };
  const at = markerAt(rest, apiMarkers);
  if (at === undefined) {
    return rest.length <= 2
      ? { kind: 'info', repository: repositoryName(type, rest), revision: 'HEAD' }
      : unknown;
  }
  return routeRepository(repositoryName(type, rest.slice(0, at)), rest[at] ?? '', rest.slice(at + 1));
}

function routeRepository(repository: RepositoryName, marker: string, rest: readonly string[]): Target {
  if (marker === 'refs') return rest.length === 0 ? { kind: 'refs', repository } : unknown;
  if (marker === 'auth-check')
    return rest.length === 0 ? { kind: 'auth-check', repository, revision: 'HEAD' } : unknown;
  const { revision, path } = takeRevision(rest);
  if (marker === 'tree') {
    return { kind: 'tree', repository, revision, path: path.length === 0 ? undefined : pathName(path) };
  }
  if (path.length > 0) return unknown;
  if (marker === 'paths-info') return { kind: 'paths-info', repository, revision };
  return { kind: marker === 'commits' ? 'commits' : 'info', repository, revision };
}

function routeFile(type: RepositoryType, segments: readonly string[]): Target {
  const at = markerAt(segments, fileMarkers);
  if (at === undefined) return unknown;
  const repository = repositoryName(type, segments.slice(0, at));
  const { revision, path } = takeRevision(segments.slice(at + 1));
  if (path.length === 0) return unknown;
  return { kind: segments[at] === 'raw' ? 'raw' : 'file', repository, revision, path: pathName(path) };
}

/** A repository id has one or two segments; the marker is the first known word after one of them. */
function markerAt(segments: readonly string[], markers: ReadonlySet<string>): 1 | 2 | undefined {
  if (markers.has(segments[1] ?? '')) return 1;
  return markers.has(segments[2] ?? '') ? 2 : undefined;
}

const repositoryPattern = /^(?:\b[\w\-.]+\b\/)?\b[\w\-.]{1,96}\b$/;

/** The hub's own rule for names: letters, digits, `-`, `_`, `.`; no `--` or `..`; no `.git` at the end. */
export function repositoryName(type: RepositoryType, segments: readonly string[]): RepositoryName {
  const id = segments.join('/');
  if (!repositoryPattern.test(id) || /--|\.\./.test(id) || id.endsWith('.git') || id.length > 193) {
    throw new Fault('request.invalid', `\`${id.slice(0, 100)}\` is not a repository name`, {
      hint: 'a name is `name` or `organisation/name` of letters, digits, `-`, `_` and `.`',
    });
  }
  return { type, id };
}

const refNamespaces = new Set(['heads', 'tags', 'pr', 'convert']);

/**
 * The revision is one segment with its slashes encoded (`refs%2Fpr%2F1`); `refs/pr/1` in the clear, as some clients
 * write it in tree requests, is taken as well. Without any it is the default branch.
 */
function takeRevision(segments: readonly string[]): {
  readonly revision: string;
  readonly path: readonly string[];
} {
  const [first, second, third, ...rest] = segments;
  if (first === undefined) return { revision: 'HEAD', path: [] };
  if (first === 'refs' && second !== undefined && third !== undefined && refNamespaces.has(second)) {
    return { revision: revisionName(`refs/${second}/${third}`), path: rest };
  }
  return { revision: revisionName(first), path: segments.slice(1) };
}

/** As `git check-ref-format` rules, shortened: what could be read as anything but a name is refused. */
export function revisionName(text: string): string {
  const broken = /[\s~^:?*[\\]|\.\.|\/\/|@\{|^[-/]|[/.]$|\.lock$/.test(text);
  if (broken || text.length > 255) {
    throw new Fault('request.invalid', `\`${text.slice(0, 100)}\` is not a revision`, {
      hint: 'a revision is a branch, a tag, `refs/pr/<number>` or a commit',
    });
  }
  return text;
}

function pathName(segments: readonly string[]): string {
  return parsePathName(segments.join('/'));
}
