/** The header of a safetensors file with one tensor of `dataBytes` bytes; padded to `headBytes` where given. */
export function safetensorsHead(dataBytes: number, headBytes?: number): Buffer {
  const text = JSON.stringify({ w: { dtype: 'U8', shape: [dataBytes], data_offsets: [0, dataBytes] } });
  const padded = headBytes === undefined ? text : text.padEnd(headBytes - 8);
  const head = Buffer.alloc(8 + padded.length);
  head.writeBigUInt64LE(BigInt(padded.length));
  head.write(padded, 8, 'latin1');
  return head;
}
