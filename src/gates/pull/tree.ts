import { createHash } from 'node:crypto';
import { compareCodePoints } from '#lib/path-name.ts';
import type { Listing, ListedFile } from './ports.ts';

/** A row of the hub's `tree` and `paths-info` answers. */
export interface TreeEntry {
  readonly type: 'file' | 'directory';
  readonly oid: string;
  readonly size: number;
  readonly path: string;
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number };
  readonly lastCommit?: { readonly id: string; readonly title: string; readonly date: string };
}

/** All files and directories of a listing by path. Directory oids are git tree ids of regular, non-executable files. */
export interface TreeIndex {
  /** Files and directories, code-point order of path. */
  readonly entries: readonly TreeEntry[];
  readonly byPath: ReadonlyMap<string, TreeEntry>;
  readonly files: ReadonlyMap<string, ListedFile>;
}

const indexes = new WeakMap<Listing, TreeIndex>();

/** The index of a listing, built once per listing object. */
export function indexTree(listing: Listing): TreeIndex {
  const known = indexes.get(listing);
  if (known !== undefined) return known;
  const files = new Map(listing.files.map((file) => [file.path, file]));
  const entries = [...listing.files.map(fileEntry), ...directoryEntries(listing.files)].sort((left, right) =>
    compareCodePoints(left.path, right.path),
  );
  const index = { entries, byPath: new Map(entries.map((entry) => [entry.path, entry])), files };
  indexes.set(listing, index);
  return index;
}

/** The pointer that git holds in place of an LFS file (git-lfs specification, version 1). */
export function lfsPointer(sha256: string, sizeBytes: number): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${sizeBytes}\n`;
}

function fileEntry(file: ListedFile): TreeEntry {
  const entry = { type: 'file' as const, oid: file.gitOid, size: file.sizeBytes, path: file.path };
  if (file.lfsDigest === undefined) return entry;
  const oid = file.lfsDigest.slice('sha256:'.length);
  return {
    ...entry,
    lfs: { oid, size: file.sizeBytes, pointerSize: lfsPointer(oid, file.sizeBytes).length },
  };
}

interface Child {
  readonly name: string;
  readonly mode: '100644' | '40000';
  readonly oid: string;
}

/** Deepest first, so that every tree's children have their ids (git tree objects, SHA-1 repositories). */
function directoryEntries(files: readonly ListedFile[]): readonly TreeEntry[] {
  const children = new Map<string, Child[]>();
  for (const file of files) {
    const cut = file.path.lastIndexOf('/');
    addChild(children, file.path.slice(0, Math.max(cut, 0)), {
      name: file.path.slice(cut + 1),
      mode: '100644',
      oid: file.gitOid,
    });
    for (let end = cut; end > 0; end = file.path.lastIndexOf('/', end - 1)) {
      const directory = file.path.slice(0, end);
      if (!children.has(directory)) children.set(directory, []);
    }
  }
  const directories = [...children.keys()]
    .filter((path) => path !== '')
    .sort((left, right) => depth(right) - depth(left));
  return directories.map((path) => {
    const oid = treeOid(children.get(path) ?? []);
    const cut = path.lastIndexOf('/');
    addChild(children, path.slice(0, Math.max(cut, 0)), { name: path.slice(cut + 1), mode: '40000', oid });
    return { type: 'directory' as const, oid, size: 0, path };
  });
}

function depth(path: string): number {
  return path.split('/').length;
}

function addChild(children: Map<string, Child[]>, parent: string, child: Child): void {
  const found = children.get(parent);
  if (found === undefined) children.set(parent, [child]);
  else found.push(child);
}

function treeOid(children: readonly Child[]): string {
  const sortKey = (child: Child): string => (child.mode === '40000' ? `${child.name}/` : child.name);
  const body = Buffer.concat(
    [...children]
      .sort((left, right) => compareCodePoints(sortKey(left), sortKey(right)))
      .flatMap(({ mode, name, oid }) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, 'hex')]),
  );
  return createHash('sha1').update(`tree ${body.length}\0`).update(body).digest('hex');
}

export interface TreePage {
  readonly entries: readonly TreeEntry[];
  /** Path to continue after, undefined on the last page. */
  readonly after: string | undefined;
}

export interface TreeRequest {
  readonly path: string | undefined;
  readonly recursive: boolean;
  readonly limit: number;
  /** Path of the last entry of the page before. */
  readonly after: string | undefined;
}

/** Entries under a directory, or undefined where there is no such directory. */
export function pageTree(index: TreeIndex, request: TreeRequest): TreePage | undefined {
  const { path, recursive, limit, after } = request;
  if (path !== undefined && index.byPath.get(path)?.type !== 'directory') return undefined;
  const prefix = path === undefined ? '' : `${path}/`;
  const entries: TreeEntry[] = [];
  for (let at = firstAfter(index.entries, after ?? prefix); at < index.entries.length; at += 1) {
    const entry = index.entries[at];
    if (entry === undefined) break;
    if (!entry.path.startsWith(prefix)) {
      if (compareCodePoints(entry.path, prefix) > 0) break;
      continue;
    }
    if (!recursive && entry.path.includes('/', prefix.length)) continue;
    if (entries.length === limit) return { entries, after: entries.at(-1)?.path };
    entries.push(entry);
  }
  return { entries, after: undefined };
}

/** Index of the first entry whose path sorts after `path`. */
function firstAfter(entries: readonly TreeEntry[], path: string): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareCodePoints(entries[middle]?.path ?? '', path) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
