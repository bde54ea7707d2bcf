/** A JSON value. Objects are maps (no prototype to pollute); integers beyond 2^53 are exact bigints. */
export type JsonValue = null | boolean | number | bigint | string | readonly JsonValue[] | JsonObject;
export type JsonObject = ReadonlyMap<string, JsonValue>;

export interface JsonBounds {
  readonly depth: number;
  readonly values: number;
}

/** What strict parsers refuse and Python's `json` accepts, or the other way round. Character offsets. */
export interface JsonFlaw {
  readonly code: 'duplicate-key' | 'not-a-number' | 'lone-surrogate';
  readonly offset: number;
  readonly key: string;
}

export type JsonOutcome =
  | { readonly kind: 'value'; readonly value: JsonValue; readonly flaws: readonly JsonFlaw[] }
  | { readonly kind: 'syntax'; readonly message: string; readonly offset: number }
  | { readonly kind: 'limit'; readonly message: string; readonly offset: number };

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map;
}

export function isJsonArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** The member where `value` is an object that has it. */
export function member(value: JsonValue | undefined, key: string): JsonValue | undefined {
  return isJsonObject(value) ? value.get(key) : undefined;
}

class Stop extends Error {
  readonly kind: 'syntax' | 'limit';
  readonly offset: number;

  constructor(kind: 'syntax' | 'limit', message: string, offset: number) {
    super(message);
    this.kind = kind;
    this.offset = offset;
  }
}

const flawsKept = 100;
const number = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const constants: readonly (readonly [string, JsonValue, boolean])[] = [
  ['true', true, false],
  ['false', false, false],
  ['null', null, false],
  ['NaN', Number.NaN, true],
  ['Infinity', Number.POSITIVE_INFINITY, true],
  ['-Infinity', Number.NEGATIVE_INFINITY, true],
];

/**
 * JSON as RFC 8259 and, flagged as a flaw, what Python's `json` takes beyond it (`NaN`, `Infinity`): whatever a
 * loader can read, this reads the same way (the last of duplicate keys wins, each one is reported, at most 100 flaws
 * are kept). A leading byte order mark is a syntax error, as in Python. Never throws for bad input.
 */
export function parseJsonDocument(text: string, bounds: JsonBounds): JsonOutcome {
  const parser = new Parser(text, bounds);
  try {
    const value = parser.document();
    return { kind: 'value', value, flaws: parser.flaws };
  } catch (stop) {
    if (stop instanceof Stop) return { kind: stop.kind, message: stop.message, offset: stop.offset };
    throw stop;
  }
}

class Parser {
  readonly flaws: JsonFlaw[] = [];
  readonly #text: string;
  readonly #bounds: JsonBounds;
  #at = 0;
  #depth = 0;
  #values = 0;

  constructor(text: string, bounds: JsonBounds) {
    this.#text = text;
    this.#bounds = bounds;
  }

  document(): JsonValue {
    const value = this.#value('');
    this.#space();
    if (this.#at !== this.#text.length) throw this.#syntax('text after the value');
    return value;
  }

  #syntax(message: string): Stop {
    return new Stop('syntax', message, this.#at);
  }

  #flaw(code: JsonFlaw['code'], key: string): void {
    if (this.flaws.length < flawsKept) this.flaws.push({ code, offset: this.#at, key });
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at += 1;
    }
  }

  #value(key: string): JsonValue {
    this.#values += 1;
    if (this.#values > this.#bounds.values) {
      throw new Stop('limit', `more than ${this.#bounds.values} JSON values`, this.#at);
    }
    this.#space();
    const first = this.#text[this.#at];
    if (first === '"') return this.#string();
    if (first === '{' || first === '[') {
      this.#depth += 1;
      if (this.#depth > this.#bounds.depth) {
        throw new Stop('limit', `JSON deeper than ${this.#bounds.depth}`, this.#at);
      }
      const value = first === '{' ? this.#object() : this.#array(key);
      this.#depth -= 1;
      return value;
    }
    return this.#scalar(key);
  }

  #object(): JsonObject {
    const object = new Map<string, JsonValue>();
    this.#at += 1;
    this.#space();
    if (this.#text[this.#at] === '}') {
      this.#at += 1;
      return object;
    }
    for (;;) {
      this.#space();
      if (this.#text[this.#at] !== '"') throw this.#syntax('a key was expected');
      const key = this.#string();
      if (object.has(key)) this.#flaw('duplicate-key', key);
      this.#space();
      if (this.#text[this.#at] !== ':') throw this.#syntax('`:` was expected');
      this.#at += 1;
      object.set(key, this.#value(key));
      if (this.#closes('}')) return object;
    }
  }

  #array(key: string): readonly JsonValue[] {
    const array: JsonValue[] = [];
    this.#at += 1;
    this.#space();
    if (this.#text[this.#at] === ']') {
      this.#at += 1;
      return array;
    }
    for (;;) {
      array.push(this.#value(key));
      if (this.#closes(']')) return array;
    }
  }

  #closes(bracket: '}' | ']'): boolean {
    this.#space();
    const next = this.#text[this.#at];
    if (next !== ',' && next !== bracket) throw this.#syntax(`\`,\` or \`${bracket}\` was expected`);
    this.#at += 1;
    return next === bracket;
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at + 1;
    let at = start;
    let escaped = false;
    for (; ; at += 1) {
      const code = text.charCodeAt(at);
      if (code === 0x22) break;
      if (code === 0x5c) {
        escaped = true;
        at += 1;
      } else if (code < 0x20 || Number.isNaN(code)) {
        this.#at = at;
        throw this.#syntax('a string does not end or holds a control character');
      }
    }
    this.#at = at + 1;
    return escaped ? this.#unescape(start, at) : text.slice(start, at);
  }

  #unescape(start: number, end: number): string {
    let value: unknown;
    try {
      value = JSON.parse(this.#text.slice(start - 1, end + 1));
    } catch {
      throw new Stop('syntax', 'a string has an unknown escape', start);
    }
    if (typeof value !== 'string') throw this.#syntax('a string was expected');
    if (!value.isWellFormed()) this.#flaw('lone-surrogate', value.slice(0, 100));
    return value;
  }

  #scalar(key: string): JsonValue {
    for (const [word, value, lenient] of constants) {
      if (this.#text.startsWith(word, this.#at)) {
        if (lenient) this.#flaw('not-a-number', key);
        this.#at += word.length;
        return value;
      }
    }
    number.lastIndex = this.#at;
    const match = number.exec(this.#text);
    if (match === null || match[0] === '') throw this.#syntax('a value was expected');
    this.#at += match[0].length;
    const value = Number(match[0]);
    if (match[1] !== undefined || match[2] !== undefined || Number.isSafeInteger(value)) return value;
    return match[0].length <= 40 ? BigInt(match[0]) : value;
  }
}
