import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memorySource } from '#artifact/formats/reading.ts';
import { readSafetensors } from '#artifact/formats/safetensors/read-safetensors.ts';
import { scanBlob } from '#producers/scan/scan-blob.ts';
import { seeded } from '../fuzz/pickle-generator.ts';
import { bytesOf, safetensors, tensor, u64 } from '../support/model-bytes.ts';
import { askRealReader, missingPythonModels, mutate, writeRealModels } from '../support/python-models.ts';

const skip = missingPythonModels();

test('what the real writers write is clean and complete', { skip }, async () => {
  const models = [...writeRealModels()].filter(([name]) => /\.(safetensors|pt)$/.test(name));
  assert.ok(models.length >= 6);
  for (const [name, bytes] of models) {
    const { verdict, completeness, findings, formats } = await scanBlob(memorySource(bytes));
    assert.deepEqual([name, verdict, completeness, findings], [name, 'clean', 'complete', []]);
    assert.equal(formats.length, 1);
  }
});

test(
  'what we call clean the real reader reads, with the same names, types and shapes',
  { skip },
  async (t) => {
    const seed = Number(process.env['WEIGHBRIDGE_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
    t.diagnostic(`seed ${seed}`);
    const originals = [...writeRealModels()]
      .filter(([name]) => name.endsWith('.safetensors'))
      .map(([, bytes]) => bytes);
    const files = [
      ...originals,
      safetensors({ a: tensor(0, 2, 'F4', [4]) }, 2),
      safetensors({ b: tensor(4, 8), a: tensor(0, 4) }, 8),
      safetensors({ a: tensor(0, 4), z: tensor(4, 4, 'F32', [0]) }, 4),
      ...mutate(originals, 4000, seeded(seed).below),
    ];
    const answers = askRealReader('safetensors', files);
    let accepted = 0;
    for (const [index, bytes] of files.entries()) {
      if (bytes.byteLength < 8) continue;
      const { tensors, flaws } = await readSafetensors(memorySource(bytes));
      if (flaws.length > 0) continue;
      accepted += 1;
      const ours = Object.fromEntries(tensors.map(({ name, type, shape }) => [name, [type, shape]]));
      assert.deepEqual(answers[index], ours, `file ${index}: ${Buffer.from(bytes).toString('base64')}`);
    }
    assert.ok(accepted > 20 && answers.includes(null), 'the mutations reach both sides');
  },
);

const attacks: readonly (readonly [name: string, bytes: Uint8Array, rule: string])[] = [
  ['length of 2^64-1', safetensors({}, 0, 2n ** 64n - 1n), 'STF-HEADER-LENGTH'],
  ['length just beyond the file', safetensors('{}', 0, 3n), 'STF-HEADER-LENGTH'],
  ['length above 100 MB', safetensors('{}', 0, 100_000_001n), 'STF-HEADER-LENGTH'],
  [
    'a shape whose product overflows 64 bits to the right size',
    safetensors({ a: tensor(0, 0, 'U8', [2 ** 32, 2 ** 32]) }),
    'STF-SIZE-MISMATCH',
  ],
  [
    'a huge dimension',
    safetensors(`{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}}`, 1),
    'STF-TENSOR-INVALID',
  ],
  ['negative offsets', safetensors({ a: tensor(-4, 0, 'U8', [4]) }), 'STF-TENSOR-INVALID'],
  [
    'an escaped duplicate',
    safetensors(
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
    ),
    'STF-DUPLICATE-KEY',
  ],
  ['a payload after the data', bytesOf(safetensors({ a: tensor(0, 4) }, 4), 'MZ payload'), 'STF-TRAILING'],
  ['a payload in a gap', safetensors({ a: tensor(0, 4), b: tensor(40, 44) }, 44), 'STF-GAP'],
  ['aliased tensors', safetensors({ a: tensor(0, 8), b: tensor(0, 8) }, 8), 'STF-OVERLAP'],
  ['a header that is an array', bytesOf(u64(2), '[]'), ''],
  ['a header with NaN', safetensors('{"__metadata__":NaN}'), 'STF-HEADER-SYNTAX'],
  ['a deep header', safetensors(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`), 'STF-HEADER-SYNTAX'],
  ['a header in broken UTF-8', bytesOf(u64(4), [0x7b, 0xff, 0xfe, 0x7d]), 'STF-HEADER-SYNTAX'],
];

for (const [name, bytes, rule] of attacks) {
  test(`attack: ${name}`, async () => {
    const { findings, verdict, completeness } = await scanBlob(memorySource(bytes));
    const ruleIds = findings.map(({ ruleId }) => ruleId);
    if (rule !== '') assert.ok(ruleIds.includes(rule), ruleIds.join());
    assert.notDeepEqual([verdict, completeness], ['clean', 'complete']);
  });
}

test('attack: a pickle that runs a command behind a safetensors length', async () => {
  const pickle = Buffer.from("cos\nsystem\n(S'id'\ntR.");
  const header = `{"a":${JSON.stringify(tensor(0, 1))}}`;
  const { verdict } = await scanBlob(memorySource(bytesOf(pickle, u64(header.length), header, [1])));
  assert.equal(verdict, 'malicious');
});

test('every beginning of a file is answered, none of them clean and complete', async () => {
  const whole = safetensors({ __metadata__: { format: 'pt' }, a: tensor(0, 16, 'F32', [2, 2]) }, 16);
  for (let length = 9; length < whole.byteLength; length += 1) {
    const { verdict, completeness } = await scanBlob(memorySource(whole.subarray(0, length)));
    assert.notDeepEqual([length, verdict, completeness], [length, 'clean', 'complete']);
  }
});
