import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sniff } from './sniff.ts';

const MiB = 1024 * 1024;
const sizeBytes = 32 * MiB;

/** A large file that begins like this; zeros follow. */
function beginning(...parts: readonly (string | Uint8Array)[]) {
  const head = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  return sniff({
    sizeBytes,
    read: async (offset, lengthBytes) => {
      const target = new Uint8Array(Math.max(0, Math.min(lengthBytes, sizeBytes - offset)));
      if (offset < head.length) target.set(head.subarray(offset, offset + target.length));
      return target;
    },
  });
}

function npy(header: string, behind = '') {
  const text = Buffer.from(`${header.padEnd(117)}\n`);
  const length = Buffer.alloc(2);
  length.writeUInt16LE(text.length);
  return beginning(Buffer.from([0x93]), 'NUMPY\x01\x00', length, text, behind);
}

/** A header of exactly this length: one tensor over the rest of the file. */
function safetensors(headerBytes: number) {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(headerBytes));
  const data = sizeBytes - 8 - headerBytes;
  const tensor = `"w":{"dtype":"U8","shape":[${data}],"data_offsets":[0,${data}]}}`;
  const space = headerBytes - 1 - tensor.length;
  assert.ok(space >= 0);
  return beginning(length, '{', ' '.repeat(space), tensor);
}

test('npy of numbers is said to be npy, in the spelling of NumPy', async () => {
  for (const shape of ['()', '(4,)', '(2, 3)', '(2, 3, 4)'])
    assert.equal(await npy(`{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`), 'npy', shape);
  assert.equal(await npy("{'descr': '|u1', 'fortran_order': True, 'shape': (4,), }"), 'npy');
});

test('npy whose elements are pickles is not, however its header spells them', async () => {
  const rest = "'fortran_order': False, 'shape': (4,)";
  assert.equal(await npy(`{'descr': '|O', ${rest}, }`), 'unknown');
  assert.equal(await npy(`{'descr': '<f4', ${rest}, 'descr': '|O'}`), 'unknown', 'the last one counts');
  assert.equal(await npy(`{"descr": "|O", ${rest}}`, "'descr': '<f4'"), 'unknown', 'said behind the header');
  assert.equal(await npy(`{"descr": "|O"   , ${rest}} #'descr': '<f4'`), 'unknown', 'said in a comment');
  assert.equal(await npy(`{'descr': '<f4', ${rest}, }\n{'descr': '|O', ${rest}, }`), 'unknown');
});

/**
 * GGUF with this many tensors, the last one over the rest of the file, and one text in its metadata. Read as a pickle: the
 * magic is BINFLOAT (`G` and eight bytes), and what follows is the second byte of the number of tensors.
 */
function gguf(tensors: number, text: string) {
  const u64 = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  const u32 = (value: number) => u64(value).subarray(0, 4);
  const string = (value: string) => Buffer.concat([u64(value.length), Buffer.from(value, 'latin1')]);
  const head = (last: number): Buffer =>
    Buffer.concat([
      Buffer.from('GGUF'),
      u32(3),
      u64(tensors),
      u64(1),
      string('general.description'),
      u32(8),
      string(text),
      ...Array.from({ length: tensors }, (_, index) => [
        string(`t${index}`),
        u32(1),
        u64(index === tensors - 1 ? last : 8),
        u32(0),
        u64(32 * index),
      ]).flat(),
    ]);
  const dataStart = Math.ceil(head(0).length / 32) * 32;
  return beginning(head((sizeBytes - dataStart - 32 * (tensors - 1)) / 4));
}

test('gguf whose header runs as a pickle is unknown: it would run before it ends', async () => {
  assert.equal(await gguf(0x5600, 'a model'), 'gguf');
  assert.equal(await gguf(10, "\ncos\nsystem\n(S'id'\ntR."), 'gguf', 'no pickle gets that far');
  assert.equal(await gguf(0x5600, "\ncos\nsystem\n(S'id'\ntR."), 'unknown');
});

test('safetensors are safetensors, whatever opcode their length spells', async () => {
  for (const headerBytes of [400, 0x1055, 0x3a58, 0x6356, 0x10880])
    assert.equal(await safetensors(headerBytes), 'safetensors');
});

test('a header of many megabytes is held instead of parsed between two requests', async () => {
  assert.equal(await safetensors(2 * MiB), 'safetensors');
  assert.equal(await safetensors(2 * MiB + 8), 'unknown');
});
