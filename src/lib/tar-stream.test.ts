import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from './fault.ts';
import { encodeTar } from './tar.ts';
import { readTarStream } from './tar-stream.ts';

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: Uint8Array, size = 700): Promise<readonly (readonly [string, string])[]> {
  const found: (readonly [string, string])[] = [];
  for await (const entry of readTarStream(pieces(bytes, size))) {
    const parts: Uint8Array[] = [];
    for await (const part of entry.bytes) parts.push(part);
    const content = Buffer.concat(parts);
    assert.equal(content.length, entry.sizeBytes);
    found.push([entry.name, content.toString()]);
  }
  return found;
}

/** A header of our own making around an entry of `encodeTar`, with its checksum put right. */
function altered(bytes: Uint8Array, change: (header: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  copy.fill(' ', 148, 156);
  const sum = copy.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return copy;
}

const one = encodeTar([{ name: 'a.txt', bytes: Buffer.from('hello') }]);
const refused = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;

test('files come in order, whatever the pieces', async () => {
  const files = [
    { name: 'a.txt', bytes: Buffer.from('hello') },
    { name: `${'deep/'.repeat(40)}b.txt`, bytes: Buffer.alloc(1_500, 'b') },
    { name: 'empty', bytes: Buffer.alloc(0) },
  ];
  const expected = files.map(({ name, bytes }) => [name, bytes.toString()]);
  for (const size of [1, 511, 512, 100_000]) assert.deepEqual(await read(encodeTar(files), size), expected);
});

test('a leading `./` falls away, directories are passed over', async () => {
  const dotted = altered(one, (header) => header.write('./a.txt\0', 0));
  assert.deepEqual(await read(dotted), [['a.txt', 'hello']]);
  const folder = altered(encodeTar([{ name: 'folder', bytes: Buffer.alloc(0) }]), (header) =>
    header.write('5', 156),
  );
  assert.deepEqual(await read(folder), []);
});

test('a size in base 256 is read', async () => {
  const large = altered(one, (header) => {
    header.fill(0, 124, 136);
    header[124] = 0x80;
    header[135] = 5;
  });
  assert.deepEqual(await read(large), [['a.txt', 'hello']]);
  const endless = altered(one, (header) => header.fill(0xff, 124, 136));
  await assert.rejects(read(endless), refused('bundle.invalid'));
});

for (const [name, change] of Object.entries<(header: Buffer) => void>({
  'a path that leads out': (header) => header.write('../a\0', 0),
  'an absolute path': (header) => header.write('/etc/a\0', 0),
  'a symbolic link': (header) => header.write('2', 156),
  'a hard link': (header) => header.write('1', 156),
  'a device': (header) => header.write('3', 156),
  'a FIFO': (header) => header.write('6', 156),
  'a sparse file': (header) => header.write('S', 156),
})) {
  test(`is refused: ${name}`, async () => {
    await assert.rejects(read(altered(one, change)), refused('bundle.invalid'));
  });
}

test('a wrong checksum, a repeated name, a missing end and bytes after the end are refused', async () => {
  const wrong = Buffer.from(one);
  wrong[0] = 0x62;
  await assert.rejects(read(wrong), refused('bundle.invalid'));
  const twice = Buffer.concat([one.subarray(0, 1024), one]);
  await assert.rejects(read(twice), refused('bundle.invalid'));
  await assert.rejects(read(one.subarray(0, 600)), refused('upstream.lied'));
  await assert.rejects(read(one.subarray(0, 1024)), refused('upstream.lied'));
  await assert.rejects(read(Buffer.concat([one, Buffer.from('x')])), refused('bundle.invalid'));
  await read(Buffer.concat([one, Buffer.alloc(10_240)]));
});
