import type { ByteSource } from '../../blob-store.ts';
import { ByteCursor, EndOfBytes } from '../cursor.ts';
import type { Flaw } from '../reading.ts';
import type { StoreFacts, StoreFlawCode } from '../store-reading.ts';

const headerBytes = 96;

interface Header {
  readonly elements: number;
  readonly elementBytes: number;
  /** Bytes of one level of links above the lowest. */
  readonly linkBytes: number;
  readonly dataBytes: number;
}

/**
 * The header of hnswlib (`HierarchicalNSW::saveIndex`), which has no magic number: twelve numbers that determine each
 * other. Undefined where any of them disagrees.
 */
function parseHeader(head: Uint8Array): Header | undefined {
  if (head.byteLength < headerBytes) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, headerBytes);
  const wide = (at: number): number => Number(view.getBigUint64(at, true));
  const [offsetLevel0, most, elements, elementBytes] = [wide(0), wide(8), wide(16), wide(24)];
  const [labelOffset, dataOffset] = [wide(32), wide(40)];
  const [maxM, maxM0, m] = [wide(56), wide(64), wide(72)];
  const holds =
    offsetLevel0 === 0 &&
    elements <= most &&
    m >= 1 &&
    m <= 10_000 &&
    maxM === m &&
    maxM0 === 2 * m &&
    dataOffset === maxM0 * 4 + 4 &&
    labelOffset > dataOffset &&
    elementBytes === labelOffset + 8 &&
    Number.isSafeInteger(elements * elementBytes) &&
    (m === 1 || Math.abs(view.getFloat64(80, true) * Math.log(m) - 1) < 1e-9);
  if (!holds) return undefined;
  return { elements, elementBytes, linkBytes: maxM * 4 + 4, dataBytes: labelOffset - dataOffset };
}

export function detectHnswlib(head: Uint8Array): boolean {
  return parseHeader(head) !== undefined;
}

/** An index of hnswlib with every byte claimed: the lowest level by the header, the links above it one by one. */
export async function readHnswlib(source: ByteSource): Promise<StoreFacts | undefined> {
  const header = parseHeader(await source.read(0, headerBytes));
  if (header === undefined) return undefined;
  const { elements, elementBytes, linkBytes, dataBytes } = header;
  const flaws: Flaw<StoreFlawCode>[] = [];
  const incompleteReasons: string[] = [];
  const cursor = new ByteCursor(source, headerBytes);
  try {
    cursor.skip(elements * elementBytes);
    for (let element = 0; element < elements; element += 1) {
      if (!cursor.has(4)) await cursor.ensure(4);
      const bytes = cursor.u32();
      if (bytes % linkBytes !== 0) {
        const message = `the links of element ${element} have ${bytes} bytes, which is no multiple of ${linkBytes}`;
        flaws.push({ code: 'store.structure', message, offset: cursor.offset - 4 });
        incompleteReasons.push('the links of the index cannot be followed');
        break;
      }
      cursor.skip(bytes);
    }
    if (incompleteReasons.length === 0 && cursor.remaining > 0) {
      const message = `${cursor.remaining} bytes follow the index`;
      flaws.push({ code: 'store.trailing', message, offset: cursor.offset });
      incompleteReasons.push('bytes of the file belong to no part of the index');
    }
  } catch (thrown) {
    if (!(thrown instanceof EndOfBytes)) throw thrown;
    const message = 'the file ends inside the index';
    flaws.push({ code: 'store.truncated', message, offset: thrown.offset });
    incompleteReasons.push('the file ends before its index does');
  }
  // Numbers of a vector are floats in every released space but one of bytes, which nobody can tell from the file.
  const dimensions = dataBytes % 4 === 0 ? dataBytes / 4 : undefined;
  return { kind: 'hnswlib', vectors: elements, dimensions, flaws, incompleteReasons };
}
