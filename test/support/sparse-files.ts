import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { GeneratedContent } from './hub/repository.ts';
import { safetensors } from './model-bytes.ts';

/** Bytes at a place of a large file; everything between pieces is `fill`. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A file of any size that takes the memory of its pieces. Its SHA-256 is made up: nobody can hash it. */
export function sparseFile(sizeBytes: number, pieces: readonly Piece[], fill = 0x0a): GeneratedContent {
  return {
    sizeBytes,
    sha256: createHash('sha256')
      .update(`sparse ${sizeBytes} ${pieces.map(({ offset }) => offset).join()}`)
      .digest('hex'),
    read: ({ start, end }) => {
      const bytes = Buffer.alloc(end - start, fill);
      for (const piece of pieces) {
        const from = Math.max(start, piece.offset);
        const to = Math.min(end, piece.offset + piece.bytes.length);
        if (from < to) bytes.set(piece.bytes.subarray(from - piece.offset, to - piece.offset), from - start);
      }
      return bytes;
    },
  };
}

/** Safetensors with `tensors` tensors of `tensorBytes` bytes each. */
export function sparseSafetensors(tensors: number, tensorBytes: number): GeneratedContent {
  const header: Record<string, object> = { __metadata__: { format: 'pt' } };
  for (let index = 0; index < tensors; index += 1) {
    header[`model.layers.${index}.weight`] = {
      dtype: 'U8',
      shape: [tensorBytes],
      data_offsets: [index * tensorBytes, (index + 1) * tensorBytes],
    };
  }
  const bytes = safetensors(header);
  return sparseFile(bytes.length + tensors * tensorBytes, [{ offset: 0, bytes }]);
}

export interface SparseMember {
  readonly name: string;
  /** The content, or how many bytes of filling it has. */
  readonly content: Uint8Array | number;
}

/** A zip archive of stored members as `torch.save` lays them out; below 4 GiB, so that no field is too small. */
export function sparseZip(members: readonly SparseMember[]): GeneratedContent {
  const pieces: Piece[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content } of members) {
    const sizeBytes = typeof content === 'number' ? content : content.length;
    // The checksum of a filling is not made: readers of headers do not ask for it.
    const crc = typeof content === 'number' ? 0 : crc32(content);
    const local = zipHeader('local', { name, crc, sizeBytes, offset });
    directory.push(zipHeader('central', { name, crc, sizeBytes, offset }));
    pieces.push({ offset, bytes: local });
    if (typeof content !== 'number') pieces.push({ offset: offset + local.length, bytes: content });
    offset += local.length + sizeBytes;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  const tail = Buffer.concat([listing, end]);
  return sparseFile(offset + tail.length, [...pieces, { offset, bytes: tail }]);
}

function zipHeader(
  kind: 'local' | 'central',
  { name, crc, sizeBytes, offset }: { name: string; crc: number; sizeBytes: number; offset: number },
): Buffer {
  const central = kind === 'central';
  const out = Buffer.alloc(central ? 46 : 30);
  const at = central ? 6 : 4;
  out.writeUInt32LE(central ? 0x02014b50 : 0x04034b50, 0);
  out.writeUInt16LE(20, at);
  out.writeUInt32LE(crc, at + 10);
  out.writeUInt32LE(sizeBytes, at + 14);
  out.writeUInt32LE(sizeBytes, at + 18);
  out.writeUInt16LE(name.length, at + 22);
  if (central) out.writeUInt32LE(offset, 42);
  return Buffer.concat([out, Buffer.from(name)]);
}
