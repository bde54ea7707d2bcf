import { limits } from '#lib/limits.ts';
import type { ByteSource } from '../../blob-store.ts';
import type { Flaw, ReadingOutcome } from '../reading.ts';
import { parseJsonDocument, type JsonValue } from './json-document.ts';

export type JsonFlawCode = 'json.duplicate-key' | 'json.not-a-number' | 'json.lone-surrogate';

export interface JsonFacts extends ReadingOutcome<JsonFlawCode> {
  /** Undefined where a limit stopped the reader. */
  readonly value: JsonValue | undefined;
}

/**
 * May the source be a JSON document with an object or array at its top? Looks at the first character only. Larger than
 * `limits.jsonBytes` it is only text here; who needs it as JSON asks `readJson` and is told that it is too large.
 */
export function detectJson(head: Uint8Array, source: ByteSource): boolean {
  if (source.sizeBytes > limits.jsonBytes) return false;
  for (const byte of head) {
    if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) continue;
    return byte === 0x7b || byte === 0x5b;
  }
  return false;
}

/**
 * A JSON document in UTF-8, whole or not at all: `undefined` where the bytes are not JSON. Above `limits.jsonBytes`,
 * `jsonDepth` or `jsonValues` the facts are incomplete. Offsets in flaws count characters.
 */
export async function readJson(source: ByteSource): Promise<JsonFacts | undefined> {
  if (source.sizeBytes > limits.jsonBytes) {
    return { value: undefined, flaws: [], incompleteReasons: [`JSON larger than ${limits.jsonBytes} bytes`] };
  }
  const text = decodeUtf8(await source.read(0, source.sizeBytes));
  if (text === undefined) return undefined;
  const outcome = parseJsonDocument(text, { depth: limits.jsonDepth, values: limits.jsonValues });
  if (outcome.kind === 'syntax') return undefined;
  if (outcome.kind === 'limit') {
    return { value: undefined, flaws: [], incompleteReasons: [outcome.message] };
  }
  const flaws = outcome.flaws.map((flaw): Flaw<JsonFlawCode> => ({
    code: `json.${flaw.code}`,
    message: messages[flaw.code](flaw.key.slice(0, 100)),
    offset: flaw.offset,
  }));
  return { value: outcome.value, flaws, incompleteReasons: [] };
}

const messages = {
  'duplicate-key': (key: string) =>
    `the key \`${key}\` stands twice in one object, so readers disagree about its value`,
  'not-a-number': (key: string) => `\`${key}\` is NaN or Infinity, which only some readers accept`,
  'lone-surrogate': (text: string) => `the text \`${text.toWellFormed()}\` is not well-formed Unicode`,
};

/** Strict UTF-8 to text; a byte order mark stays in the text. Undefined for malformed bytes. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
