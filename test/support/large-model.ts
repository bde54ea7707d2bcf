import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';

const blockBytes = 1024 * 1024;

/** A file of any size whose every place can be checked without a second copy of it. */
export interface LargeModel {
  readonly sizeBytes: number;
  /** Are these the bytes from `offset` on? */
  matches(chunk: Uint8Array, offset: number): boolean;
}

/** A real safetensors file of one tensor. Each block of 1 MiB begins with its number, so that no two are alike. */
export async function writeLargeModel(path: string, sizeBytes: number): Promise<LargeModel> {
  const block = randomBytes(blockBytes);
  let header = Buffer.alloc(0);
  for (let dataBytes = sizeBytes - 8, round = 0; round < 3; round += 1) {
    header = Buffer.from(
      JSON.stringify({ weights: { dtype: 'U8', shape: [dataBytes], data_offsets: [0, dataBytes] } }),
    );
    dataBytes = sizeBytes - 8 - header.length;
  }
  const head = Buffer.alloc(8 + header.length);
  head.writeBigUInt64LE(BigInt(header.length));
  header.copy(head, 8);
  const blockAt = (number: number): Buffer => {
    block.writeUInt32LE(number);
    const made = number === 0 ? Buffer.concat([head, block.subarray(head.length)]) : block;
    return made.subarray(0, Math.min(blockBytes, sizeBytes - number * blockBytes));
  };
  await using file = await open(path, 'w');
  for (let number = 0; number * blockBytes < sizeBytes; number += 1) await file.write(blockAt(number));
  return {
    sizeBytes,
    matches: (chunk, offset) => {
      for (let at = 0; at < chunk.length;) {
        const number = Math.floor((offset + at) / blockBytes);
        const expected = blockAt(number).subarray(offset + at - number * blockBytes);
        const length = Math.min(expected.length, chunk.length - at);
        if (length === 0 || !expected.subarray(0, length).equals(chunk.subarray(at, at + length)))
          return false;
        at += length;
      }
      return true;
    },
  };
}
