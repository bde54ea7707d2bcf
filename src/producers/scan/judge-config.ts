import {
  isJsonArray,
  isJsonObject,
  type JsonObject,
  type JsonValue,
} from '#artifact/formats/json/json-document.ts';
import type { Finding } from '#evidence/predicates.ts';
import { finding } from './finding.ts';
import { climbs, isAbsolute } from './judge-shards.ts';
import type { FormatRuleId } from './rules.ts';

/** A Python module of the artifact that a configuration names, without `.py`. */
export interface CodeReference {
  readonly module: string;
  /** The file that refers to it. */
  readonly from: string;
}

export interface ConfigJudgement {
  readonly findings: readonly Finding[];
  readonly references: readonly CodeReference[];
}

interface Visit {
  readonly path: string;
  readonly name: string;
  readonly findings: Finding[];
  readonly references: CodeReference[];
}

/** Libraries whose classes loaders take from themselves, so that naming one imports nothing new. */
const ownLibraries = [
  'sentence_transformers',
  'transformers',
  'diffusers',
  'peft',
  'onnxruntime',
  'flax',
  'torch.nn',
];

/** Attention implementations of transformers that are part of it; others name a kernel of a hub repository. */
const attention =
  /^(paged\|)?(eager|sdpa|flash_attention_[2-4]|flex_attention|sdpa_paged|eager_paged|flash_paged)$/;

/**
 * Which code would run because of one JSON configuration (`config.json`, `tokenizer_config.json`, adapters,
 * `modules.json`, `model_index.json` and every other `*config*.json`), at any depth. `path` is the file's.
 */
export function judgeConfig(path: string, root: JsonValue): ConfigJudgement {
  const name = (path.split('/').at(-1) ?? '').toLowerCase();
  const visit: Visit = { path, name, findings: [], references: [] };
  const stack: { readonly value: JsonValue; readonly pointer: string }[] = [{ value: root, pointer: '' }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value, pointer } = next;
    if (isJsonArray(value)) {
      for (const [index, item] of value.entries())
        stack.push({ value: item, pointer: `${pointer}/${index}` });
    } else if (isJsonObject(value)) {
      for (const [key, item] of value) {
        const at = `${pointer}/${key.slice(0, 200).replaceAll('~', '~0').replaceAll('/', '~1')}`;
        judgeMember(visit, { key, item, pointer: at });
        stack.push({ value: item, pointer: at });
      }
    }
  }
  if (name === 'modules.json') judgeModules(visit, root);
  if (name === 'model_index.json' && isJsonObject(root)) judgePipeline(visit, root);
  return { findings: visit.findings, references: visit.references };
}

interface Member {
  readonly key: string;
  readonly item: JsonValue;
  readonly pointer: string;
}

function add(visit: Visit, ruleId: FormatRuleId, message: string, pointer: string): void {
  visit.findings.push(finding(ruleId, message, { path: visit.path, pointer }));
}

function judgeMember(visit: Visit, { key, item, pointer }: Member): void {
  switch (key) {
    case 'auto_map':
      return judgeAutoMap(visit, item, pointer);
    case 'trust_remote_code':
      if (item !== false && item !== null && item !== 0) {
        add(visit, 'CFG-TRUST-REMOTE-CODE', '`trust_remote_code` is switched on', pointer);
      }
      return;
    case 'custom_pipelines':
      return judgePipelines(visit, item, pointer);
    case '_attn_implementation_internal':
    case '_attn_implementation':
    case 'attn_implementation':
    case '_experts_implementation_internal':
      return judgeAttention(visit, { key, item, pointer });
    case 'base_model_name_or_path':
      return judgeBase(visit, item, pointer);
    case 'auto_mapping':
      return judgeAutoMapping(visit, item, pointer);
    case 'megatron_core':
      return judgeImport(visit, item, { pointer, allowed: ['megatron.core'] });
    case '_target_':
    case 'custom_generate':
      return judgeImport(visit, item, { pointer, allowed: [] });
    default:
  }
}

/** `module.Class` or `org/repo--module.Class`, alone, in a list or in a map of them. */
function judgeAutoMap(visit: Visit, item: JsonValue, pointer: string): void {
  for (const text of textsOf(item)) {
    const [repository, local] = text.includes('--')
      ? [text.split('--')[0], text.split('--')[1]]
      : [undefined, text];
    const shown = `\`${text.slice(0, 200)}\``;
    if (repository !== undefined) {
      add(
        visit,
        'CFG-AUTO-MAP-REMOTE',
        `would import ${shown} from the repository \`${repository.slice(0, 200)}\``,
        pointer,
      );
      continue;
    }
    add(visit, 'CFG-AUTO-MAP', `would import ${shown} from this artifact`, pointer);
    refer(visit, local ?? '');
  }
}

/** `package.module.Class` refers to `package/module.py`. */
function refer(visit: Visit, dotted: string): void {
  const module = dotted.split('.').slice(0, -1).join('.');
  if (module !== '') visit.references.push({ module, from: visit.path });
}

function judgePipelines(visit: Visit, item: JsonValue, pointer: string): void {
  if (!isJsonObject(item)) return;
  for (const [task, entry] of item) {
    const shown = isJsonObject(entry) ? textsOf(entry.get('impl') ?? null) : textsOf(entry);
    add(
      visit,
      'CFG-CUSTOM-PIPELINE',
      `the task \`${task.slice(0, 100)}\` runs \`${(shown[0] ?? '').slice(0, 200)}\``,
      pointer,
    );
    for (const text of shown) refer(visit, text.split('--').at(-1) ?? '');
  }
}

function judgeAttention(visit: Visit, { key, item, pointer }: Member): void {
  for (const text of textsOf(item)) {
    if (attention.test(text)) continue;
    const shown = `\`${text.slice(0, 200)}\``;
    if (/[/:@]/.test(text)) {
      add(visit, 'CFG-ATTENTION-KERNEL', `\`${key}\` would load code from the repository ${shown}`, pointer);
    } else add(visit, 'CFG-ATTENTION-UNKNOWN', `\`${key}\` is ${shown}`, pointer);
  }
}

function judgeBase(visit: Visit, item: JsonValue, pointer: string): void {
  for (const text of textsOf(item)) {
    const shown = `the base model is \`${text.slice(0, 200)}\``;
    if (climbs(text) || /^[a-z][a-z0-9+.-]*:\/\//i.test(text))
      add(visit, 'CFG-BASE-TRAVERSAL', shown, pointer);
    else if (isAbsolute(text)) add(visit, 'CFG-BASE-ABSOLUTE', shown, pointer);
  }
}

/** PEFT imports `parent_library` and takes `base_model_class` from it. */
function judgeAutoMapping(visit: Visit, item: JsonValue, pointer: string): void {
  const library = isJsonObject(item) ? item.get('parent_library') : undefined;
  if (library === undefined || library === null) return;
  judgeImport(visit, library, { pointer: `${pointer}/parent_library`, allowed: ownLibraries });
}

function judgeImport(
  visit: Visit,
  item: JsonValue,
  { pointer, allowed }: { readonly pointer: string; readonly allowed: readonly string[] },
): void {
  for (const text of textsOf(item)) {
    // A file of the artifact by the name of a library is found before the library.
    visit.references.push({ module: text, from: visit.path });
    refer(visit, text);
    if (allowed.some((library) => text === library || text.startsWith(`${library}.`))) continue;
    add(visit, 'CFG-IMPORT', `would import \`${text.slice(0, 200)}\``, pointer);
  }
}

/** Sentence Transformers: a list of modules, `type` is the class that is imported. */
function judgeModules(visit: Visit, root: JsonValue): void {
  if (!isJsonArray(root)) return;
  for (const [index, entry] of root.entries()) {
    const type = isJsonObject(entry) ? entry.get('type') : undefined;
    if (type !== undefined) judgeImport(visit, type, { pointer: `/${index}/type`, allowed: ownLibraries });
  }
}

/** Diffusers: `_class_name` may be `[module, class]`, every component is `[library, class]`. */
function judgePipeline(visit: Visit, root: JsonObject): void {
  for (const [key, entry] of root) {
    const [library, type] = isJsonArray(entry) ? entry : [];
    if (typeof library !== 'string' || (type !== undefined && typeof type !== 'string')) continue;
    if (key === '_class_name') {
      add(visit, 'CFG-CUSTOM-PIPELINE', `the pipeline is \`${library.slice(0, 200)}\``, `/${key}`);
      visit.references.push({ module: library, from: visit.path });
      continue;
    }
    if (type === undefined) continue;
    visit.references.push({ module: library, from: visit.path });
    if (!(isPipelineFolder(library) || ownLibraries.includes(library))) {
      judgeImport(visit, library, { pointer: `/${key}/0`, allowed: ownLibraries });
    }
  }
}

/** Modules of diffusers' own pipelines, by which a safety checker or a vocoder is named. */
function isPipelineFolder(library: string): boolean {
  return /^(stable_diffusion(_safe|_xl|_3)?|audioldm2?|kandinsky|unidiffuser|paint_by_example|deepfloyd_if|wuerstchen|shap_e|latent_diffusion)$/.test(
    library,
  );
}

/** Every text in a value of texts, lists of texts and maps of them; `null` gives none. */
function textsOf(value: JsonValue): readonly string[] {
  if (typeof value === 'string') return [value];
  if (isJsonArray(value)) return value.flatMap(textsOf);
  if (isJsonObject(value)) return [...value.values()].flatMap(textsOf);
  return [];
}
