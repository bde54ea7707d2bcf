import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  opendirSync,
  readlinkSync,
  readSync,
  realpathSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { Fault, isErrno } from '#lib/fault.ts';
import { printable } from '#lib/printable.ts';

/**
 * Reading a tree that somebody else may be changing, without leaving a trace in it: every name is opened relative to its
 * open directory (`/proc/self/fd`, as `openat`), links are never followed, FIFOs and devices never opened for data, and
 * times of access stay what they were where the kernel lets us (`O_NOATIME`: hub clients clean caches by them).
 */
const quiet = constants.O_NOATIME;
const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const fileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

export type EntryKind = 'file' | 'folder' | 'link' | 'special';

export interface FolderEntry {
  readonly name: string;
  readonly kind: EntryKind;
  readonly stats: BigIntStats;
}

export interface FolderListing {
  /** In the order of the names' UTF-16 units, so that two runs over the same tree meet files in the same order. */
  readonly entries: readonly FolderEntry[];
  /** What is there and cannot be taken: the name as far as it can be shown, and why. */
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
}

/** An open directory. Faults: `file.unreadable`, and `file.changed` where a name is something else by now. */
export class OpenFolder implements Disposable {
  readonly #descriptor: number;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** The directory at a real path. */
  static at(path: string): OpenFolder {
    return new OpenFolder(openQuietly(path, folderFlags, path));
  }

  enter(name: string): OpenFolder {
    return new OpenFolder(openQuietly(this.#below(name), folderFlags, name));
  }

  /** Descriptor of a regular file; the caller closes it. */
  openFile(name: string): number {
    const descriptor = openQuietly(this.#below(name), fileFlags, name);
    if (fstatSync(descriptor).isFile()) return descriptor;
    closeSync(descriptor);
    throw new Fault('file.changed', `\`${printable(name)}\` is no longer a regular file`);
  }

  stats(): BigIntStats {
    return fstatSync(this.#descriptor, { bigint: true });
  }

  /** The text of a link, as it stands there. */
  readLink(name: string): string {
    return guarded(name, () => readlinkSync(this.#below(name)));
  }

  /** A small file as UTF-8; undefined where it is not there, too large or no regular file. */
  readText(name: string, maximumBytes: number): string | undefined {
    try {
      return readDescriptor(this.openFile(name), maximumBytes)?.toString('utf8');
    } catch (error) {
      if (error instanceof Fault) return undefined;
      throw error;
    }
  }

  /** The first bytes of a file; undefined where it is not there or no regular file. */
  readHead(name: string, lengthBytes: number): Buffer | undefined {
    try {
      const descriptor = this.openFile(name);
      try {
        const buffer = Buffer.alloc(lengthBytes);
        return buffer.subarray(0, readSync(descriptor, buffer, 0, lengthBytes, 0));
      } finally {
        closeSync(descriptor);
      }
    } catch {
      return undefined;
    }
  }

  /** At most `limit` names. One that cannot be taken costs only itself. */
  list(limit: number): FolderListing {
    const entries: FolderEntry[] = [];
    const unreadable: { name: string; reason: string }[] = [];
    for (const bytes of namesIn(this.#descriptor)) {
      if (entries.length + unreadable.length >= limit) {
        unreadable.push({ name: '…', reason: 'there are too many names' });
        break;
      }
      const name = decodeName(bytes);
      if (name === undefined) {
        const shown = Buffer.from(bytes)
          .toString('latin1')
          .replaceAll(/[^\x20-\x7e]/g, '?');
        unreadable.push({ name: shown, reason: 'the name is not UTF-8' });
        continue;
      }
      try {
        const stats = guarded(name, () => lstatSync(this.#below(name), { bigint: true }));
        entries.push({ name, kind: kindOf(stats), stats });
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        unreadable.push({ name, reason: error.message });
      }
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    return { entries, unreadable };
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }

  #below(name: string): string {
    return `/proc/self/fd/${this.#descriptor}/${name}`;
  }
}

/** The real path of what the caller names. Fault `file.unreadable`. */
export function realPathOf(path: string): string {
  return guarded(path, () => realpathSync(path));
}

/**
 * Opens a regular file by its way down from a real path, no link on it. Faults as `OpenFolder`; the caller closes the
 * descriptor.
 */
export function openBelow(root: string, path: string): number {
  const names = path.split('/');
  const last = names.pop() ?? '';
  let folder = OpenFolder.at(root);
  try {
    for (const name of names) {
      const next = folder.enter(name);
      folder[Symbol.dispose]();
      folder = next;
    }
    return folder.openFile(last);
  } finally {
    folder[Symbol.dispose]();
  }
}

/** All bytes of an open file up to a bound, undefined above it. Closes the descriptor. */
function readDescriptor(descriptor: number, maximumBytes: number): Buffer | undefined {
  try {
    const buffer = Buffer.allocUnsafe(maximumBytes + 1);
    let length = 0;
    while (length <= maximumBytes) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, length);
      if (read === 0) return buffer.subarray(0, length);
      length += read;
    }
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}

function openQuietly(path: string, flags: number, shown: string): number {
  return guarded(shown, () => {
    try {
      return openSync(path, flags | quiet);
    } catch (error) {
      // Only the owner of a file may leave its time of access alone.
      if (isErrno(error) && error.code === 'EPERM') return openSync(path, flags);
      throw error;
    }
  });
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeName(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function* namesIn(descriptor: number): Generator<Uint8Array> {
  // `opendir` supports the encoding `buffer`, its type declaration does not.
  const listing = guarded('.', () =>
    opendirSync(`/proc/self/fd/${descriptor}`, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 }),
  );
  try {
    for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
      const name: unknown = entry.name;
      if (name instanceof Uint8Array) yield name;
    }
  } finally {
    listing.closeSync();
  }
}

function kindOf(stats: BigIntStats): EntryKind {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'folder';
  return stats.isSymbolicLink() ? 'link' : 'special';
}

function guarded<T>(name: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (!isErrno(cause)) throw cause;
    const changed = new Set(['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO', 'ESTALE']).has(cause.code ?? '');
    const words = changed ? 'is not what it was' : `cannot be read: ${cause.code ?? 'unknown'}`;
    throw new Fault(changed ? 'file.changed' : 'file.unreadable', `\`${printable(name)}\` ${words}`, {
      cause,
    });
  }
}
