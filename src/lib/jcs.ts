import { Fault } from './fault.ts';
import { limits } from './limits.ts';

const encoder = new TextEncoder();

/**
 * The JSON Canonicalization Scheme (RFC 8785) of a value, as text: members in UTF-16 code-unit order (§3.2.3),
 * strings and numbers as ECMAScript writes them (§3.2.2), no white space. Takes null, booleans, finite numbers,
 * well-formed strings, arrays without holes and plain objects; `toJSON` is never called. Fault `json.invalid` for
 * anything else, `undefined` members and lone surrogates included; `limit.exceeded` deeper than `limits.jsonDepth`.
 */
export function encodeJcsText(value: unknown): string {
  return encodeValue(value, 0);
}

/** `encodeJcsText` in UTF-8: the bytes that are hashed and signed. */
export function encodeJcs(value: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(encodeValue(value, 0));
}

/** One string as RFC 8785 §3.2.2.2 spells it, quotes included. */
export function encodeJcsString(text: string): string {
  if (!text.isWellFormed()) throw new Fault('json.invalid', 'a string holds a lone surrogate');
  return JSON.stringify(text);
}

function encodeValue(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return encodeJcsString(value);
    case 'number':
      if (!Number.isFinite(value)) throw new Fault('json.invalid', `\`${value}\` has no JSON form`);
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (depth >= limits.jsonDepth) {
        throw new Fault('limit.exceeded', `a value is nested deeper than ${limits.jsonDepth} levels`);
      }
      return Array.isArray(value) ? encodeArray(value, depth + 1) : encodeObject(value, depth + 1);
    default:
      throw new Fault('json.invalid', `a value of type ${typeof value} has no JSON form`);
  }
}

function encodeArray(items: readonly unknown[], depth: number): string {
  let text = '[';
  for (let index = 0; index < items.length; index += 1) {
    if (index > 0) text += ',';
    text += encodeValue(items[index], depth);
  }
  return `${text}]`;
}

function encodeObject(value: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new Fault('json.invalid', 'only plain objects have a canonical JSON form');
  }
  const members = new Map<string, unknown>(Object.entries(value));
  let text = '{';
  // The default sort compares UTF-16 code units, which is what §3.2.3 asks for.
  for (const key of [...members.keys()].sort()) {
    if (text.length > 1) text += ',';
    text += `${encodeJcsString(key)}:${encodeValue(members.get(key), depth)}`;
  }
  return `${text}}`;
}
