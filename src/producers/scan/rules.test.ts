import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { memorySource } from '#artifact/formats/reading.ts';
import {
  bytesOf,
  gguf,
  ggufPair,
  ggufTensor,
  ggufText,
  safetensors,
  tensor,
  u32,
  u64,
} from '../../../test/support/model-bytes.ts';
import { faissHeader, flatFaiss, sqliteBytes } from '../../../test/support/store-bytes.ts';
import type { Judgement } from './finding.ts';
import { rules } from './rule-set.ts';
import { formatRules, type FormatRuleId } from './rules.ts';
import { scanArtifact } from './scan-artifact.ts';
import { scanBlob } from './scan-blob.ts';

type Sample = Uint8Array | string | Readonly<Record<string, string | Uint8Array>>;

/** For every rule: bytes (or an artifact of paths) that break it, and the nearest ones that do not. */
const samples: Readonly<Record<FormatRuleId, readonly [bad: Sample, good: Sample]>> = {
  'CFG-ATTENTION-KERNEL': [
    { 'config.json': '{"text":{"_attn_implementation_internal":"org/kernel"}}' },
    { 'config.json': '{"text":{"_attn_implementation_internal":"flash_attention_2"}}' },
  ],
  'CFG-ATTENTION-UNKNOWN': [
    { 'config.json': '{"_attn_implementation":"mine"}' },
    { 'config.json': '{"_attn_implementation":"sdpa"}' },
  ],
  'CFG-AUTO-MAP': [
    { 'tokenizer_config.json': '{"auto_map":{"AutoTokenizer":["tokenization_x.X",null]}}' },
    { 'vocab.json': '{"auto_map":5}', 'tokenizer_config.json': '{"auto_map":{"AutoTokenizer":[null,null]}}' },
  ],
  'CFG-AUTO-MAP-REMOTE': [
    { 'config.json': '{"auto_map":{"AutoModel":"org/repo--modeling.M"}}' },
    { 'config.json': '{"auto_map":{"AutoModel":"modeling.M"}}' },
  ],
  'CFG-BASE-ABSOLUTE': [
    { 'adapter_config.json': '{"base_model_name_or_path":"/home/me/model"}' },
    { 'adapter_config.json': '{"base_model_name_or_path":"org/model"}' },
  ],
  'CFG-BASE-TRAVERSAL': [
    { 'adapter_config.json': '{"base_model_name_or_path":"org/../../etc"}' },
    { 'adapter_config.json': '{"base_model_name_or_path":"org/model..v2"}' },
  ],
  'CFG-CUSTOM-PIPELINE': [
    { 'config.json': '{"custom_pipelines":{"x":{"impl":"pipe.P"}}}' },
    {
      'model_index.json':
        '{"_class_name":"StableDiffusionPipeline","unet":["diffusers","UNet2DConditionModel"]}',
    },
  ],
  'CFG-IMPORT': [
    { 'modules.json': '[{"idx":0,"name":"0","path":"","type":"custom_st.Transformer"}]' },
    { 'modules.json': '[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"}]' },
  ],
  'CFG-TRUST-REMOTE-CODE': [
    { 'generation_config.json': '{"a":[{"trust_remote_code":true}]}' },
    { 'generation_config.json': '{"a":[{"trust_remote_code":false}]}' },
  ],
  'CFG-UNREADABLE': [{ 'config.json': "{'a': 1}" }, { 'config.json': '{"a": NaN}' }],
  'CFG-YAML-TAG': [
    { 'config.yaml': 'a: !!python/object/apply:os.system ["id"]\n' },
    { 'config.yaml': 'a: !!str 1\nb: [{c: "!!python/name:os.system"}]\n' },
  ],
  'CODE-FILE': [{ 'modeling_x.py': 'x = 1' }, { 'notes.txt': 'x = 1' }],
  'CODE-REFERENCED': [
    { 'config.json': '{"auto_map":{"AutoModel":"modeling_x.M"}}', 'modeling_x.py': 'x = 1' },
    { 'config.json': '{}', 'modeling_x.py': 'x = 1' },
  ],
  'EXE-NATIVE': [bytesOf([0x7f], 'ELF', new Uint8Array(80)), bytesOf([0x7f], 'ELV', new Uint8Array(80))],
  'FMT-POLYGLOT': [polyglot(0x7b), polyglot(0x7c)],
  'GGUF-ALIGNMENT': [
    gguf({ tensors: [ggufTensor('a', [4], 8)], data: new Uint8Array(32) }),
    gguf({ pairs: [ggufPair('general.alignment', 4, u32(8))], tensors: [], data: new Uint8Array(0) }),
  ],
  'GGUF-COUNT': [gguf({ pairCount: 2n ** 64n - 1n }), gguf()],
  'GGUF-DUPLICATE-KEY': [
    gguf({ pairs: [ggufPair('a', 4, u32(1)), ggufPair('a', 4, u32(2))] }),
    gguf({ pairs: [ggufPair('a', 4, u32(1)), ggufPair('b', 4, u32(2))] }),
  ],
  'GGUF-DUPLICATE-TENSOR': [
    gguf({ tensors: [ggufTensor('a', [32], 0), ggufTensor('a', [32], 32)], data: new Uint8Array(64) }),
    gguf({ tensors: [ggufTensor('a', [32], 0), ggufTensor('b', [32], 32)], data: new Uint8Array(64) }),
  ],
  'GGUF-GAP': [
    gguf({ tensors: [ggufTensor('a', [32], 64)], data: new Uint8Array(96) }),
    gguf({ tensors: [ggufTensor('a', [32], 0)], data: new Uint8Array(32) }),
  ],
  'GGUF-KEY-INVALID': [
    gguf({ pairs: [ggufPair('a\u001b[2J', 4, u32(1))] }),
    gguf({ pairs: [ggufPair('a.b', 4, u32(1))] }),
  ],
  'GGUF-OVERLAP': [
    gguf({ tensors: [ggufTensor('a', [64], 0), ggufTensor('b', [32], 32)], data: new Uint8Array(64) }),
    gguf({ tensors: [ggufTensor('b', [32], 64), ggufTensor('a', [64], 0)], data: new Uint8Array(96) }),
  ],
  'GGUF-PADDING': [
    gguf({ tensors: [ggufTensor('a', [4], 0)], data: bytesOf([1, 2, 3, 4], 'payload', new Uint8Array(21)) }),
    gguf({ tensors: [ggufTensor('a', [4], 0)], data: bytesOf([1, 2, 3, 4], new Uint8Array(28)) }),
  ],
  'GGUF-TENSOR-INVALID': [
    gguf({ tensors: [ggufTensor('a', [1, 1, 1, 1, 1], 0)], data: new Uint8Array(32) }),
    gguf({ tensors: [ggufTensor('a', [1, 1, 1, 1], 0)], data: new Uint8Array(32) }),
  ],
  'GGUF-TRAILING': [
    gguf({ tensors: [ggufTensor('a', [32], 0)], data: new Uint8Array(40) }),
    gguf({ tensors: [ggufTensor('a', [30], 0)], data: new Uint8Array(30) }),
  ],
  'GGUF-TRUNCATED': [
    gguf({ tensors: [ggufTensor('a', [64], 0)], data: new Uint8Array(63) }),
    gguf({ tensors: [ggufTensor('a', [64], 0)], data: new Uint8Array(64) }),
  ],
  'GGUF-VALUE-INVALID': [
    gguf({ pairs: [ggufPair('a', 13, u32(1))] }),
    gguf({ pairs: [ggufPair('a', 9, bytesOf(u32(9), u64(1), u32(0), u64(2), [1, 2]))] }),
  ],
  'GGUF-VERSION': [gguf({ version: 4 }), gguf({ version: 2 })],
  'JSON-DUPLICATE-KEY': ['{"a":{"k":1,"\\u006b":2}}', '{"a":{"k":1},"k":2}'],
  'JSON-LONE-SURROGATE': ['["\\ud800"]', '["\\ud83e\\udd17"]'],
  'JSON-NOT-A-NUMBER': ['{"a":[-Infinity]}', '{"a":["-Infinity"]}'],
  'PATH-COLLISION': [
    { 'a/Config.json': '{}', 'a/config.json': '{}' },
    { 'a/config.json': '{}', 'b/config.json': '{}' },
  ],
  'PATH-DECEPTIVE': [{ 'model\u202Enosj.txt': 'x' }, { 'modèle.txt': 'x' }],
  'PATH-FORMAT-MISMATCH': [{ 'model.safetensors': gguf() }, { 'model.gguf': gguf() }],
  'PATH-LFS-POINTER': [
    {
      'model.safetensors': `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 12\n`,
    },
    { 'README.md': 'version https://git-lfs.github.com/spec/v1 is the first line of a pointer\n' },
  ],
  'SHARD-DOCUMENTATION': [
    { 'm.index.json': '{"weight_map":{"a":"LICENSE"}}', LICENSE: 'text' },
    { 'm.index.json': '{"weight_map":{"a":"m-1.safetensors"}}', LICENSE: 'text' },
  ],
  'SHARD-INVALID': [
    { 'model.safetensors.index.json': '{"weight_map":["a"]}' },
    { 'model.safetensors.index.json': '{"weight_map":{}}' },
  ],
  'SHARD-MISSING': [
    { 'm.index.json': '{"weight_map":{"a":"m-1.safetensors"}}' },
    { 'm.index.json': '{"weight_map":{"a":"m-1.safetensors"}}', 'm-1.safetensors': safetensors({}) },
  ],
  'SHARD-OUTSIDE': [
    { 'm.index.json': '{"weight_map":{"a":"../m-1.safetensors"}}' },
    { 'm.index.json': '{"weight_map":{"a":"shards/m-1.safetensors"}}' },
  ],
  'SQL-EXTENSION': [
    sqliteBytes("CREATE VIEW v AS SELECT load_extension('x')"),
    sqliteBytes('CREATE VIEW v AS SELECT 1 AS load_extension'),
  ],
  'SQL-HEADER': [changed(sqliteBytes('CREATE TABLE a (b)'), 21, 1), sqliteBytes('CREATE TABLE a (b)')],
  'SQL-SCHEMA': [changed(sqliteBytes('CREATE TABLE a (b)'), 100, 2), sqliteBytes('CREATE TABLE a (b)')],
  'SQL-SIZE': [
    bytesOf(sqliteBytes('CREATE TABLE a (b)'), new Uint8Array(4096)),
    sqliteBytes('CREATE TABLE a (b)'),
  ],
  'SQL-TRIGGER': [
    sqliteBytes('CREATE TABLE a (b)', 'CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END'),
    sqliteBytes('CREATE TABLE "trigger" (b)'),
  ],
  'STF-DUPLICATE-KEY': [
    safetensors(
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
      1,
    ),
    safetensors({ a: tensor(0, 1), A: tensor(1, 2) }, 2),
  ],
  'STF-GAP': [safetensors({ a: tensor(4, 8) }, 8), safetensors({ a: tensor(0, 8) }, 8)],
  'STF-HEADER-LENGTH': [safetensors({}, 0, 2n ** 64n - 1n), safetensors({})],
  'STF-HEADER-SYNTAX': [safetensors('{"a":'), safetensors('{}      ')],
  'STF-METADATA-INVALID': [
    safetensors({ __metadata__: { format: 1 } }),
    safetensors({ __metadata__: { format: 'pt' } }),
  ],
  'STF-OVERLAP': [
    safetensors({ a: tensor(0, 8), b: tensor(4, 12) }, 12),
    safetensors({ a: tensor(0, 8), empty: tensor(4, 4, 'U8', [0]), b: tensor(8, 12) }, 12),
  ],
  'STF-SIZE-MISMATCH': [
    safetensors({ a: tensor(0, 8, 'F32', [2 ** 31, 2 ** 31, 4]) }, 8),
    safetensors({ a: tensor(0, 8, 'F32', [2]) }, 8),
  ],
  'STF-TENSOR-INVALID': [
    safetensors({ a: { ...tensor(0, 8), hidden: 1 } }, 8),
    safetensors({ a: tensor(0, 8, 'F4', [16]) }, 8),
  ],
  'STF-TRAILING': [safetensors({ a: tensor(0, 8) }, 9), safetensors({ a: tensor(0, 9) }, 9)],
  'STF-TRUNCATED': [safetensors({ a: tensor(0, 9) }, 8), safetensors({ a: tensor(0, 8) }, 8)],
  'STORE-LANGCHAIN-PICKLE': [
    { 'store/index.faiss': flatFaiss(2, 1), 'store/index.pkl': bytesOf([0x80, 4], 'N.') },
    { 'store/index.faiss': flatFaiss(2, 1), 'index.pkl': bytesOf([0x80, 4], 'N.') },
  ],
  'TPL-ATTRIBUTE': [
    gguf({ pairs: [ggufPair('tokenizer.chat_template.tool', 8, ggufText('{{ x.__class__.__base__ }}'))] }),
    gguf({ pairs: [ggufPair('tokenizer.chat_template', 8, ggufText('x.__class__ {{ x.role }}'))] }),
  ],
  'TPL-COMPUTED-ATTRIBUTE': [
    { 'chat_template.jinja': '{{ x[a ~ b] }}' },
    { 'chat_template.jinja': "{{ messages[loop.index0 + 1]['content'].split('</think>')[-1] }}" },
  ],
  'TPL-INCLUDE': [
    '{"chat_template":"{% include \'/etc/passwd\' %}"}',
    '{"chat_template":"{% set include = 1 %}"}',
  ],
  'TPL-PRIVATE-ATTRIBUTE': [
    '{"chat_template":[{"name":"a","template":"{{ x._private }}"}]}',
    '{"chat_template":[{"name":"a","template":"{{ x.public_ }}"}]}',
  ],
  'TPL-UNREADABLE': ['{"chat_template":"{{ x "}', '{"chat_template":"{ x "}'],
  'VEC-COUNT': [flatFaiss(4, 3, 11), flatFaiss(4, 3, 12)],
  'VEC-ELSEWHERE': [invertedLists('ilod'), invertedLists('il00')],
  'VEC-STRUCTURE': [
    bytesOf(
      new Uint8Array(64),
      [0xff, 0xff],
      new Uint8Array(14),
      new Uint8Array(24),
      u32(0),
      u32(1),
      [2, 0, 2, 0],
      'LANC',
    ),
    bytesOf(new Uint8Array(16), u64(0), u64(0), u64(16), u32(0), u32(1), [2, 0, 2, 0], 'LANC'),
  ],
  'VEC-TRAILING': [bytesOf(flatFaiss(4, 3), 'x'), flatFaiss(4, 3)],
  'VEC-TRUNCATED': [faissHeader('IxF2', 4, 3), flatFaiss(4, 3)],
};

/** An executable and a safetensors file at once: the header length begins with the magic of ELF. */
function polyglot(opening: number): Uint8Array {
  return bytesOf([0x7f], 'ELF', [0, 0, 0, 0, opening], '}', new Uint8Array(80));
}

async function scan(sample: Sample): Promise<readonly Judgement[]> {
  if (typeof sample === 'string' || sample instanceof Uint8Array) {
    return [await scanBlob(memorySource(bytesOf(sample)))];
  }
  const blobs: Judgement[] = [];
  const files = [];
  for (const [path, content] of Object.entries(sample)) {
    const source = memorySource(bytesOf(content));
    const blob = await scanBlob(source);
    blobs.push(blob);
    files.push({ path, sizeBytes: source.sizeBytes, formats: blob.formats, source });
  }
  return [...blobs, await scanArtifact(files)];
}

const verdictOf = { critical: 'malicious', high: 'suspicious', medium: 'suspicious', low: 'clean' } as const;

for (const [ruleId, [bad, good]] of Object.entries(samples)) {
  test(`${ruleId} finds its sample and spares the nearest harmless one`, async () => {
    const judged = await scan(bad);
    const found = judged.flatMap((one) => one.findings).filter((finding) => finding.ruleId === ruleId);
    assert.ok(found.length > 0, JSON.stringify(judged));
    for (const one of judged) {
      const own = one.findings.find((finding) => finding.ruleId === ruleId);
      if (own === undefined) continue;
      const order = ['clean', 'suspicious', 'malicious'];
      assert.ok(order.indexOf(one.verdict) >= order.indexOf(verdictOf[own.severity]));
    }
    for (const { message, remedy } of found) {
      assert.match(message, /^[^\n]{5,}[^.\n]$/);
      assert.notEqual(remedy, '');
    }
    const spared = (await scan(good)).flatMap((one) => one.findings).map((finding) => finding.ruleId);
    assert.ok(!spared.includes(ruleId), spared.join());
  });
}

const hooks: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['custom_generate/generate.py', { 'custom_generate/generate.py': '', 'config.json': '{}' }],
  ['transformers.py', { 'modules.json': '[{"type":"transformers.Evil"}]', 'transformers.py': '' }],
  ['unet/diffusers.py', { 'model_index.json': '{"unet":["diffusers","Evil"]}', 'unet/diffusers.py': '' }],
  ['evil.py', { 'config.yaml': 'a:\n  - _target_: evil.run\n', 'evil.py': '' }],
];

for (const [path, files] of hooks) {
  test(`${path} is run by a loader that finds it there`, async () => {
    const referenced = async (sample: Readonly<Record<string, string>>): Promise<readonly unknown[]> =>
      (await scan(sample))
        .flatMap(({ findings }) => findings)
        .filter(({ ruleId }) => ruleId === 'CODE-REFERENCED')
        .map(({ location }) => location.path);
    assert.deepEqual(await referenced(files), [path]);
    const { [path]: code = '', ...others } = files;
    assert.deepEqual(await referenced({ ...others, 'other/unrelated.py': code }), []);
  });
}

test('YAML is read within bounds and without a throw', async () => {
  const [, artifact] = await scan({ 'a.yml': `a: &a [1]\nb: [*a, *a]\n` });
  assert.deepEqual([artifact?.verdict, artifact?.completeness], ['clean', 'complete']);
  for (const bad of ['a: [', '['.repeat(50_000), `a: "${'x'.repeat(1_100_000)}"`]) {
    const judged = (await scan({ 'a.yaml': bad })).at(-1);
    assert.equal(judged?.completeness, 'inconclusive', bad.slice(0, 20));
  }
});

test('every rule has a sample, the table is sorted and the reference lists exactly these rules', () => {
  assert.deepEqual(Object.keys(samples), Object.keys(formatRules));
  assert.deepEqual(Object.keys(formatRules), Object.keys(formatRules).sort());
  const page = readFileSync(new URL('../../../docs/reference/rules.md', import.meta.url), 'utf8');
  for (const [id, { severity, scope, title, remedy }] of Object.entries(rules)) {
    const row = `| <a id="${id}"></a>\`${id}\` | ${severity} | ${scope} | ${title} | ${remedy} |`;
    assert.ok(page.includes(row), `docs/reference/rules.md lacks ${row}`);
  }
  const listed = [...page.matchAll(/<a id="([A-Z0-9-]+)">/g)].map((match) => match[1]);
  assert.deepEqual(new Set(listed), new Set(Object.keys(rules)));
});

function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
}

/** An inverted file without vectors, whose lists are of this kind. */
function invertedLists(kind: string): Uint8Array {
  return bytesOf(faissHeader('IwFl', 4, 0), u64(1), u64(1), flatFaiss(4, 1), [0], u64(0), kind);
}
