import { parseDocument } from 'yaml';

/**
 * One document of the YAML 1.2 core schema (yaml.org/spec/1.2.2 §10.3) without tags, aliases, merge keys or a key twice: what
 * two readers could understand differently is refused. Throws an Error whose message is one line about the first problem.
 * The caller bounds the text.
 */
export function parseStrictYaml(text: string): unknown {
  try {
    const document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      resolveKnownTags: false,
      uniqueKeys: true,
      stringKeys: true,
      strict: true,
      logLevel: 'silent',
    });
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) throw problem;
    const value: unknown = document.toJS({ maxAliasCount: 0 });
    return value;
  } catch (cause) {
    const line = cause instanceof Error ? cause.message.split('\n')[0] : undefined;
    throw new Error(line === undefined || line === '' ? 'it cannot be read' : line, { cause });
  }
}
