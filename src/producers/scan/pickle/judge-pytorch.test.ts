import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memorySource } from '#artifact/formats/pickle/read-pickle.ts';
import { readPyTorch } from '#artifact/formats/pytorch/read-pytorch.ts';
import type { TorchProblem } from '#artifact/formats/pytorch/reading.ts';
import { called, named, pickle, raw, text } from '../../../../test/support/pickle-assembler.ts';
import { buildZip, type ZipPart } from '../../../../test/support/zip-builder.ts';
import { containerRuleId, judgePyTorch, torchRules, zipRules } from './judge-pytorch.ts';

const storageId = (key: string, elements: number): string =>
  `(${text('storage')}${named('torch', 'FloatStorage')}${text(key)}${text('cpu')}K${String.fromCharCode(elements)}t`;
const tensor = (key: string, elements: number): string =>
  called(
    named('torch._utils', '_rebuild_tensor_v2'),
    `${storageId(key, elements)}Q`,
    'K\0',
    ')',
    ')',
    '\x89',
    '}',
  );
const object = (body: string): ZipPart => ({ name: 'm/data.pkl', bytes: pickle(body) });
const storage = (key: string, sizeBytes: number): ZipPart => ({
  name: `m/data/${key}`,
  bytes: Buffer.alloc(sizeBytes, 1),
});
const version: ZipPart = { name: 'm/version', bytes: Buffer.from('3\n') };
const honest = [object(tensor('0', 2)), version, storage('0', 8)];

async function rulesOf(bytes: Uint8Array): Promise<readonly string[]> {
  const reading = await readPyTorch(memorySource(bytes));
  assert.ok(reading, 'it is a torch file');
  return [...new Set(judgePyTorch(reading).map(({ ruleId }) => ruleId))];
}

/** The five pickles of the legacy form and one storage of two floats. */
function legacy(elements: bigint, after = ''): Uint8Array {
  const magic = '\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.';
  const count = Buffer.alloc(8);
  count.writeBigInt64LE(elements);
  const head = `\x80\x02${magic}\x80\x02M\xe9\x03.\x80\x02}.\x80\x04${tensor('0', 2)}.\x80\x04]${text('0')}a.`;
  return Buffer.concat([raw(head), count, Buffer.alloc(8, 1), raw(after)]);
}

const samples: Readonly<Record<TorchProblem['kind'], Uint8Array>> = {
  'member-unexpected': buildZip([...honest, { name: 'm/readme', bytes: Buffer.from('x') }]),
  'member-unreadable': buildZip([
    ...honest,
    { ...version, name: 'm/byteorder', local: { flags: 1 }, central: { flags: 1 } },
  ]),
  'several-objects': buildZip([...honest, { name: 'n/data.pkl', bytes: pickle('N') }]),
  'storage-id': buildZip([object('NQ'), version]),
  'storage-missing': buildZip([object(tensor('0', 2)), version]),
  'storage-size': buildZip([object(tensor('0', 2)), version, storage('0', 4)]),
  trailing: legacy(2n, 'more'),
};

for (const [kind, bytes] of Object.entries(samples)) {
  test(`a torch file with ${kind} is told from an honest one`, async () => {
    assert.ok((await rulesOf(bytes)).includes(containerRuleId('PT', kind)), (await rulesOf(bytes)).join());
  });
}

test('honest files of both forms have no findings', async () => {
  assert.deepEqual(await rulesOf(buildZip(honest)), []);
  assert.deepEqual(await rulesOf(legacy(2n)), []);
});

test('every rule has a sample, a reason and a remedy', () => {
  assert.deepEqual(Object.keys(samples).sort(), Object.keys(torchRules).sort());
  for (const { why, remedy } of [...Object.values(torchRules), ...Object.values(zipRules)]) {
    assert.ok(why.length > 20 && remedy.length > 20);
  }
});

test('a legacy storage whose own count differs from the pickle is a finding', async () => {
  assert.ok((await rulesOf(legacy(1n))).includes('PT-STORAGE-SIZE'));
});

test('storages are claimed with their places', async () => {
  const bytes = buildZip(honest);
  const reading = await readPyTorch(memorySource(bytes));
  const [only] = reading?.storages ?? [];
  assert.deepEqual(
    [only?.key, only?.type, only?.elements, only?.lengthBytes, reading?.form, reading?.incomplete],
    ['0', 'FloatStorage', 2, 8, 'zip', []],
  );
  assert.deepEqual(bytes.subarray(only?.offset, (only?.offset ?? 0) + 8), Buffer.alloc(8, 1));
});

test('TorchScript is inconclusive', async () => {
  const reading = await readPyTorch(
    memorySource(buildZip([...honest, { name: 'm/code/__torch__.py', bytes: Buffer.from('def f(): pass') }])),
  );
  assert.deepEqual([reading?.torchScript, reading?.incomplete], [true, ['TorchScript code is not read']]);
});

test('a payload in any member is found, whichever header a reader believes', async () => {
  const payload = pickle(called(named('os', 'system'), text('id')));
  const attacks: readonly (readonly ZipPart[])[] = [
    [...honest, { name: 'm/data.pkl', bytes: payload }],
    [{ name: 'm/data.pkl', bytes: payload }, ...honest],
    [...honest, { name: 'm/data.pkl', bytes: payload, listed: 0 }],
    [...honest, { name: 'm/x', bytes: payload, local: { name: 'm/data.pkl' } }],
    [object(tensor('0', 2)), version, { name: 'm/data/0', bytes: payload }],
  ];
  for (const parts of attacks) assert.ok((await rulesOf(buildZip(parts))).includes('PKL-CALL-DENIED'));
});
