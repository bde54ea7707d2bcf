import type { ByteSource } from '../../blob-store.ts';
import type { Flaw, ReadingOutcome } from '../reading.ts';
import type { GgufFlawCode, GgufTensor } from './gguf-facts.ts';

interface DataSection {
  readonly source: ByteSource;
  /** First byte after the tensor table. */
  readonly headerEnd: number;
  readonly alignment: number;
}

/**
 * Does every byte after the tensor table belong to a tensor or to padding of zeros? Tensors start at multiples of the
 * alignment, in any order, without overlap; the padding after the last one may be left out.
 */
export async function checkGgufData(
  tensors: readonly GgufTensor[],
  { source, headerEnd, alignment }: DataSection,
): Promise<ReadingOutcome<GgufFlawCode>> {
  const flaws: Flaw<GgufFlawCode>[] = [];
  const incompleteReasons: string[] = [];
  const step = BigInt(alignment);
  const padded = (at: bigint): bigint => ((at + step - 1n) / step) * step;
  const size = BigInt(source.sizeBytes);
  const start = padded(BigInt(headerEnd));
  const sorted = tensors.toSorted((a, b) => compare(a.begin, b.begin) || compare(a.sizeBytes, b.sizeBytes));
  let end = BigInt(headerEnd);
  let hidden = 0n;
  const gap = async (next: bigint, before: string): Promise<void> => {
    const reachable = next < size ? next : size;
    if (reachable <= end) return;
    if (reachable - end >= step) {
      hidden += reachable - end;
      const message = `${reachable - end} bytes before ${before} belong to no tensor`;
      flaws.push({ code: 'gguf.gap', message, offset: Number(end) });
    } else if ((await source.read(Number(end), Number(reachable - end))).some((byte) => byte !== 0)) {
      flaws.push({
        code: 'gguf.padding',
        message: `the padding before ${before} is not zero`,
        offset: Number(end),
      });
    }
  };
  for (const tensor of sorted) {
    const pointer = tensor.name.slice(0, 100);
    const begin = start + tensor.begin;
    if (tensor.begin % step !== 0n) {
      const message = `tensor \`${pointer}\` does not start at a multiple of ${alignment}`;
      flaws.push({ code: 'gguf.alignment', message, pointer });
    }
    if (begin < end && tensor.sizeBytes > 0n) {
      const message = `tensor \`${pointer}\` shares bytes with the tensor before it`;
      flaws.push({ code: 'gguf.overlap', message, offset: Number(begin), pointer });
    } else await gap(begin, `tensor \`${pointer}\``);
    if (begin + tensor.sizeBytes > end) end = begin + tensor.sizeBytes;
    if (end > size) {
      const message = `tensor \`${pointer}\` ends at ${end} in a file of ${size} bytes`;
      flaws.push({ code: 'gguf.truncated', message, offset: source.sizeBytes, pointer });
      incompleteReasons.push('the file ends before its tensors do');
      return { flaws, incompleteReasons };
    }
  }
  const last = padded(end);
  await gap(last, 'the end');
  if (size > last) {
    hidden += size - last;
    const message = `${size - last} bytes after the last tensor belong to nothing`;
    flaws.push({ code: 'gguf.trailing', message, offset: Number(last) });
  }
  if (hidden > 0n) incompleteReasons.push('bytes of the file belong to no tensor');
  return { flaws, incompleteReasons };
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
