import type { ByteSource } from '#artifact/blob-store.ts';
import { readFormats } from '#artifact/formats/formats.ts';
import { readPickleFacts } from '#artifact/formats/pickle-reading.ts';
import { judgeReadings } from '#producers/scan/scan-blob.ts';

/** What is read of a file before it is said what it is. A header that reaches further is held. */
const sniffedBytes = 16 * 1024 * 1024;
/** A safetensors header is parsed at once, between two requests of other people; the largest models need some 100 KiB. */
const safetensorsHeaderBytes = 2 * 1024 * 1024;
/** How far the beginning is run as a pickle. Longer strings than this in front of a call count as one that is not known. */
const pickledBytes = 1024 * 1024;

const magics: readonly (readonly [string, readonly number[]])[] = [
  ['zip', [0x50, 0x4b, 0x03, 0x04]],
  ['npy', [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]],
  ['gzip', [0x1f, 0x8b]],
];

/**
 * What the first bytes of an arriving file are, by content. `safetensors` and `gguf` are said only where the whole header is
 * well formed and nothing was found in it, chat templates included; such a file may be streamed (delivery.yaml). Other
 * names are for rules and people; whatever is not recognised is `unknown`. Waits for the bytes of the header.
 */
export async function sniff(source: ByteSource): Promise<string> {
  const head = await source.read(0, 4096);
  if (isSafetensorsHead(head, source.sizeBytes) || isGgufHead(head)) {
    const begun = headOnly(source);
    const readings = await readFormats(begun, ['safetensors', 'gguf']);
    const [first] = readings;
    const { verdict, completeness } = judgeReadings(readings);
    if (readings.length !== 1 || first === undefined) return 'unknown';
    const beginning = { sizeBytes: Math.min(source.sizeBytes, pickledBytes), read: begun.read };
    // A length can be an opcode that takes the zeros behind it for its text: then the header runs before the file ends.
    if ((await readPickleFacts(beginning, 'binary')) !== undefined) return 'unknown';
    return verdict === 'clean' && completeness === 'complete' ? first.format : 'unknown';
  }
  for (const [name, magic] of magics) {
    if (!magic.every((byte, index) => head[index] === byte)) continue;
    if (name === 'npy') return isPlainNpy(head) ? 'npy' : 'unknown';
    return name;
  }
  if (head[0] === 0x80 && (head[1] ?? 0xff) <= 5) return 'pickle';
  return 'unknown';
}

function isGgufHead(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, 4)).toString('latin1') === 'GGUF';
}

/** A length that fits into what is sniffed, and the beginning of a JSON object. */
function isSafetensorsHead(head: Uint8Array, sizeBytes: number): boolean {
  if (head.length < 9) return false;
  const headerBytes = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  return headerBytes <= BigInt(Math.min(sizeBytes - 8, safetensorsHeaderBytes)) && head[8] === 0x7b;
}

/** The header as every NumPy has written it for an array of plain numbers (`numpy.lib.format`, `_write_array_header`). */
const plainHeader =
  /^\{'descr': '[<>|=][fiucb]\d{1,2}', 'fortran_order': (?:True|False), 'shape': \((?:\d+,|\d+(?:, \d+)+)?\), ?\} *\n$/;

/**
 * NumPy format 1.0–3.0 with a dtype of plain numbers. The header is a Python literal: anything but the usual spelling may
 * mean another dtype than it seems to (a key twice, other quotes), such as the one whose elements are pickles.
 */
function isPlainNpy(head: Uint8Array): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const [major, start] = [head[6], head[6] === 1 ? 10 : 12];
  if ((major !== 1 && major !== 2 && major !== 3) || head[7] !== 0 || head.length < start) return false;
  const end = start + (major === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  return end <= head.length && plainHeader.test(Buffer.from(head.subarray(start, end)).toString('latin1'));
}

/**
 * Behind the head everything reads as zero: readers may look at padding between tensors there, and what really stands there
 * is judged by the scan, before the end of the file leaves.
 */
function headOnly(source: ByteSource): ByteSource {
  return {
    sizeBytes: source.sizeBytes,
    read: async (offset, lengthBytes) => {
      const length = Math.max(0, Math.min(lengthBytes, source.sizeBytes - offset));
      const target = new Uint8Array(length);
      if (offset < sniffedBytes)
        target.set(await source.read(offset, Math.min(length, sniffedBytes - offset)));
      return target;
    },
  };
}
