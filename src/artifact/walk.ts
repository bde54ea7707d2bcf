import { hash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { basename } from 'node:path';
import { availableParallelism } from 'node:os';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { compareCodePoints, findPathCollisions, parsePathName } from '#lib/path-name.ts';
import type { BlobDescriptor } from './blob-store.ts';
import { digestOfHex } from './digest.ts';
import { hashFile } from './hash.ts';
import { openHashPool } from './hash-pool.ts';
import type { HashPool } from './hash-pool.ts';
import type { ManifestFile } from './manifest.ts';
import type { ListedName } from './tree-entry.ts';
import {
  changed,
  listNames,
  lookAt,
  openChildDirectory,
  openChildFile,
  openLinkedFile,
  openRoot,
  refuseChange,
  resolveRoot,
  statOpen,
} from './tree-entry.ts';

export interface WalkOptions {
  /**
   * Symbolic links: `refuse` (the default) or `inside`: a link to a regular file is read as that file if the file
   * lies under `linkRoot`. A link to a directory is always refused.
   */
  readonly links?: 'refuse' | 'inside';
  /** With `inside`; the walked directory by default. For a snapshot in a hub cache: its `models--…` directory. */
  readonly linkRoot?: string;
  /** Exact paths left out, by default `defaultIgnores`. Each that exists is named in the notes. */
  readonly ignore?: readonly string[];
  readonly signal?: AbortSignal;
  /** After each file: for progress. */
  readonly onFile?: (file: ManifestFile) => void;
}

/** What a clone and a hub client leave beside the files of a model. */
export const defaultIgnores: readonly string[] = ['.git', '.cache/huggingface'];

export type WalkNote =
  /** The same bytes can be written under another name, perhaps outside the tree. */
  | { readonly kind: 'hard-link'; readonly path: string; readonly links: number }
  /** Names that are one name on a file system without case or Unicode form. */
  | { readonly kind: 'collision'; readonly folded: string; readonly paths: readonly string[] }
  /** Left out of the artifact: nothing was said about what is in there. */
  | { readonly kind: 'ignored'; readonly path: string };

export interface WalkedTree {
  /** Code-point order of path. */
  readonly files: readonly ManifestFile[];
  readonly notes: readonly WalkNote[];
}

/** Up to this size a file is read and hashed at once: opening a promise would cost more than the read. */
const smallFileBytes = 256n * 1024n;
/** From here on a second thread pays for its start. */
const poolFromBytes = 256n * 1024n * 1024n;

/**
 * The files of a local directory (or of one file, under its base name) with their digests. The path itself may lead
 * through links; below it nothing can make the walk read a file outside: every name is opened relative to its open
 * directory without following links, so swapping a directory for a link during the walk gains nothing.
 * Faults: `file.link`, `file.special` (FIFO, socket, device), `file.changed` (a file or directory changed while it was
 * read), `file.unreadable`, `path.invalid` (not UTF-8, control characters, backslash), `limit.exceeded`
 * (`limits.treeDepth`, `limits.treeEntries`), `artifact.too-large` (`limits.artifactFiles`), `artifact.empty`.
 * Hard links and collisions are notes. Small files are read synchronously; the event loop turns between directories.
 */
export async function walkTree(path: string, options: WalkOptions = {}): Promise<WalkedTree> {
  const root = resolveRoot(path);
  const walk: Walk = {
    options,
    linkRoot: options.linkRoot === undefined ? root : resolveRoot(options.linkRoot),
    ignored: new Set(options.ignore ?? defaultIgnores),
    files: [],
    notes: [],
    pending: new Set(),
    entries: 0,
    largeBytes: 0n,
    pool: undefined,
  };
  const descriptor = openRoot(root);
  try {
    const stats = statOpen(descriptor);
    if (stats.isDirectory()) await walkDirectory(walk, descriptor, '');
    else if (stats.isFile()) await takeFile(walk, openRoot(root), basename(root));
    else throw new Fault('file.special', `\`${path}\` is neither a directory nor a file`);
    await Promise.all(walk.pending);
  } finally {
    // After a failure this ends the threads, and with them what is still being hashed, before descriptors close.
    await walk.pool?.[Symbol.asyncDispose]();
    await Promise.allSettled(walk.pending);
    closeSync(descriptor);
  }
  if (walk.files.length === 0) throw new Fault('artifact.empty', `\`${path}\` holds no file`);
  const files = walk.files.sort((left, right) => compareCodePoints(left.path, right.path));
  const collisions = findPathCollisions(files.map((file) => file.path));
  return {
    files,
    notes: [...walk.notes, ...collisions.map((found) => ({ kind: 'collision', ...found }) as const)],
  };
}

interface Walk {
  readonly options: WalkOptions;
  readonly linkRoot: string;
  readonly ignored: ReadonlySet<string>;
  readonly files: ManifestFile[];
  readonly notes: WalkNote[];
  /** Large files that are being hashed. */
  readonly pending: Set<Promise<void>>;
  entries: number;
  largeBytes: bigint;
  pool: HashPool | undefined;
}

async function walkDirectory(walk: Walk, descriptor: number, path: string): Promise<void> {
  walk.options.signal?.throwIfAborted();
  const before = statOpen(descriptor);
  const names = listNames(descriptor, path, limits.treeEntries - walk.entries);
  walk.entries += names.length;
  for (const { name, kind } of names.toSorted((left, right) => compareCodePoints(left.name, right.name))) {
    await walkEntry(walk, descriptor, { name, kind, path: path === '' ? name : `${path}/${name}` });
  }
  // A name that came, went or was swapped meanwhile has touched the directory's times.
  refuseChange(path, before, statOpen(descriptor));
  await new Promise((resolve) => setImmediate(resolve));
}

async function walkEntry(
  walk: Walk,
  directory: number,
  entry: ListedName & { readonly path: string },
): Promise<void> {
  const { name, kind, path } = entry;
  if (walk.ignored.has(path)) {
    walk.notes.push({ kind: 'ignored', path });
    return;
  }
  // What the listing says of files and directories is only a guess: opening refuses whatever else is there by now.
  const found = kind === 'other' ? lookAt(directory, name, path) : { kind };
  switch (found.kind) {
    case 'directory':
      return descend(walk, openChildDirectory(directory, name, path), path);
    case 'file':
      return takeFile(walk, openChildFile(directory, name, path), path);
    case 'link':
      if (walk.options.links !== 'inside') {
        throw new Fault('file.link', `\`${path}\` is a symbolic link`, {
          hint: 'copy the file into its place, or allow links that stay inside the directory',
        });
      }
      return takeFile(walk, openLinkedFile(directory, name, { path, root: walk.linkRoot }), path);
    case 'special':
      throw new Fault('file.special', `\`${path}\` is ${found.what}`);
  }
}

async function descend(walk: Walk, descriptor: number, path: string): Promise<void> {
  try {
    if (path.split('/').length > limits.treeDepth) {
      throw new Fault('limit.exceeded', `the tree is deeper than ${limits.treeDepth} directories`);
    }
    parsePathName(path);
    await walkDirectory(walk, descriptor, path);
  } finally {
    closeSync(descriptor);
  }
}

/** Owns the descriptor. Small files are hashed now, large ones beside the walk, a few at a time. */
async function takeFile(walk: Walk, descriptor: number, path: string): Promise<void> {
  let before;
  try {
    walk.options.signal?.throwIfAborted();
    parsePathName(path);
    before = statOpen(descriptor);
    if (walk.files.length + walk.pending.size >= limits.artifactFiles) {
      throw new Fault('artifact.too-large', `there are more than ${limits.artifactFiles} files`);
    }
    if (before.nlink > 1n) walk.notes.push({ kind: 'hard-link', path, links: Number(before.nlink) });
    if (before.size <= smallFileBytes) {
      addFile(walk, { path, descriptor, before }, hashSmallFile(descriptor, Number(before.size)));
      closeSync(descriptor);
      return;
    }
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  const hashing = hashLargeFile(walk, { path, descriptor, before });
  walk.pending.add(hashing);
  // The failure is kept for whoever awaits the set; the walk need not have come to that point yet.
  hashing.then(
    () => walk.pending.delete(hashing),
    () => {},
  );
  const width = walk.pool === undefined ? 2 : walk.pool.width * 2;
  while (walk.pending.size >= width) await Promise.race(walk.pending);
}

interface OpenFile {
  readonly path: string;
  readonly descriptor: number;
  readonly before: BigIntStats;
}

async function hashLargeFile(walk: Walk, file: OpenFile): Promise<void> {
  try {
    walk.largeBytes += file.before.size;
    if (walk.pool === undefined && walk.pending.size > 0 && walk.largeBytes >= poolFromBytes) {
      if (availableParallelism() > 1) walk.pool = openHashPool();
    }
    addFile(walk, file, await (walk.pool?.hash(file.descriptor) ?? hashFile(file.descriptor)));
  } finally {
    closeSync(file.descriptor);
  }
}

function addFile(walk: Walk, file: OpenFile, blob: BlobDescriptor): void {
  refuseChange(file.path, file.before, statOpen(file.descriptor));
  if (BigInt(blob.sizeBytes) !== file.before.size) throw changed(file.path);
  const taken: ManifestFile = { path: file.path, digest: blob.digest, sizeBytes: blob.sizeBytes };
  walk.files.push(taken);
  walk.options.onFile?.(taken);
}

const smallFileBuffer = Buffer.allocUnsafeSlow(Number(smallFileBytes));

/** Reads as much as the file had when it was opened; should it have another size by now, `addFile` refuses it. */
function hashSmallFile(descriptor: number, expectedBytes: number): BlobDescriptor {
  let sizeBytes = 0;
  while (sizeBytes < expectedBytes) {
    const length = readSync(descriptor, smallFileBuffer, sizeBytes, expectedBytes - sizeBytes, sizeBytes);
    if (length === 0) break;
    sizeBytes += length;
  }
  const hex = hash('sha256', smallFileBuffer.subarray(0, sizeBytes), 'hex');
  return { digest: digestOfHex(hex), sizeBytes };
}
