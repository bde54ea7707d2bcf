import type { ByteSource } from '#artifact/blob-store.ts';
import { readFormats, type Reading } from '#artifact/formats/formats.ts';
import { fileTypes } from '#artifact/formats/gguf/gguf-types.ts';
import type { GgufFacts } from '#artifact/formats/gguf/gguf-facts.ts';
import { isJsonArray, isJsonObject, member, type JsonValue } from '#artifact/formats/json/json-document.ts';
import { decodeUtf8, readJson } from '#artifact/formats/json/read-json.ts';
import type { PyTorchReading } from '#artifact/formats/pytorch/reading.ts';
import { summarizeTensors, type TensorSummary } from '#artifact/formats/reading.ts';
import { limits } from '#lib/limits.ts';
import { parseModelCard, type CardOutcome } from './model-card.ts';

/** A measured or declared fact for a property list: official `cdx:ai-ml:*` names where there is one. */
export type Property = readonly [name: string, value: string];

/** What one file says about the model. Only texts and numbers, so that it travels between threads. */
export interface FileFacts {
  readonly formats: readonly string[];
  readonly tensors: TensorSummary | undefined;
  readonly properties: readonly Property[];
  readonly architectures: readonly string[];
  readonly modelType: string | undefined;
  readonly card: CardOutcome | undefined;
  readonly baseModel: string | undefined;
}

const nothing: FileFacts = {
  formats: [],
  tensors: undefined,
  properties: [],
  architectures: [],
  modelType: undefined,
  card: undefined,
  baseModel: undefined,
};

/** What a file is asked for; by path, because a configuration is one only where loaders look for it. */
export type FactsRole = 'weights' | 'config' | 'adapter' | 'tokenizer' | 'card';

export async function readFileFacts(role: FactsRole, source: ByteSource): Promise<FileFacts> {
  if (role === 'weights') return weightFacts(await readFormats(source, weightFormats));
  if (role === 'card') {
    const text = decodeUtf8(await source.read(0, limits.frontMatterBytes * 2));
    return text === undefined ? nothing : { ...nothing, card: parseModelCard(text) };
  }
  const value = (await readJson(source))?.value;
  if (role === 'config') return configFacts(value);
  if (role === 'adapter') return adapterFacts(value);
  return { ...nothing, properties: pick(value, tokenizerKeys) };
}

const weightFormats = [
  'gguf',
  'safetensors',
  'faiss',
  'hnswlib',
  'lance',
  'sqlite',
  'pytorch-zip',
  'pytorch-legacy',
] as const;

function weightFacts(readings: readonly Reading[]): FileFacts {
  const facts: FileFacts = { ...nothing, formats: readings.map(({ format }) => format) };
  for (const reading of readings) {
    if (reading.format === 'safetensors') {
      return { ...facts, tensors: summarizeTensors(reading.facts.tensors) };
    }
    if (reading.format === 'pytorch-zip' || reading.format === 'pytorch-legacy') {
      return { ...facts, tensors: storageSummary(reading.facts.pytorch) };
    }
    const store = storeProperties(reading);
    if (store !== undefined) return { ...facts, properties: store };
    if (reading.format === 'gguf') return { ...facts, ...ggufFacts(reading.facts) };
  }
  return facts;
}

/** What an embedding store is and holds; a database counts only where its tables are those of a store. */
function storeProperties(reading: Reading): readonly Property[] | undefined {
  if (reading.format === 'sqlite') {
    return reading.facts.kind === 'chroma' ? [['weighbridge:embedding-store', 'chroma']] : undefined;
  }
  if (reading.format !== 'faiss' && reading.format !== 'hnswlib' && reading.format !== 'lance')
    return undefined;
  const { kind, vectors, dimensions } = reading.facts;
  const properties: Property[] = [
    ['weighbridge:embedding-store', reading.format],
    ['weighbridge:embedding-store:kind', kind],
  ];
  if (vectors !== undefined) properties.push(['weighbridge:embedding-store:vectors', String(vectors)]);
  if (dimensions !== undefined)
    properties.push(['weighbridge:embedding-store:dimensions', String(dimensions)]);
  return properties;
}

/** Storages, not tensors: several tensors may be views of one storage, which is counted once. */
function storageSummary({ storages }: PyTorchReading): TensorSummary {
  return summarizeTensors(
    storages.map(({ type, elements }) => ({ type, elements: BigInt(Math.max(0, Math.trunc(elements))) })),
  );
}

function ggufFacts({ values, tensors }: GgufFacts): Partial<FileFacts> {
  const architecture = values.get('general.architecture');
  const prefix = typeof architecture === 'string' ? architecture : '';
  const fileType = values.get('general.file_type');
  const properties: Property[] = [];
  const add = (name: string, value: unknown): void => {
    if (typeof value === 'number' || typeof value === 'bigint') properties.push([name, String(value)]);
    else if (typeof value === 'string') properties.push([name, value.slice(0, 500).toWellFormed()]);
  };
  add(
    `${hyper}quantization`,
    typeof fileType === 'number' ? (fileTypes.get(fileType) ?? `type ${fileType}`) : undefined,
  );
  add(`${hyper}context_length`, values.get(`${prefix}.context_length`));
  add(`${hyper}hidden_size`, values.get(`${prefix}.embedding_length`));
  add(`${hyper}num_hidden_layers`, values.get(`${prefix}.block_count`));
  add(`${hyper}intermediate_size`, values.get(`${prefix}.feed_forward_length`));
  add(`${hyper}num_attention_heads`, values.get(`${prefix}.attention.head_count`));
  add(`${hyper}num_key_value_heads`, values.get(`${prefix}.attention.head_count_kv`));
  return {
    tensors: summarizeTensors(tensors.map(({ type, elements }) => ({ type: type.name, elements }))),
    properties,
    modelType: prefix === '' ? undefined : prefix.slice(0, 200).toWellFormed(),
  };
}

const hyper = 'cdx:ai-ml:model:hyperparameter:';

/** Keys of `config.json` (several spellings of one thing, the first that is there counts) and their official names. */
const configKeys: readonly (readonly [string, readonly string[]])[] = [
  [`${hyper}activation_dropout`, ['activation_dropout']],
  [`${hyper}hidden_act`, ['hidden_act', 'activation_function', 'hidden_activation']],
  [`${hyper}hidden_size`, ['hidden_size', 'd_model', 'n_embd', 'dim']],
  [`${hyper}intermediate_size`, ['intermediate_size', 'n_inner', 'ffn_dim', 'd_ff']],
  [`${hyper}layer_norm_epsilon`, ['layer_norm_eps', 'layer_norm_epsilon', 'rms_norm_eps']],
  [`${hyper}max_position_embeddings`, ['max_position_embeddings', 'n_positions']],
  [`${hyper}num_attention_heads`, ['num_attention_heads', 'n_head', 'n_heads']],
  [`${hyper}num_hidden_layers`, ['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers']],
  [`${hyper}num_key_value_heads`, ['num_key_value_heads']],
  [`${hyper}vocab_size`, ['vocab_size']],
];

const tokenizerKeys: readonly (readonly [string, readonly string[]])[] = [
  ['cdx:ai-ml:tokenizer:hyperparameter:padding_side', ['padding_side']],
  ['cdx:ai-ml:tokenizer:hyperparameter:tokenizer_class', ['tokenizer_class']],
];

function configFacts(value: JsonValue | undefined): FileFacts {
  const architectures = member(value, 'architectures');
  const modelType = member(value, 'model_type');
  const quantization = member(value, 'quantization_config');
  const method = member(quantization, 'quant_method');
  const bits = member(quantization, 'bits') ?? member(quantization, 'nbits');
  const properties = [...pick(value, configKeys)];
  if (isJsonObject(quantization)) {
    const words = [method, typeof bits === 'number' ? `${bits}-bit` : undefined].filter(
      (word): word is string => typeof word === 'string',
    );
    properties.push([`${hyper}quantization`, (words.join(' ') || 'unknown').slice(0, 200)]);
  }
  return {
    ...nothing,
    properties,
    architectures: isJsonArray(architectures)
      ? architectures
          .filter((name) => typeof name === 'string')
          .slice(0, 20)
          .map(short)
      : [],
    modelType: typeof modelType === 'string' ? short(modelType) : undefined,
  };
}

function adapterFacts(value: JsonValue | undefined): FileFacts {
  const base = member(value, 'base_model_name_or_path');
  const type = member(value, 'peft_type');
  const properties: Property[] = [];
  if (typeof type === 'string') {
    const official = type.toLowerCase() === 'lora' ? 'lora' : 'adapter';
    properties.push(['cdx:ai-ml:model:parameter:tune_methods', official]);
    properties.push(['weighbridge:adapter:type', short(type)]);
  }
  for (const key of ['r', 'lora_alpha']) {
    const number = member(value, key);
    if (typeof number === 'number') properties.push([`weighbridge:adapter:${key}`, String(number)]);
  }
  return { ...nothing, properties, baseModel: typeof base === 'string' ? short(base) : undefined };
}

function pick(
  value: JsonValue | undefined,
  keys: readonly (readonly [string, readonly string[]])[],
): readonly Property[] {
  return keys.flatMap(([name, spellings]): readonly Property[] => {
    const found = spellings
      .map((key) => member(value, key))
      .find((item) => item !== undefined && item !== null);
    if (typeof found === 'string') return [[name, short(found)]];
    return typeof found === 'number' || typeof found === 'boolean' ? [[name, String(found)]] : [];
  });
}

function short(text: string): string {
  return text.slice(0, 500).toWellFormed();
}
