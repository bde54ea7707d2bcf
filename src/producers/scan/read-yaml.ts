import { isAlias, isScalar, parseAllDocuments, visit, type Document } from 'yaml';
import type { ByteSource } from '#artifact/blob-store.ts';
import type { JsonValue } from '#artifact/formats/json/json-document.ts';
import { decodeUtf8 } from '#artifact/formats/json/read-json.ts';
import { limits } from '#lib/limits.ts';

export type YamlOutcome =
  | { readonly kind: 'value'; readonly values: readonly JsonValue[]; readonly tags: readonly string[] }
  | { readonly kind: 'unread'; readonly reason: string };

/** Tags of the core schema and of its extensions that only name plain data. */
const plainTag =
  /^(?:tag:yaml\.org,2002:(?:null|bool|int|float|str|seq|map|set|omap|pairs|binary|timestamp|merge)|!|\?)$/;

/**
 * The documents of a YAML file up to `limits.yamlBytes`, as values of JSON, and every tag that is not of plain data.
 * An alias stands as `null`: what it repeats is read at its anchor. Never throws for content.
 */
export async function readYaml(source: ByteSource): Promise<YamlOutcome> {
  if (source.sizeBytes > limits.yamlBytes) {
    return { kind: 'unread', reason: `YAML larger than ${limits.yamlBytes} bytes` };
  }
  const text = decodeUtf8(await source.read(0, source.sizeBytes));
  if (text === undefined) return { kind: 'unread', reason: 'not text in UTF-8' };
  try {
    const documents: readonly Document[] = parseAllDocuments(text, { logLevel: 'silent', uniqueKeys: false });
    const tags = documents.flatMap(tagsOf);
    const error = documents.flatMap(({ errors }) => errors)[0];
    if (error !== undefined && tags.length === 0) return { kind: 'unread', reason: error.code };
    return { kind: 'value', values: documents.map(valueOf), tags };
  } catch {
    return { kind: 'unread', reason: 'YAML that is nested too deeply or broken' };
  }
}

function tagsOf(document: Document): readonly string[] {
  const tags = new Set<string>();
  visit(document, {
    Node: (_key, node) => {
      if (!isAlias(node) && node.tag !== undefined && !plainTag.test(node.tag)) tags.add(node.tag);
    },
  });
  return [...tags].slice(0, 100);
}

function valueOf(document: Document): JsonValue {
  visit(document, { Alias: () => document.createNode(null) });
  const value: unknown = document.toJS({ mapAsMap: true, maxAliasCount: 0 });
  return plain(value);
}

function plain(value: unknown): JsonValue {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) {
    return new Map(
      [...value].map(([key, item]) => [isScalar(key) ? String(key.value) : String(key), plain(item)]),
    );
  }
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value;
  return typeof value === 'bigint' ? value : null;
}
