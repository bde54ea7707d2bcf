import { Fault } from './fault.ts';
import { limits } from './limits.ts';

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [member: string]: JsonValue };

export interface JsonBounds {
  /** Nesting of arrays and objects; `limits.jsonDepth` by default. */
  readonly depth?: number;
  /** Size of the text in bytes; `limits.jsonBytes` by default. */
  readonly bytes?: number;
  /**
   * What two members of one object with the same name mean. `refuse` (the default) for everything whose meaning must
   * be the same for every reader; `last` where the question is what a usual lenient reader would see.
   */
  readonly duplicateKeys?: 'refuse' | 'last';
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * JSON (RFC 8259) from others: UTF-8 without byte-order mark, size and depth checked before the parser sees it.
 * A member called `__proto__` is an ordinary own member of the result; copy members with care. Fault `json.invalid`
 * for what is not JSON and, unless `duplicateKeys` is `last`, for duplicate members; `limit.exceeded` past a bound.
 */
export function parseJson(input: Uint8Array | string, bounds: JsonBounds = {}): JsonValue {
  const bytes = typeof input === 'string' ? encodeText(input) : input;
  const maximumBytes = bounds.bytes ?? limits.jsonBytes;
  if (bytes.length > maximumBytes) {
    throw new Fault(
      'limit.exceeded',
      `the JSON text of ${bytes.length} bytes is larger than ${maximumBytes}`,
    );
  }
  const memberCount = scanStructure(bytes, bounds.depth ?? limits.jsonDepth);
  const value = parseText(bytes);
  if (bounds.duplicateKeys !== 'last' && countMembers(value) !== memberCount) {
    throw new Fault('json.invalid', 'an object names a member twice');
  }
  return value;
}

/** Is this a JSON object (not an array, not null)? */
export function isJsonObject(
  value: JsonValue | undefined,
): value is { readonly [member: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function encodeText(text: string): Uint8Array {
  if (!text.isWellFormed()) throw new Fault('json.invalid', 'the text holds a lone surrogate');
  return encoder.encode(text);
}

function parseText(bytes: Uint8Array): JsonValue {
  try {
    return JSON.parse(decoder.decode(bytes)) as JsonValue;
  } catch (cause) {
    throw new Fault('json.invalid', 'the text is not JSON', { cause });
  }
}

const quote = 0x22;
const backslash = 0x5c;

/**
 * Walks the bytes once without building anything: Fault past `maximumDepth`, else how many members the objects name
 * in all (colons outside strings). In valid JSON a duplicate is the only way for the parsed value to have fewer.
 */
function scanStructure(bytes: Uint8Array, maximumDepth: number): number {
  let depth = 0;
  let members = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    switch (bytes[index]) {
      case quote:
        index = endOfString(bytes, index + 1);
        break;
      case 0x5b:
      case 0x7b:
        depth += 1;
        if (depth > maximumDepth) {
          throw new Fault('limit.exceeded', `the JSON text is nested deeper than ${maximumDepth} levels`);
        }
        break;
      case 0x5d:
      case 0x7d:
        depth -= 1;
        break;
      case 0x3a:
        members += 1;
        break;
      default:
    }
  }
  return members;
}

/** Longer strings than this are worth a call of the native search. */
const shortString = 64;

function endOfString(bytes: Uint8Array, start: number): number {
  const near = Math.min(bytes.length, start + shortString);
  let index = start;
  while (index < near && bytes[index] !== quote) index += bytes[index] === backslash ? 2 : 1;
  return index < near ? index : endOfLongString(bytes, index);
}

/** A quote ends the string unless an odd number of backslashes stands before it; `start` is not inside an escape. */
function endOfLongString(bytes: Uint8Array, start: number): number {
  for (let from = start; from < bytes.length;) {
    const found = bytes.indexOf(quote, from);
    if (found < 0) return bytes.length;
    let before = found;
    while (before > from && bytes[before - 1] === backslash) before -= 1;
    if ((found - before) % 2 === 0) return found;
    from = found + 1;
  }
  return bytes.length;
}

function countMembers(root: JsonValue): number {
  let count = 0;
  const pending: JsonValue[] = [root];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const children = Object.values(value);
    if (!Array.isArray(value)) count += children.length;
    for (const child of children) {
      if (typeof child === 'object' && child !== null) pending.push(child);
    }
  }
  return count;
}
