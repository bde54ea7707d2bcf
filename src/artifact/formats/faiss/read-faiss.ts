import type { ByteSource } from '../../blob-store.ts';
import { EndOfBytes } from '../cursor.ts';
import type { Flaw } from '../reading.ts';
import { ImpossibleCount, type StoreFacts, type StoreFlawCode } from '../store-reading.ts';
import { FaissCursor } from './faiss-cursor.ts';

/** How deep indexes may stand in each other: an id map over IVF over HNSW over flat is four. */
const depthLimit = 8;
const mostDimensions = 1_000_000;
/** Codes of `write_index` (faiss/impl/index_write.cpp): all that begin so are FAISS, of these the structure is known. */
const fourcc = /^I[xwHBvNR][A-Za-z0-9][A-Za-z0-9+]$/;

/** Thrown where the structure of a part is not known: what follows cannot be placed. */
class UnknownPart extends Error {}

interface Header {
  readonly code: string;
  readonly dimensions: number;
  readonly vectors: number;
}

/** A FAISS index: its code, plausible dimensions and the constants that the writer puts behind the count. */
export function detectFaiss(head: Uint8Array): boolean {
  if (head.byteLength < 33 || !fourcc.test(Buffer.from(head.subarray(0, 4)).toString('latin1'))) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const dimensions = view.getUint32(4, true);
  const vectors = view.getBigInt64(8, true);
  // Two reserved numbers, always 1 << 20, and the flag `is_trained`.
  const reserved = view.getBigUint64(16, true) === 0x10_0000n && view.getBigUint64(24, true) === 0x10_0000n;
  return dimensions > 0 && dimensions <= mostDimensions && vectors >= 0n && reserved && (head[32] ?? 2) <= 1;
}

/**
 * A FAISS index with every byte claimed: headers, codes, graphs and inverted lists must add up to the file. Vectors are
 * claimed, not read. Kinds whose structure is not known here are named and incomplete.
 */
export async function readFaiss(source: ByteSource): Promise<StoreFacts> {
  const cursor = new FaissCursor(source);
  const flaws: Flaw<StoreFlawCode>[] = [];
  const incompleteReasons: string[] = [];
  let header: Header | undefined;
  try {
    await readIndex({ cursor, flaws }, 0, (found) => (header ??= found));
    if (cursor.offset < source.sizeBytes) {
      const message = `${source.sizeBytes - cursor.offset} bytes follow the index`;
      flaws.push({ code: 'store.trailing', message, offset: cursor.offset });
      incompleteReasons.push('bytes of the file belong to no part of the index');
    }
  } catch (thrown) {
    incompleteReasons.push(reasonOf(thrown, cursor.offset, flaws));
  }
  return {
    kind: header?.code ?? 'unknown',
    vectors: header?.vectors,
    dimensions: header?.dimensions,
    flaws,
    incompleteReasons,
  };
}

function reasonOf(thrown: unknown, offset: number, flaws: Flaw<StoreFlawCode>[]): string {
  if (thrown instanceof UnknownPart) return thrown.message;
  if (thrown instanceof EndOfBytes) {
    flaws.push({ code: 'store.truncated', message: 'the file ends inside the index', offset });
    return 'the file ends before its index does';
  }
  if (thrown instanceof ImpossibleCount) {
    flaws.push({ code: 'store.count', message: thrown.message, offset: thrown.offset });
    return 'a count of the index is larger than the file';
  }
  throw thrown;
}

interface Draft {
  readonly cursor: FaissCursor;
  readonly flaws: Flaw<StoreFlawCode>[];
}

async function readHeader(cursor: FaissCursor, code: string): Promise<Header> {
  const dimensions = await cursor.u32();
  const vectors = await cursor.count('vectors');
  cursor.skip(17);
  const metric = await cursor.u32();
  if (metric > 1) cursor.skip(4);
  return { code, dimensions, vectors };
}

async function readIndex(draft: Draft, depth: number, found: (header: Header) => void): Promise<void> {
  const { cursor } = draft;
  if (depth > depthLimit) throw new UnknownPart(`indexes stand in each other more than ${depthLimit} deep`);
  const code = await cursor.fourcc();
  if (code === 'null') return;
  if (!known.has(code) && depth > 0) throw unknownKind(code);
  const header = await readHeader(cursor, code);
  found(header);
  if (!known.has(code)) throw unknownKind(code);
  const inner = (): Promise<void> => readIndex(draft, depth + 1, () => undefined);
  const { vectors, dimensions } = header;
  switch (code) {
    case 'IxF2':
    case 'IxFI':
    case 'IxFl':
      // Counted in floats, although they are bytes in memory.
      return expectCount(draft, await cursor.vector('numbers', 4), vectors * dimensions);
    case 'IxMp':
    case 'IxM2':
      await inner();
      return expectCount(draft, await cursor.vector('ids', 8), vectors);
    case 'IHNf':
    case 'IHNp':
    case 'IHNs':
      await readGraph(cursor);
      return inner();
    case 'IxPq':
      expectCount(draft, vectors * (await readProductQuantizer(cursor)), await cursor.vector('codes', 1));
      return cursor.skip(9);
    case 'IxSQ':
      return expectCount(
        draft,
        vectors * (await readScalarQuantizer(cursor)),
        await cursor.vector('codes', 1),
      );
    default:
      return readInvertedFile(draft, header, inner);
  }
}

const known = new Set([
  'IxF2',
  'IxFI',
  'IxFl',
  'IxMp',
  'IxM2',
  'IHNf',
  'IHNp',
  'IHNs',
  'IxPq',
  'IxSQ',
  'IwFl',
  'IwPQ',
  'IwSq',
]);

function unknownKind(code: string): UnknownPart {
  return new UnknownPart(`the structure of a FAISS index \`${shown(code)}\` is not known`);
}

function expectCount({ cursor, flaws }: Draft, found: number, expected: number): void {
  if (found === expected) return;
  const message = `the index holds ${found} where its header says ${expected}`;
  flaws.push({ code: 'store.count', message, offset: cursor.offset });
}

/** `write_HNSW`: five vectors and five numbers. */
async function readGraph(cursor: FaissCursor): Promise<void> {
  await cursor.vector('probabilities', 8);
  await cursor.vector('levels', 4);
  await cursor.vector('levels', 4);
  await cursor.vector('offsets', 8);
  await cursor.vector('neighbours', 4);
  cursor.skip(5, 4);
}

/** Bytes of one code: `M` parts of `nbits` bits. */
async function readProductQuantizer(cursor: FaissCursor): Promise<number> {
  cursor.skip(8);
  const parts = await cursor.count('parts');
  const bits = await cursor.count('bits');
  await cursor.vector('centroids', 4);
  return Math.ceil((parts * bits) / 8);
}

/** Bytes of one code. */
async function readScalarQuantizer(cursor: FaissCursor): Promise<number> {
  cursor.skip(3 * 4 + 8);
  const codeBytes = await cursor.count('bytes');
  await cursor.vector('numbers', 4);
  return codeBytes;
}

/** `write_ivf_header`, what the kind adds, `write_InvertedLists`. */
async function readInvertedFile(
  draft: Draft,
  { code, vectors }: Header,
  inner: () => Promise<void>,
): Promise<void> {
  const { cursor } = draft;
  cursor.skip(2, 8);
  await inner();
  const direct = await cursor.u8();
  await cursor.vector('ids', 8);
  if (direct === 2) await cursor.vector('pairs', 16);
  if (code === 'IwPQ') {
    cursor.skip(1 + 8);
    await readProductQuantizer(cursor);
  }
  if (code === 'IwSq') {
    await readScalarQuantizer(cursor);
    cursor.skip(8 + 1);
  }
  await readLists(draft, vectors);
}

async function readLists(draft: Draft, expected: number): Promise<void> {
  const { cursor, flaws } = draft;
  const at = cursor.offset;
  const kind = await cursor.fourcc();
  if (kind === 'il00') return;
  if (kind === 'ilod') {
    const message = 'the inverted lists are read from another file, whose path stands in this one';
    flaws.push({ code: 'store.elsewhere', message, offset: at });
  }
  if (kind !== 'ilar')
    throw new UnknownPart(`inverted lists of the kind \`${shown(kind)}\` are not in the file`);
  const lists = await cursor.count('lists');
  const codeBytes = await cursor.count('bytes');
  const form = await cursor.fourcc();
  if (form !== 'full' && form !== 'sprs')
    throw new UnknownPart(`lists of the form \`${shown(form)}\` are not known`);
  const numbers = await cursor.count('numbers', 8);
  if (form === 'full' ? numbers !== lists : numbers % 2 !== 0) {
    flaws.push({
      code: 'store.count',
      message: `${numbers} sizes for ${lists} lists`,
      offset: cursor.offset,
    });
  }
  let vectors = 0;
  for (let index = 0; index < numbers; index += 1) {
    const size = await cursor.count('vectors');
    // Sparse lists are pairs of the number of a list and its size.
    if (form === 'full' || index % 2 === 1) vectors += size;
  }
  expectCount(draft, vectors, expected);
  cursor.skip(vectors, codeBytes + 8);
}

function shown(code: string): string {
  return code.replace(/[^ -~]/g, '?').replaceAll('`', '?');
}
