import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  opendirSync,
  readlinkSync,
  realpathSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { Fault, isErrno } from '#lib/fault.ts';
import { parsePathName } from '#lib/path-name.ts';

/**
 * Names inside an open directory, reached through `/proc/self/fd/<n>`: the kernel then starts at the open directory
 * itself and not at a path that somebody may have swapped, as `openat` does. Linux only.
 */
const viaDescriptor = (descriptor: number): string => `/proc/self/fd/${descriptor}`;

const openDirectoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const openFileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
/** Names a file without opening it, so that a device or a FIFO at the other end notices nothing. Not in `constants`. */
const pathOnlyFlag = 0o10000000;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The real path of a directory or file that the caller names; links on the way are the caller's. */
export function resolveRoot(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw new Fault('file.unreadable', `\`${path}\` cannot be read`, { cause, hint: 'check that it exists' });
  }
}

/** Opens a real path, never waiting for a FIFO. */
export function openRoot(root: string): number {
  return guarded(root, () => openSync(root, openFileFlags));
}

export type TreeEntry =
  | { readonly kind: 'directory' }
  | { readonly kind: 'file' }
  | { readonly kind: 'link' }
  | { readonly kind: 'special'; readonly what: string };

/** What stands under a name, not following links. Fault `file.changed` where it vanished since it was listed. */
export function lookAt(directory: number, name: string, path: string): TreeEntry {
  const stats = guarded(path, () => lstatSync(`${viaDescriptor(directory)}/${name}`));
  if (stats.isDirectory()) return { kind: 'directory' };
  if (stats.isFile()) return { kind: 'file' };
  if (stats.isSymbolicLink()) return { kind: 'link' };
  if (stats.isFIFO()) return { kind: 'special', what: 'a FIFO' };
  if (stats.isSocket()) return { kind: 'special', what: 'a socket' };
  return { kind: 'special', what: 'a device' };
}

/** Opens the directory under a name; a link that took its place since is Fault `file.changed`. */
export function openChildDirectory(directory: number, name: string, path: string): number {
  return guarded(path, () => openSync(`${viaDescriptor(directory)}/${name}`, openDirectoryFlags));
}

/** Opens the regular file under a name; anything else that took its place since is Fault `file.changed`. */
export function openChildFile(directory: number, name: string, path: string): number {
  const descriptor = guarded(path, () => openSync(`${viaDescriptor(directory)}/${name}`, openFileFlags));
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw changed(path);
}

/**
 * Opens the regular file that the link under a name leads to, if it lies inside `root` (a real path). The target is
 * pinned first and judged by where the pinned file is, so that swapping the link in between gains nothing. Fault
 * `file.link` for what leads outside, nowhere, in a circle or to a directory; `file.special` for other targets.
 */
export function openLinkedFile(
  directory: number,
  name: string,
  link: { path: string; root: string },
): number {
  const pinned = pinTarget(`${viaDescriptor(directory)}/${name}`, link.path);
  try {
    const target = readlinkSync(viaDescriptor(pinned));
    const prefix = link.root.endsWith('/') ? link.root : `${link.root}/`;
    if (!target.startsWith(prefix)) {
      throw new Fault('file.link', `\`${link.path}\` is a link that leads out of the allowed directory`);
    }
    const stats = fstatSync(pinned);
    if (stats.isDirectory()) throw new Fault('file.link', `\`${link.path}\` is a link to a directory`);
    if (!stats.isFile()) throw new Fault('file.special', `\`${link.path}\` is a link to a special file`);
    return openSync(viaDescriptor(pinned), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } finally {
    closeSync(pinned);
  }
}

function pinTarget(entry: string, path: string): number {
  try {
    return openSync(entry, pathOnlyFlag);
  } catch (cause) {
    if (isErrno(cause) && (cause.code === 'ENOENT' || cause.code === 'ELOOP' || cause.code === 'ENOTDIR')) {
      throw new Fault('file.link', `\`${path}\` is a link that leads nowhere`, { cause });
    }
    throw unreadable(path, cause);
  }
}

/** A name as its directory lists it; `other` for links, special files and file systems that do not say. */
export interface ListedName {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'other';
}

/**
 * The names in an open directory, at most `limit`. Fault `path.invalid` for one that is not UTF-8 or that no
 * artifact may hold.
 */
export function listNames(directory: number, path: string, limit: number): readonly ListedName[] {
  const names: ListedName[] = [];
  const listing = guarded(path, () => openListing(viaDescriptor(directory)));
  try {
    for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
      if (names.length >= limit) throw new Fault('limit.exceeded', 'the tree has too many entries');
      const kind = entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : 'other';
      names.push({ name: decodeName(entry.name, path), kind });
    }
  } finally {
    listing.closeSync();
  }
  return names;
}

interface BytesListing {
  readSync(): { readonly name: unknown; isFile(): boolean; isDirectory(): boolean } | null;
  closeSync(): void;
}

/** Names as bytes: `opendir` supports the encoding `buffer`, its type declaration does not. */
function openListing(path: string): BytesListing {
  return opendirSync(path, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 });
}

function decodeName(name: unknown, directory: string): string {
  if (!(name instanceof Uint8Array)) throw new Error('the directory was not listed as bytes');
  let text;
  try {
    text = decoder.decode(name);
  } catch (cause) {
    const shown = Buffer.from(name)
      .toString('latin1')
      .replaceAll(/[^\x20-\x7e]/g, '?');
    throw new Fault('path.invalid', `a name in \`${directory || '.'}\` is not UTF-8: \`${shown}\``, {
      cause,
    });
  }
  return parsePathName(text);
}

/** What must stay the same while a file or directory is read. */
export function statOpen(descriptor: number): BigIntStats {
  return fstatSync(descriptor, { bigint: true });
}

/** Fault `file.changed` unless size, times and identity are what they were. */
export function refuseChange(path: string, before: BigIntStats, after: BigIntStats): void {
  const same =
    before.size === after.size &&
    before.mtimeNs === after.mtimeNs &&
    before.ctimeNs === after.ctimeNs &&
    before.ino === after.ino &&
    before.dev === after.dev;
  if (!same) throw changed(path);
}

export function changed(path: string, cause?: unknown): Fault {
  return new Fault('file.changed', `\`${path || '.'}\` changed while it was read`, {
    hint: 'stop whatever writes there and try again',
    cause,
  });
}

/** Errors of the system about a name: vanished or swapped is a change, the rest unreadable. */
function guarded<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const swapped = new Set(['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO', 'ESTALE']);
    if (isErrno(cause) && swapped.has(cause.code ?? '')) throw changed(path, cause);
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): Fault {
  const reason = isErrno(cause) ? (cause.code ?? 'unknown') : String(cause);
  return new Fault('file.unreadable', `\`${path || '.'}\` cannot be read: ${reason}`, { cause });
}
