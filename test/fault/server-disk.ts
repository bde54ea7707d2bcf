import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DiskEvent } from './disk-trace.ts';

interface File {
  readonly chunks: Buffer[];
  /** How many of the chunks were synced. */
  durable: number;
}

interface Folder {
  readonly names: Map<string, Node>;
  /** The names as the last sync of this folder left them. */
  durable: ReadonlyMap<string, Node>;
}

type Node = File | Folder;

/** Files below a root by relative path. */
export type Image = ReadonlyMap<string, Buffer>;

const isFolder = (node: Node | undefined): node is Folder => node !== undefined && 'names' in node;
const makeFolder = (): Folder => ({ names: new Map(), durable: new Map() });

/**
 * A disk that remembers what was synced. After a power failure it holds of every file the synced beginning, under the
 * names that were synced (`unlucky`), or under all names (`lucky`: a file system may write names back earlier).
 */
export class TracedDisk {
  readonly #root = makeFolder();
  readonly #top: string;

  /** `top` was there, durably, before the trace began. */
  constructor(top: string) {
    this.#top = top;
  }

  apply(event: DiskEvent): void {
    if (event.kind === 'create') {
      const folder = this.#folder(dirname(event.path));
      if (folder?.names.get(basename(event.path)) === undefined)
        folder?.names.set(basename(event.path), { chunks: [], durable: 0 });
    } else if (event.kind === 'make-directory') {
      this.#folder(dirname(event.path))?.names.set(basename(event.path), makeFolder());
    } else if (event.kind === 'write') {
      const file = this.#find(event.path);
      if (file !== undefined && !isFolder(file)) file.chunks.push(event.bytes());
    } else if (event.kind === 'sync') {
      const node = this.#find(event.path);
      if (isFolder(node)) node.durable = new Map(node.names);
      else if (node !== undefined) node.durable = node.chunks.length;
    } else if (event.kind === 'remove') {
      this.#folder(dirname(event.path))?.names.delete(basename(event.path));
    } else if (event.kind === 'rename') {
      const node = this.#find(event.from);
      this.#folder(dirname(event.from))?.names.delete(basename(event.from));
      if (node !== undefined) this.#folder(dirname(event.to))?.names.set(basename(event.to), node);
    }
  }

  unlucky(): Image {
    return this.#image((folder) => folder.durable);
  }

  lucky(): Image {
    return this.#image((folder) => folder.names);
  }

  #image(namesOf: (folder: Folder) => ReadonlyMap<string, Node>): Image {
    const found = new Map<string, Buffer>();
    const walk = (folder: Folder, path: string): void => {
      for (const [name, node] of namesOf(folder)) {
        const below = path === '' ? name : `${path}/${name}`;
        if (isFolder(node)) walk(node, below);
        else found.set(below, Buffer.concat(node.chunks.slice(0, node.durable)));
      }
    };
    walk(this.#root, '');
    return found;
  }

  #find(path: string): Node | undefined {
    if (path === this.#top) return this.#root;
    if (!path.startsWith(`${this.#top}/`)) return undefined;
    let node: Node | undefined = this.#root;
    for (const name of path.slice(this.#top.length + 1).split('/'))
      node = isFolder(node) ? node.names.get(name) : undefined;
    return node;
  }

  #folder(path: string): Folder | undefined {
    const node = this.#find(path);
    return isFolder(node) ? node : undefined;
  }
}

/** Writes an image as real files: keys and folders for their owner only, blobs read-only. */
export async function materialise(image: Image, folder: string): Promise<void> {
  for (const [path, bytes] of image) {
    const place = join(folder, path);
    await mkdir(dirname(place), { recursive: true, mode: 0o700 });
    const mode = path.includes('keys/') ? 0o600 : path.includes('blobs/sha256/') ? 0o444 : 0o644;
    await writeFile(place, bytes, { mode });
  }
}
