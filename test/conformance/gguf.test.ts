import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ggmlTypes } from '#artifact/formats/gguf/gguf-types.ts';
import type { GgufFacts } from '#artifact/formats/gguf/gguf-facts.ts';
import { detectGguf, readGguf } from '#artifact/formats/gguf/read-gguf.ts';
import { memorySource } from '#artifact/formats/reading.ts';
import { scanBlob } from '#producers/scan/scan-blob.ts';
import { seeded } from '../fuzz/pickle-generator.ts';
import { bytesOf, gguf, ggufPair, ggufTensor, ggufText, u32, u64 } from '../support/model-bytes.ts';
import { askRealReader, missingPythonModels, mutate, writeRealModels } from '../support/python-models.ts';

const skip = missingPythonModels();

test(
  'what the real writer writes is clean and complete, its hostile template is found',
  { skip },
  async () => {
    const models = [...writeRealModels()].filter(([name]) => name.endsWith('.gguf'));
    assert.equal(models.length, 4);
    for (const [name, bytes] of models) {
      const { verdict, completeness } = await scanBlob(memorySource(bytes));
      assert.deepEqual(
        [verdict, completeness],
        [name === 'hostile.gguf' ? 'malicious' : 'clean', 'complete'],
        name,
      );
    }
  },
);

test('the table of tensor types is that of the reference package', { skip }, () => {
  const types: unknown = JSON.parse(writeRealModels().get('ggml-types.json')?.toString() ?? '');
  const ours = Object.fromEntries(
    [...ggmlTypes].map(([number, { name, blockElements, blockBytes }]) => [
      name,
      [number, blockElements, blockBytes],
    ]),
  );
  assert.deepEqual(ours, types);
});

test('what we call clean the real reader reads, with the same tensors and keys', { skip }, async (t) => {
  const seed = Number(process.env['WEIGHBRIDGE_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const pairs = [
    ggufPair('general.architecture', 8, ggufText('llama')),
    ggufPair('a.b', 9, bytesOf(u32(4), u64(2), u32(1), u32(2))),
  ];
  const small = [
    gguf({
      pairs,
      tensors: [ggufTensor('x', [32, 2], 0, 0), ggufTensor('y', [64], 256, 8)],
      data: new Uint8Array(352),
    }),
    gguf({ version: 2, pairs, tensors: [ggufTensor('x', [4, 3, 2, 1], 0, 1)], data: new Uint8Array(64) }),
  ];
  const real = [...writeRealModels()].filter(([name]) => /^(plain|aligned|big-endian)\.gguf$/.test(name));
  const files = [...real.map(([, bytes]) => bytes), ...small, ...mutate(small, 600, seeded(seed).below)];
  // The real reader has no bounds and fills the memory on false counts, so it is asked about the accepted ones only.
  const accepted: { readonly bytes: Uint8Array; readonly facts: GgufFacts }[] = [];
  for (const bytes of files) {
    if (!detectGguf(bytes)) continue;
    const facts = await readGguf(memorySource(bytes));
    if (facts.flaws.length === 0) accepted.push({ bytes, facts });
  }
  assert.ok(accepted.length > 5 && accepted.length < files.length, 'the mutations reach both sides');
  const answers = askRealReader(
    'gguf',
    accepted.map(({ bytes }) => bytes),
  );
  for (const [index, { bytes, facts }] of accepted.entries()) {
    const ours = {
      tensors: Object.fromEntries(
        facts.tensors.map(({ name, type, shape }) => [name, [type.name, shape.map(Number)]]),
      ),
      keys: [...facts.values.keys()],
    };
    assert.deepEqual(answers[index], ours, Buffer.from(bytes).toString('base64').slice(0, 1000));
  }
});

const huge = 2n ** 64n - 1n;
const attacks: readonly (readonly [name: string, bytes: Uint8Array, rule: string])[] = [
  ['2^64-1 pairs', gguf({ pairCount: huge }), 'GGUF-COUNT'],
  ['2^64-1 tensors', gguf({ tensorCount: huge }), 'GGUF-COUNT'],
  ['more tensors than fit', gguf({ tensorCount: 10n }), 'GGUF-COUNT'],
  ['a key of 2^64-1 bytes', gguf({ pairs: [bytesOf(u64(huge), u32(0))], pairCount: 1n }), 'GGUF-TRUNCATED'],
  ['a text of 2^63 bytes', gguf({ pairs: [ggufPair('a', 8, u64(2n ** 63n))] }), 'GGUF-TRUNCATED'],
  [
    'an array of 2^61 doubles',
    gguf({ pairs: [ggufPair('a', 9, bytesOf(u32(12), u64(2n ** 61n)))] }),
    'GGUF-COUNT',
  ],
  [
    'an array of 2^61 texts',
    gguf({ pairs: [ggufPair('a', 9, bytesOf(u32(8), u64(2n ** 61n)))] }),
    'GGUF-COUNT',
  ],
  [
    'an array of an unknown type',
    gguf({ pairs: [ggufPair('a', 9, bytesOf(u32(99), u64(0)))] }),
    'GGUF-VALUE-INVALID',
  ],
  [
    'arrays 100 deep',
    gguf({
      pairs: [
        ggufPair(
          'a',
          9,
          bytesOf(...Array.from({ length: 100 }, () => bytesOf(u32(9), u64(1))), u32(0), u64(0)),
        ),
      ],
    }),
    'GGUF-VALUE-INVALID',
  ],
  [
    'dimensions whose product overflows to 0',
    gguf({ tensors: [ggufTensor('a', [2n ** 32n, 2n ** 32n], 0, 0)] }),
    'GGUF-TRUNCATED',
  ],
  [
    '2^32-1 dimensions',
    gguf({ tensors: [bytesOf(ggufText('a'), u32(0xffffffff), u32(0), u64(0))] }),
    'GGUF-TENSOR-INVALID',
  ],
  [
    'an offset of 2^64-32',
    gguf({ tensors: [ggufTensor('a', [32], 2n ** 64n - 32n)], data: new Uint8Array(32) }),
    'GGUF-TRUNCATED',
  ],
  [
    'a withdrawn tensor type',
    gguf({ tensors: [ggufTensor('a', [32], 0, 4)], data: new Uint8Array(32) }),
    'GGUF-TENSOR-INVALID',
  ],
  [
    'rows that are no whole blocks',
    gguf({ tensors: [ggufTensor('a', [33], 0, 2)], data: new Uint8Array(64) }),
    'GGUF-TENSOR-INVALID',
  ],
  ['an alignment of 0', gguf({ pairs: [ggufPair('general.alignment', 4, u32(0))] }), 'GGUF-ALIGNMENT'],
  [
    'an alignment that is a text',
    gguf({ pairs: [ggufPair('general.alignment', 8, ggufText('32'))] }),
    'GGUF-ALIGNMENT',
  ],
  [
    'a second template under a name',
    gguf({ pairs: [ggufPair('tokenizer.chat_template.rag', 8, ggufText("{{ x|attr('__cl' ~ 'ass__') }}"))] }),
    'TPL-ATTRIBUTE',
  ],
  ['an executable behind the data', bytesOf(gguf(), '\u007fELF', new Uint8Array(60)), 'GGUF-TRAILING'],
];

for (const [name, bytes, rule] of attacks) {
  test(`attack: ${name}`, async () => {
    const { findings, verdict, completeness } = await scanBlob(memorySource(bytes));
    const ruleIds = findings.map(({ ruleId }) => ruleId);
    assert.ok(ruleIds.includes(rule), ruleIds.join());
    assert.notDeepEqual([verdict, completeness], ['clean', 'complete']);
  });
}

test('every beginning of a file is answered, none of them clean and complete', async () => {
  const pairs = [ggufPair('a', 9, bytesOf(u32(8), u64(2), ggufText('x'), ggufText('y')))];
  const whole = gguf({ pairs, tensors: [ggufTensor('t', [32], 0)], data: new Uint8Array(32) });
  for (let length = 4; length < whole.byteLength; length += 1) {
    const { verdict, completeness } = await scanBlob(memorySource(whole.subarray(0, length)));
    assert.notDeepEqual([length, verdict, completeness], [length, 'clean', 'complete']);
  }
});
