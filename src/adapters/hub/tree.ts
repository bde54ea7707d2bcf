import type { RepositoryName } from '#artifact/catalog.ts';
import { digestOfHex } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { isJsonObject, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { compareCodePoints, parsePathName } from '#lib/path-name.ts';
import type { HubAccess, HubFile } from './hub-values.ts';
import { lie } from './lie.ts';
import { apiPath, getJson, upstreamUrl } from './request.ts';

/** Files and directories together; a directory needs at least one file, so twice the files is generous. */
const maximumEntries = limits.artifactFiles * 2;
/** The hub's own pages have 1 000 rows (50 with details); a longer chain of short ones only keeps callers waiting. */
const maximumPages = maximumEntries / 50;

/**
 * All files of a commit, page by page. Every page must be on the upstream's origin and about this commit, no page may
 * come twice, no path may be listed twice or be both a file and a directory.
 */
export async function fetchTree(
  access: HubAccess,
  { repository, commit }: { readonly repository: RepositoryName; readonly commit: string },
  signal: AbortSignal,
): Promise<readonly HubFile[]> {
  const first = upstreamUrl(access, apiPath(repository, `/tree/${commit}?recursive=true&expand=false`));
  const files = new Map<string, HubFile>();
  const seen = new Set<string>();
  let entries = 0;
  for (let url: URL | undefined = first; url !== undefined;) {
    seen.add(url.href);
    const answer = await getJson(access, url, signal);
    if (answer.kind === 'absent')
      throw lie('omitted', `upstream has no tree for its own commit \`${commit}\``);
    if (!Array.isArray(answer.value))
      throw lie('malformed-tree', 'upstream answered a tree that is not a list');
    entries += answer.value.length;
    if (entries > maximumEntries)
      throw new Fault('limit.exceeded', `the tree has more than ${maximumEntries} entries`);
    for (const row of answer.value as readonly JsonValue[]) addEntry(files, row);
    if (files.size > limits.artifactFiles) {
      throw new Fault('limit.exceeded', `the tree has more than ${limits.artifactFiles} files`);
    }
    const next: URL | undefined = nextPage(answer.link, url, first);
    if (next !== undefined && seen.size >= maximumPages)
      throw new Fault('limit.exceeded', `the tree has more than ${maximumPages} pages`);
    if (next !== undefined && (seen.has(next.href) || answer.value.length === 0)) {
      throw lie('malformed-tree', 'upstream answered the same page of a tree twice');
    }
    url = next;
  }
  refuseFilesInFiles(files);
  return [...files.values()].sort((left, right) => compareCodePoints(left.path, right.path));
}

/** RFC 8288 `rel="next"`, on the same origin and path as the first page. */
function nextPage(link: string | undefined, from: URL, first: URL): URL | undefined {
  const match = /<([^<>]{1,8000})>\s*;\s*rel="?next"?/.exec(link ?? '');
  if (match === null) return undefined;
  const next = URL.parse(match[1] ?? '', from);
  if (
    next === null ||
    next.origin !== first.origin ||
    decodeURI(next.pathname) !== decodeURI(first.pathname)
  ) {
    throw lie('malformed-tree', 'upstream continues a tree somewhere else');
  }
  return next;
}

function addEntry(files: Map<string, HubFile>, row: JsonValue): void {
  if (!isJsonObject(row)) throw lie('malformed-tree', 'upstream listed something that is not an entry');
  if (row['type'] === 'directory') return;
  const file = parseFile(row);
  if (files.has(file.path)) throw lie('malformed-tree', `upstream lists \`${file.path}\` twice`);
  files.set(file.path, file);
}

function parseFile(row: { readonly [member: string]: JsonValue }): HubFile {
  const { type, path, oid, size, lfs } = row;
  if (type !== 'file' || typeof path !== 'string')
    throw lie('malformed-tree', 'upstream lists an entry that is no file');
  const name = pathOf(path);
  if (typeof oid !== 'string' || !/^[0-9a-f]{40}$/.test(oid)) {
    throw lie('malformed-tree', `upstream lists \`${name}\` without a git id`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw lie('malformed-tree', `upstream lists \`${name}\` without a size`);
  }
  if (lfs === undefined || lfs === null)
    return { path: name, sizeBytes: size, gitOid: oid, lfsDigest: undefined };
  const pointer = isJsonObject(lfs) ? lfs : {};
  const sha256 = pointer['oid'];
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256) || pointer['size'] !== size) {
    throw lie('malformed-tree', `upstream lists \`${name}\` with an LFS pointer that contradicts the entry`);
  }
  return { path: name, sizeBytes: size, gitOid: oid, lfsDigest: digestOfHex(sha256) };
}

function pathOf(path: string): string {
  try {
    return parsePathName(path);
  } catch (cause) {
    throw lie('malformed-tree', 'upstream lists a path that is not a path', cause);
  }
}

function refuseFilesInFiles(files: ReadonlyMap<string, HubFile>): void {
  for (const path of files.keys()) {
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      if (files.has(path.slice(0, cut))) {
        throw lie('malformed-tree', `upstream lists \`${path.slice(0, cut)}\` as a file and as a directory`);
      }
    }
  }
}
