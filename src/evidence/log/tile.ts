import { Fault } from '#lib/fault.ts';
import { frontierSizes, leafHash, nodeHash, rootOf, type Frontier, type NodeReader } from '#lib/merkle.ts';
import type { LogFile, LogFiles } from './log-files.ts';

/** Hashes or entries of a full tile (C2SP tlog-tiles). */
export const tileWidth = 256;
const hashBytes = 32;
/** Tiles above level 5 would need a tree of more than 2^48 leaves. */
const maximumLevel = 5;

/** Path of a hash tile (level 0 to 5) or of an entry tile; `width` 256 is the full tile. */
export function tilePath(level: number | 'entries', index: number, width: number = tileWidth): string {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0');
  const groups = digits.match(/.{3}/g) ?? [];
  const number = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
  return `tile/${level}/${number}${width === tileWidth ? '' : `.p/${width}`}`;
}

/** May this path exist in a log? Anything else is never looked up. */
export function isLogPath(path: string): boolean {
  return /^(?:checkpoint|tile\/(?:entries|[0-5])\/(?:x\d{3}\/){0,5}\d{3}(?:\.p\/[1-9]\d{0,2})?)$/.test(path);
}

/** Entries as an entry tile carries them: each after its uint16 big-endian length. */
export function encodeEntries(entries: readonly Uint8Array[]): Uint8Array {
  const parts = entries.flatMap((entry) => {
    if (entry.length > 0xffff) throw new Fault('limit.exceeded', 'a log entry has at most 65 535 bytes');
    return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry];
  });
  return Buffer.concat(parts);
}

/** The entries of an entry tile. Fault `proof.invalid` where lengths do not add up or there are more than 256. */
export function parseEntries(bytes: Uint8Array): readonly Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    const end = at + 2 + length;
    if (at + 2 > bytes.length || end > bytes.length || entries.length === tileWidth) {
      throw new Fault('proof.invalid', 'an entry tile is cut off or too long');
    }
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/**
 * The right edge of a tiled tree: what must be kept to go on growing it. `levels[l]` are the hashes of the last,
 * unfinished tile of level l; `entries` the leaves of the unfinished entry tile.
 */
export interface TileEdge {
  readonly size: number;
  readonly levels: readonly (readonly Uint8Array[])[];
  readonly entries: readonly Uint8Array[];
}

export const emptyEdge: TileEdge = { size: 0, levels: [], entries: [] };

/** Appends leaves: the new edge, and the tiles that became full on the way, each exactly once, entries apart. */
export function growTiles(
  edge: TileEdge,
  leaves: readonly Uint8Array[],
): {
  readonly edge: TileEdge;
  readonly entryTiles: readonly LogFile[];
  readonly hashTiles: readonly LogFile[];
} {
  const levels = edge.levels.map((hashes) => [...hashes]);
  let entries = [...edge.entries];
  let { size } = edge;
  const entryTiles: LogFile[] = [];
  const hashTiles: LogFile[] = [];
  for (const leaf of leaves) {
    entries.push(leaf);
    let hash = leafHash(leaf);
    size += 1;
    for (let level = 0, count = size; ; level += 1, count /= tileWidth) {
      const tile = (levels[level] ??= []);
      tile.push(hash);
      if (tile.length < tileWidth) break;
      hashTiles.push({ path: tilePath(level, count / tileWidth - 1), bytes: Buffer.concat(tile) });
      hash = perfectRoot(tile);
      levels[level] = [];
    }
    if (entries.length === tileWidth) {
      entryTiles.push({ path: tilePath('entries', size / tileWidth - 1), bytes: encodeEntries(entries) });
      entries = [];
    }
  }
  return { edge: { size, levels, entries }, entryTiles, hashTiles };
}

/** The partial tiles that complete a tree of exactly this size. */
export function partialTiles(edge: TileEdge): {
  readonly entryTiles: readonly LogFile[];
  readonly hashTiles: readonly LogFile[];
} {
  const hashTiles: LogFile[] = [];
  for (const [level, hashes] of edge.levels.entries()) {
    if (hashes.length === 0) continue;
    const index = Math.floor(edge.size / tileWidth ** (level + 1));
    hashTiles.push({ path: tilePath(level, index, hashes.length), bytes: Buffer.concat(hashes) });
  }
  const index = Math.floor(edge.size / tileWidth);
  const path = tilePath('entries', index, edge.entries.length);
  const entryTiles = edge.entries.length === 0 ? [] : [{ path, bytes: encodeEntries(edge.entries) }];
  return { entryTiles, hashTiles };
}

/** The RFC 6962 frontier of the tree that this edge belongs to. RangeError where the edge does not fit its size. */
export function frontierOf(edge: TileEdge): Frontier {
  const hashes = edge.levels.toReversed().flatMap((tile) => {
    let first = 0;
    return frontierSizes(tile.length).map((count) => {
      first += count;
      return perfectRoot(tile.slice(first - count, first));
    });
  });
  return { size: edge.size, hashes };
}

/** The Merkle root of the tree that this edge belongs to. */
export function edgeRoot(edge: TileEdge): Uint8Array {
  return rootOf(frontierOf(edge));
}

/** Every path that a published tree of `size` leaves has, without `checkpoint`. */
export function* expectedPaths(size: number): Iterable<string> {
  for (let level = 0; level <= maximumLevel; level += 1) {
    yield* tilePaths(level, Math.floor(size / tileWidth ** level));
  }
  yield* tilePaths('entries', size);
}

function* tilePaths(level: number | 'entries', count: number): Iterable<string> {
  const full = Math.floor(count / tileWidth);
  for (let index = 0; index < full; index += 1) yield tilePath(level, index);
  const rest = count % tileWidth;
  if (rest > 0) yield tilePath(level, full, rest);
}

/** The edge of a published tree, read back from its partial tiles; undefined where one is missing or malformed. */
export async function readEdge(files: LogFiles, size: number): Promise<TileEdge | undefined> {
  const levels: Uint8Array[][] = [];
  for (let level = 0; size >= tileWidth ** level; level += 1) {
    const count = Math.floor(size / tileWidth ** level);
    const hashes = await readHashes(files, level, Math.floor(count / tileWidth), count % tileWidth);
    if (hashes === undefined) return undefined;
    levels.push(hashes);
  }
  const entries = await readEntryTile(files, Math.floor(size / tileWidth), size % tileWidth);
  // The root covers the hashes only, so the entries are held against them.
  const hashed = entries?.every(
    (entry, at) => Buffer.compare(leafHash(entry), levels[0]?.[at] ?? entry) === 0,
  );
  return entries === undefined || hashed !== true ? undefined : { size, levels, entries };
}

/** The first `width` entries of an entry tile; undefined where it is missing or malformed. */
export async function readEntryTile(
  files: LogFiles,
  index: number,
  width: number,
): Promise<readonly Uint8Array[] | undefined> {
  if (width === 0) return [];
  const bytes = await readTile(files, 'entries', index, width);
  if (bytes === undefined) return undefined;
  try {
    const entries = parseEntries(bytes);
    return entries.length < width ? undefined : entries.slice(0, width);
  } catch {
    return undefined;
  }
}

/**
 * Runs a computation over the nodes of a published tree of `size` leaves: once to learn which nodes it asks for, then,
 * when their tiles are read, for its result. Fault `proof.invalid` where a tile is missing.
 */
export async function withNodes<T>(
  files: LogFiles,
  size: number,
  compute: (readNode: NodeReader) => T,
): Promise<T> {
  const tiles = new Map<string, readonly Uint8Array[]>();
  const wanted = new Map<
    string,
    { readonly level: number; readonly index: number; readonly width: number }
  >();
  compute((level, index) => {
    const { tileLevel, tile } = placeNode(level, index);
    const width = Math.min(tileWidth, Math.floor(size / tileWidth ** tileLevel) - tile * tileWidth);
    wanted.set(`${tileLevel}/${tile}`, { level: tileLevel, index: tile, width });
    return new Uint8Array(hashBytes);
  });
  for (const [key, { level, index, width }] of wanted) {
    const hashes = await readHashes(files, level, index, width);
    if (hashes === undefined) {
      throw new Fault('proof.invalid', `the tile \`${tilePath(level, index, width)}\` is missing`, {
        hint: 'restart the server: tiles are derived again from the database',
      });
    }
    tiles.set(key, hashes);
  }
  return compute((level, index) => {
    const { tileLevel, tile, offset, count } = placeNode(level, index);
    return perfectRoot((tiles.get(`${tileLevel}/${tile}`) ?? []).slice(offset, offset + count));
  });
}

function placeNode(level: number, index: number) {
  const tileLevel = Math.floor(level / 8);
  const count = 2 ** (level % 8);
  const first = index * count;
  const tile = Math.floor(first / tileWidth);
  return { tileLevel, tile, offset: first - tile * tileWidth, count };
}

async function readHashes(
  files: LogFiles,
  level: number,
  index: number,
  width: number,
): Promise<Uint8Array[] | undefined> {
  if (width === 0) return [];
  const bytes = await readTile(files, level, index, width);
  if (bytes === undefined || bytes.length < width * hashBytes || bytes.length % hashBytes !== 0)
    return undefined;
  return Array.from({ length: width }, (_, at) => bytes.subarray(at * hashBytes, (at + 1) * hashBytes));
}

/** A partial tile is also the beginning of the full one, which replaces it (tlog-tiles "Partial Tiles"). */
async function readTile(
  files: LogFiles,
  level: number | 'entries',
  index: number,
  width: number,
): Promise<Uint8Array | undefined> {
  return (await files.read(tilePath(level, index, width))) ?? files.read(tilePath(level, index));
}

function perfectRoot(hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes;
  while (row.length > 1) {
    const next: Uint8Array[] = [];
    for (let at = 0; at + 1 < row.length; at += 2) {
      next.push(nodeHash(row[at] ?? new Uint8Array(0), row[at + 1] ?? new Uint8Array(0)));
    }
    row = next;
  }
  const root = row[0];
  if (root === undefined) throw new RangeError('an empty row has no root');
  return root;
}
