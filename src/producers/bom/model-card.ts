import { isScalar, parseDocument, visit, type Document } from 'yaml';
import { limits } from '#lib/limits.ts';

/** What the front matter of a model card says; texts as they stand there, at most 1 000 of each list. */
export interface ModelCard {
  readonly licences: readonly string[];
  readonly licenceName: string | undefined;
  readonly licenceLink: string | undefined;
  readonly baseModels: readonly string[];
  readonly baseModelRelation: string | undefined;
  readonly datasets: readonly string[];
  readonly languages: readonly string[];
  readonly tags: readonly string[];
  readonly task: string | undefined;
  readonly library: string | undefined;
}

export type CardOutcome =
  | { readonly kind: 'card'; readonly card: ModelCard }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreadable'; readonly reason: string };

const entriesKept = 1_000;
const textKept = 500;

/**
 * The YAML front matter of a README (between two lines of `---`), up to `limits.frontMatterBytes`, YAML 1.2 core
 * schema, no aliases, no duplicate keys, no custom tags. Wrong types count as not said; a broken block is `unreadable`.
 */
export function parseModelCard(readme: string): CardOutcome {
  const text = readme.startsWith('\ufeff') ? readme.slice(1) : readme;
  const opening = /^---[ \t]*\r?\n/.exec(text);
  if (opening === null) return { kind: 'absent' };
  const closing = /^---[ \t]*$/m;
  const rest = text.slice(opening[0].length);
  const end = closing.exec(rest.slice(0, limits.frontMatterBytes));
  if (end === null) return { kind: 'unreadable', reason: 'the front matter does not end or is too long' };
  try {
    const document = parseDocument(rest.slice(0, end.index), {
      schema: 'core',
      uniqueKeys: false,
      strict: true,
    });
    const [error] = document.errors;
    if (error !== undefined) return { kind: 'unreadable', reason: error.code };
    if (repeatsKey(document)) return { kind: 'unreadable', reason: 'DUPLICATE_KEY' };
    const value: unknown = document.toJS({ maxAliasCount: 0, mapAsMap: true });
    if (!(value instanceof Map)) return { kind: 'unreadable', reason: 'the front matter is not a map' };
    return { kind: 'card', card: cardOf(value) };
  } catch {
    return { kind: 'unreadable', reason: 'the front matter has aliases or is nested too deeply' };
  }
}

/** Does a map hold a plain key twice? Each map is looked at once; the parser's own check compares every two keys. */
function repeatsKey(document: Document): boolean {
  let repeated = false;
  visit(document, {
    Map: (_key, { items }) => {
      const keys = items.map(({ key }) => (isScalar(key) ? key.value : key));
      if (new Set(keys).size === keys.length) return undefined;
      repeated = true;
      return visit.BREAK;
    },
  });
  return repeated;
}

function cardOf(values: ReadonlyMap<unknown, unknown>): ModelCard {
  return {
    licences: texts(values.get('license')),
    licenceName: texts(values.get('license_name'))[0],
    licenceLink: texts(values.get('license_link'))[0],
    baseModels: texts(values.get('base_model')),
    baseModelRelation: texts(values.get('base_model_relation'))[0],
    datasets: texts(values.get('datasets')),
    languages: texts(values.get('language')),
    tags: texts(values.get('tags')),
    task: texts(values.get('pipeline_tag'))[0],
    library: texts(values.get('library_name'))[0],
  };
}

/** A text or a list of texts, in their order, without repetition. */
function texts(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  const found = list.filter((item): item is string => typeof item === 'string' && item.trim() !== '');
  return [...new Set(found.map((text) => text.trim().slice(0, textKept).toWellFormed()))].slice(
    0,
    entriesKept,
  );
}
