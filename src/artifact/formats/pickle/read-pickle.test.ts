import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteSource } from '#artifact/blob-store.ts';
import { limits } from '#lib/limits.ts';
import { called, frame, named, pickle, proto, raw, text } from '../../../../test/support/pickle-assembler.ts';
import { readPickleFacts } from '../pickle-reading.ts';
import { pseudoPython } from './pseudo-python.ts';
import { memorySource, readPickle } from './read-pickle.ts';
import type { PickleReading } from './reading.ts';
import { literalSteps } from './steps.ts';
import { objectSteps } from './object-steps.ts';

const read = async (bytes: Uint8Array): Promise<PickleReading> => await readPickle(memorySource(bytes));
const importsOf = async (bytes: Uint8Array): Promise<readonly string[]> =>
  (await read(bytes)).imports.map(({ mappedModule, mappedName }) => `${mappedModule}.${mappedName}`);

const line = `V${'a'.repeat(2 * limits.pickleLineBytes + 3_000_000)}\n0`;
const bytesOf32 = (content: string): string => {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(content.length);
  return `B${length.toString('latin1')}${content}`;
};

test('a limit before a call is no clean answer, in text and inside a string', async () => {
  const hidden = `${line}cos\nsystem\n(S"id"\ntR.`;
  const facts = await readPickleFacts(memorySource(raw(hidden)), 'text');
  assert.deepEqual(facts?.incompleteReasons, [`a text line is longer than ${limits.pickleLineBytes} bytes`]);
  const outer = await read(pickle(bytesOf32(`${proto(4)}${hidden}`)));
  assert.match(outer.incomplete.join(), /a pickle inside a string: a text line is longer/);
  assert.equal(outer.stringsRead.size, 0);
  const harmless = await read(pickle(bytesOf32(`${proto(4)}NNN.......`)));
  assert.deepEqual([harmless.incomplete, harmless.stringsRead.size, harmless.nested.length], [[], 1, 0]);
  assert.equal(await readPickleFacts(memorySource(raw('No, this is only text.')), 'text'), undefined);
});

test('a call counts inside a string also where the pickle then breaks', async () => {
  const broken = await read(pickle(bytesOf32('\x80\x04cos\nsystem\n(S"id"\ntR00000.')));
  assert.equal(broken.nested.length, 1);
  assert.equal((await read(pickle(bytesOf32('\x80\x040000cos\nsystem\n.')))).nested.length, 0);
});

test('all 68 opcodes have a step', () => {
  assert.equal(Object.keys(literalSteps).length + Object.keys(objectSteps).length, 68);
});

test('literals of every protocol have their values', async () => {
  const bytes = raw(
    "(I01\nI-5\nL12L\nF1.5\nG\x3f\xf8\0\0\0\0\0\0J\xff\xff\xff\xffK\xffM\x01\x02\x8a\x01\x80N\x88S'a\\n'\nV\\u4e16\nU\x01zt.",
  );
  const result = (await read(bytes)).streams[0]?.result;
  const float = { kind: 'float', value: 1.5 };
  assert.deepEqual(
    typeof result === 'object' && result !== null && result.kind === 'tuple' ? result.items : result,
    [true, -5, 12, float, float, -1, 255, 513, -128, null, true, 'a\n', '\u4e16', 'z'],
  );
});

test('Python-2 names are mapped below protocol 3 only', async () => {
  assert.deepEqual(await importsOf(raw('c__builtin__\nreduce\n.')), ['functools.reduce']);
  assert.deepEqual(await importsOf(raw('\x80\x02c__builtin__\neval\n.')), ['builtins.eval']);
  assert.deepEqual(await importsOf(raw('\x80\x03c__builtin__\neval\n.')), ['__builtin__.eval']);
});

test('both readings of a lying frame are reported', async () => {
  const hidden = called(named('os', 'system'), text('id'));
  const bytes = raw(`${proto(4)}${frame(6)}C\x20abcd${'x'.repeat(28)}N.zz${hidden}.`);
  const { imports, divergences } = await read(bytes);
  assert.ok(imports.some(({ name }) => name === 'system'));
  assert.equal(divergences[0]?.kind, 'frame-crossed');
});

test('a failure after a lying frame is not one of every reading', async () => {
  const hidden = called(named('os', 'system'), text('id'));
  const { streams, calls } = await read(
    raw(`${frame(6)}C\x20abcd${'x'.repeat(28)}\xff\xff\xff\xff${hidden}.`),
  );
  assert.deepEqual([streams[0]?.ending, streams[0]?.failure, calls.length], ['unknown-opcode', undefined, 1]);
});

test('honest frames are no divergence', async () => {
  const body = `${text('a')}\x940`;
  const bytes = raw(`${proto(4)}${frame(body.length)}${body}${frame(2)}N.`);
  assert.deepEqual((await read(bytes)).divergences, []);
});

test('a stream that is cut anywhere never throws and never stops', async () => {
  const whole = pickle(`}(${text('key')}(K\x01K\x02l${text('x')}${called(named('a', 'b'), text('c'))}u`);
  for (let length = 0; length < whole.length; length++) {
    const { streams } = await read(whole.subarray(0, length));
    assert.ok(streams.every(({ ending }) => ending !== 'stop'));
  }
});

test('windows of any size give the same reading', async () => {
  const bytes = pickle(`${`(${text('key')}C\x05bytes`.repeat(20_000)}${named('os', 'system')}`);
  const whole = await read(bytes);
  const trickling: ByteSource = {
    sizeBytes: bytes.length,
    read: (offset, lengthBytes) => Promise.resolve(bytes.slice(offset, offset + lengthBytes)),
  };
  assert.deepEqual((await readPickle(trickling)).imports, whole.imports);
  assert.equal(whole.streams[0]?.opcodes, 20_000 * 3 + 5);
});

test('payloads larger than a window are skipped, not kept', async () => {
  const length = 3 * 1024 * 1024;
  const size = Buffer.alloc(4);
  size.writeUInt32LE(length);
  const bytes = Buffer.concat([
    raw(`${proto(4)}B`),
    size,
    Buffer.alloc(length, 7),
    raw(`${named('os', 'system')}.`),
  ]);
  assert.deepEqual(await importsOf(bytes), ['os.system']);
});

test('sharing makes a large tree of few objects, and rendering it ends', async () => {
  const reading = await read(pickle(`]${'2\x86\x94'.repeat(2_000)}`));
  assert.ok((reading.expansion?.objects ?? 0) > 1e8);
  assert.ok(pseudoPython(reading).length < 100_000);
});

test('a billion values end in a limit, not in memory', async () => {
  const bytes = Buffer.alloc(limits.pickleValues + 100_000, 'N');
  const { incomplete, streams } = await read(bytes);
  assert.equal(streams[0]?.ending, 'limit');
  assert.equal(incomplete.length, 1);
});

test('pickles in pickles end at the depth limit', async () => {
  let bytes = pickle(named('os', 'system'));
  for (let depth = 0; depth < 10; depth++) {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(bytes.length);
    bytes = Uint8Array.from(Buffer.concat([raw(`${proto(4)}${named('a', 'b')}0B`), size, bytes, raw('.')]));
  }
  let reading: PickleReading | undefined = await read(bytes);
  let reasons: readonly string[] = [];
  for (; reading !== undefined; reading = reading.nested[0]?.reading) reasons = reading.incomplete;
  assert.equal(reasons.length, 1);
});

test('the reconstruction names calls with their places', async () => {
  assert.equal(
    pseudoPython(await read(raw('cposix\nsystem\n(S"id"\ntR.'))),
    'from posix import system  # byte 0, opcode 0\nposix.system("id")  # byte 22, opcode 4\nreturn posix.system("id")\n',
  );
});
