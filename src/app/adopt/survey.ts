import { setImmediate as turn } from 'node:timers/promises';
import { Fault, toFault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { isPartialName, joined } from './found.ts';
import type { FoundModel, Notice } from './found.ts';
import type { FolderEntry, OpenFolder } from './open-folder.ts';
import { sizeWords } from './words.ts';

export interface SurveyWatch {
  readonly signal?: AbortSignal | undefined;
  /** After each folder: names met so far. */
  readonly onFolder?: ((entries: number, path: string) => void) | undefined;
}

/** A folder that is open, and its way below the root. */
export interface Place {
  readonly folder: OpenFolder;
  readonly path: string;
  readonly entries: readonly FolderEntry[];
}

/**
 * One pass over the tree below a root: what every layout shares. Counts names against `limits.adoptEntries`, gives the
 * event loop its turn between folders, and turns what cannot be read into a notice.
 */
export class Survey {
  readonly root: string;
  readonly models: FoundModel[] = [];
  readonly notices: Notice[] = [];
  readonly incompleteReasons = new Set<string>();
  partialBytes = 0;
  unreferencedBytes = 0;
  readonly #watch: SurveyWatch;
  readonly #count: { entries: number };

  constructor(root: string, watch: SurveyWatch, count: { entries: number }) {
    this.root = root;
    this.#watch = watch;
    this.#count = count;
  }

  /** The names in a folder; what cannot be taken is a notice in `notices`. */
  async list(folder: OpenFolder, path: string, notices: Notice[]): Promise<Place> {
    this.#watch.signal?.throwIfAborted();
    const { entries, unreadable } = folder.list(limits.adoptEntries - this.#count.entries);
    this.#count.entries += entries.length + unreadable.length;
    for (const { name, reason } of unreadable) this.unread(joined(path, name), reason, notices);
    const { mode } = folder.stats();
    if ((mode & 0o002n) !== 0n && (mode & 0o1000n) === 0n) notices.push(writableByAll(path, 'folder'));
    this.#watch.onFolder?.(this.#count.entries, path);
    await turn();
    return { folder, path, entries };
  }

  /**
   * Opens the folder `name` of a place and lists it; `use` has it while it is open. What cannot be opened is a notice and
   * answers undefined.
   */
  async within<T>(
    { folder, path }: Pick<Place, 'folder' | 'path'>,
    name: string,
    notices: Notice[],
    use: (place: Place) => Promise<T>,
  ): Promise<T | undefined> {
    const below = joined(path, name);
    if (below.split('/').length > limits.treeDepth) {
      this.unread(below, `the tree is deeper than ${limits.treeDepth} folders`, notices);
      return undefined;
    }
    let entered;
    try {
      entered = folder.enter(name);
    } catch (error) {
      this.unread(below, toFault(error).message, notices);
      return undefined;
    }
    try {
      let place;
      try {
        place = await this.list(entered, below, notices);
      } catch (error) {
        // Only the reading of the folder itself: what `use` throws is the caller's.
        if (!(error instanceof Fault)) throw error;
        this.unread(below, error.message, notices);
        return undefined;
      }
      return await use(place);
    } finally {
      entered[Symbol.dispose]();
    }
  }

  /** What `look` says about one entry; undefined and a notice where it is not what it was a moment ago. */
  attempt<T>(path: string, notices: Notice[], look: () => T): T | undefined {
    try {
      return look();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.unread(path, error.message, notices);
      return undefined;
    }
  }

  unread(path: string, reason: string, notices: Notice[]): void {
    this.incompleteReasons.add('something could not be read; the risks of kind `unread` name it');
    notices.push({
      kind: 'unread',
      severity: 'medium',
      message: reason,
      remedy: 'let the user who runs this read it, and run it again',
      path,
    });
  }

  /** True where the entry is what a broken transfer left; then it is noted and is no file of a model. */
  takesPartial(entry: FolderEntry, path: string, notices: Notice[]): boolean {
    if (entry.kind !== 'file' || !isPartialName(entry.name)) return false;
    this.partialBytes += Number(entry.stats.size);
    notices.push({
      kind: 'partial',
      severity: 'low',
      message: `a download that did not finish, ${sizeWords(Number(entry.stats.size))}`,
      remedy: 'finish the download or delete what is left of it',
      path,
    });
    return true;
  }
}

export function writableByAll(path: string, what: 'file' | 'folder'): Notice {
  return {
    kind: 'world-writable',
    severity: 'medium',
    message: `every user of the machine may write this ${what}`,
    remedy: 'take the right to write from others: `chmod o-w`',
    path,
  };
}

export function outsideLink(path: string, target: string): Notice {
  return {
    kind: 'outside-link',
    severity: 'high',
    message: `a link in a cache that does not lead to a blob of the same cache: \`${target}\``,
    remedy: 'find out who made it, delete it and download the file again; it was not followed',
    path,
  };
}
