import { createHash } from 'node:crypto';
import { hexOf, type Digest } from '#artifact/digest.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { compareCodePoints } from '#lib/path-name.ts';
import type { FileFacts, Property } from './file-facts.ts';
import { spdxIdOf } from './licences.ts';
import type { ModelCard } from './model-card.ts';
import { huggingFacePurl, isRepositoryId } from './package-url.ts';

/** One file of the artifact with what was read from it. */
export interface BomFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly digest: Digest;
  /** True where the bytes are here and were hashed; otherwise the digest is what upstream declares. */
  readonly measured: boolean;
  readonly facts: FileFacts | undefined;
}

export interface BomSource {
  readonly uri: string;
  readonly repositoryType: 'models' | 'datasets' | 'spaces';
  readonly repository: string;
  readonly commit: string;
}

type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json };
export type Bom = { readonly [key: string]: Json };

const modelRef = 'model';

/**
 * An AI-BOM as CycloneDX 1.6 JSON, from measured facts only: the model with its purl, manifest digest, licences,
 * ancestors and model card; every file with its SHA-256 and whether that was measured or declared; every data set the
 * card names. The same input gives the same bytes: no timestamp, and the serial number is made from the content.
 */
export function buildBom(artifact: Digest, files: readonly BomFile[], source: BomSource): Bom {
  const sorted = [...files].sort((a, b) => compareCodePoints(a.path, b.path));
  const card = cardOf(sorted);
  const datasets = (card?.datasets ?? []).map(datasetComponent);
  const body: Bom = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      tools: { components: [{ type: 'application', name: 'weighbridge' }] },
      component: modelComponent(artifact, { files: sorted, source, card }),
    },
    components: [...sorted.map(fileComponent), ...datasets],
    dependencies: [{ ref: modelRef, dependsOn: datasets.map((dataset) => dataset['bom-ref']) }],
    compositions: [{ aggregate: 'complete', assemblies: [modelRef] }],
  };
  return { ...body, serialNumber: `urn:uuid:${uuidOf(body)}` };
}

/** UUID version 8 (RFC 9562 §5.8) of the SHA-256 over the canonical document without its serial number. */
function uuidOf(body: Bom): string {
  const bytes = createHash('sha256').update(encodeJcs(body)).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The card of the repository: README.md at its top. */
function cardOf(files: readonly BomFile[]): ModelCard | undefined {
  const outcome = files.find(({ path }) => path === 'README.md')?.facts?.card;
  return outcome?.kind === 'card' ? outcome.card : undefined;
}

interface ModelInput {
  readonly files: readonly BomFile[];
  readonly source: BomSource;
  readonly card: ModelCard | undefined;
}

function modelComponent(artifact: Digest, { files, source, card }: ModelInput): Bom {
  const [group, name] = splitRepository(source.repository);
  const licences = card === undefined ? [] : licencesOf(card);
  const ancestors = ancestorsOf(files, card);
  const properties = modelProperties(files, card);
  const kind = source.repositoryType === 'models' ? {} : { type: qualifierOf(source.repositoryType) };
  return {
    type: source.repositoryType === 'models' ? 'machine-learning-model' : 'data',
    'bom-ref': modelRef,
    ...(group === undefined ? {} : { group }),
    name,
    version: source.commit,
    ...(source.uri.startsWith('hf://')
      ? { purl: huggingFacePurl(source.repository, { commit: source.commit, ...kind }) }
      : {}),
    hashes: [{ alg: 'SHA-256', content: hexOf(artifact) }],
    ...(licences.length === 0 ? {} : { licenses: licences }),
    ...(card === undefined || card.tags.length === 0 ? {} : { tags: card.tags }),
    ...(ancestors.length === 0 ? {} : { pedigree: { ancestors } }),
    ...(source.repositoryType === 'models' ? { modelCard: modelCardOf(files, card) } : {}),
    ...(properties.length === 0 ? {} : { properties: toProperties(properties) }),
  };
}

function qualifierOf(type: 'datasets' | 'spaces'): 'dataset' | 'space' {
  return type === 'datasets' ? 'dataset' : 'space';
}

function splitRepository(repository: string): readonly [string | undefined, string] {
  const at = repository.indexOf('/');
  return at < 0 ? [undefined, repository] : [repository.slice(0, at), repository.slice(at + 1)];
}

function licencesOf(card: ModelCard): readonly Bom[] {
  return card.licences.map((licence) => {
    const id = spdxIdOf(licence);
    if (id !== undefined) return { license: { id } };
    const other = licence.toLowerCase() === 'other' ? card.licenceName : undefined;
    const url =
      card.licenceLink !== undefined && URL.canParse(card.licenceLink)
        ? new URL(card.licenceLink)
        : undefined;
    return {
      license: {
        name: other ?? licence,
        ...(url?.protocol === 'https:' || url?.protocol === 'http:' ? { url: url.href } : {}),
      },
    };
  });
}

function ancestorsOf(files: readonly BomFile[], card: ModelCard | undefined): readonly Bom[] {
  const adapter = files.flatMap(({ facts }) => (facts?.baseModel === undefined ? [] : [facts.baseModel]));
  const names = [...new Set([...(card?.baseModels ?? []), ...adapter])];
  const relation = card?.baseModelRelation;
  return names.map((repository) => {
    const known = isRepositoryId(repository);
    const [group, name] = known ? splitRepository(repository) : [undefined, repository];
    return {
      type: 'machine-learning-model',
      ...(group === undefined ? {} : { group }),
      name,
      ...(known ? { purl: huggingFacePurl(repository) } : {}),
      ...(relation === undefined
        ? {}
        : { properties: toProperties([['weighbridge:base-model:relation', relation]]) }),
    };
  });
}

function modelCardOf(files: readonly BomFile[], card: ModelCard | undefined): Bom {
  const top = files.find(({ path }) => path === 'config.json')?.facts;
  const family =
    top?.modelType ?? files.find(({ facts }) => facts?.modelType !== undefined)?.facts?.modelType;
  const architecture = top?.architectures.join(', ') ?? '';
  const datasets = (card?.datasets ?? []).map((name) => ({ ref: datasetRef(name) }));
  return {
    'bom-ref': 'model-card',
    modelParameters: {
      ...(card?.task === undefined ? {} : { task: card.task }),
      ...(family === undefined ? {} : { architectureFamily: family }),
      ...(architecture === '' ? {} : { modelArchitecture: architecture }),
      ...(datasets.length === 0 ? {} : { datasets }),
    },
  };
}

function datasetRef(name: string): string {
  return `dataset:${name}`;
}

function datasetComponent(dataset: string): Bom & { readonly 'bom-ref': string } {
  const known = isRepositoryId(dataset);
  const [group, name] = known ? splitRepository(dataset) : [undefined, dataset];
  return {
    type: 'data',
    'bom-ref': datasetRef(dataset),
    ...(group === undefined ? {} : { group }),
    name,
    ...(known ? { purl: huggingFacePurl(dataset, { type: 'dataset' }) } : {}),
    data: [{ type: 'dataset', name: dataset }],
  };
}

function modelProperties(files: readonly BomFile[], card: ModelCard | undefined): readonly Property[] {
  const properties: Property[] = [];
  const count = parameterCount(files);
  if (count !== undefined) properties.push(['cdx:ai-ml:model:parameter:count', String(count)]);
  for (const { path, facts } of files) {
    if (!path.includes('/') && facts !== undefined && facts.tensors === undefined)
      properties.push(...facts.properties.filter(([name]) => !isStoreProperty(name)));
  }
  const store = files.flatMap(({ facts }) => facts?.properties ?? []).find(([name]) => isStoreProperty(name));
  if (store !== undefined) properties.push(store);
  const weights = files.filter(({ facts }) => facts?.tensors !== undefined && facts.properties.length > 0);
  if (weights.length === 1) properties.push(...(weights[0]?.facts?.properties ?? []));
  if (card !== undefined && card.languages.length > 0) {
    properties.push(['cdx:ai-ml:model:languages', card.languages.join(', ')]);
  }
  if (card?.library !== undefined) properties.push(['weighbridge:card:library', card.library]);
  const readme = files.find(({ path }) => path === 'README.md')?.facts?.card;
  if (readme?.kind === 'unreadable') properties.push(['weighbridge:card:unreadable', readme.reason]);
  const seen = new Set<string>();
  return properties.filter(([name]) => !seen.has(name) && seen.add(name) !== undefined);
}

/**
 * Parameters of the model: the sum over one complete set of weights, the first of safetensors, PyTorch and GGUF of
 * which every file was measured. Several GGUF files are other encodings of the same model, so only a single one counts.
 */
function parameterCount(files: readonly BomFile[]): number | undefined {
  for (const [format, pattern] of weightSets) {
    const set = files.filter(({ path }) => !path.includes('/') && pattern.test(path));
    const counts = set.map(({ facts }) =>
      facts?.formats.some((one) => one.startsWith(format)) ? facts.tensors?.parameters : undefined,
    );
    if (counts.length === 0 || (format === 'gguf' && counts.length > 1)) continue;
    if (counts.every((count) => count !== undefined)) return counts.reduce((sum, count) => sum + count, 0);
  }
  return undefined;
}

const weightSets: readonly (readonly [string, RegExp])[] = [
  ['safetensors', /\.safetensors$/],
  ['pytorch', /\.(bin|pt|pth)$/],
  ['gguf', /\.gguf$/],
];

function fileComponent({ path, sizeBytes, digest, measured, facts }: BomFile): Bom {
  const properties: Property[] = [
    ['weighbridge:digest', measured ? 'measured' : 'declared'],
    ['weighbridge:size', String(sizeBytes)],
  ];
  if (facts !== undefined) {
    for (const format of facts.formats) properties.push(['weighbridge:format', format]);
    if (facts.tensors !== undefined) {
      properties.push(['weighbridge:tensors', String(facts.tensors.count)]);
      const { parameters } = facts.tensors;
      if (parameters !== undefined) properties.push(['cdx:ai-ml:model:parameter:count', String(parameters)]);
      for (const [type, elements] of facts.tensors.elementsByType) {
        properties.push([`weighbridge:tensors:${type}`, String(elements)]);
      }
      properties.push(...facts.properties);
      if (facts.modelType !== undefined) properties.push(['weighbridge:architecture', facts.modelType]);
    } else properties.push(...facts.properties.filter(([name]) => isStoreProperty(name)));
  }
  return {
    type: 'file',
    'bom-ref': `file:${path}`,
    name: path,
    hashes: [{ alg: 'SHA-256', content: hexOf(digest) }],
    properties: toProperties(properties),
  };
}

/** Of a file that is an embedding store; the model's own list says only that there is one. */
function isStoreProperty(name: string): boolean {
  return name.startsWith('weighbridge:embedding-store');
}

function toProperties(properties: readonly Property[]): readonly Bom[] {
  return properties.map(([name, value]) => ({ name, value }));
}
