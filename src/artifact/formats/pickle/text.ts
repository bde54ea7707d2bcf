import { Buffer } from 'node:buffer';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as UTF-16 units, one each. */
export function decodeLatin1(bytes: Uint8Array, from: number, to: number): string {
  if (to - from < 24) {
    let text = '';
    for (let index = from; index < to; index++) text += String.fromCharCode(bytes[index] ?? 0);
    return text;
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
}

/**
 * UTF-8 with lone surrogates let through, as BINUNICODE decodes it (`surrogatepass`). Undefined where CPython raises.
 */
export function decodeUtf8(bytes: Uint8Array, from: number, to: number): string | undefined {
  for (let index = from; index < to; index++) {
    if ((bytes[index] ?? 0) >= 0x80) return decodeWide(bytes.subarray(from, to));
  }
  return decodeLatin1(bytes, from, to);
}

function decodeWide(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return decodeSurrogates(bytes);
  }
}

function decodeSurrogates(bytes: Uint8Array): string | undefined {
  let text = '';
  let start = 0;
  for (let index = 0; index + 2 < bytes.length; index++) {
    const second = bytes[index + 1] ?? 0;
    const third = bytes[index + 2] ?? 0;
    if (bytes[index] !== 0xed || second < 0xa0 || second > 0xbf || (third & 0xc0) !== 0x80) continue;
    const before = strict(bytes.subarray(start, index));
    if (before === undefined) return undefined;
    text += before + String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | (third & 0x3f));
    start = index + 3;
    index += 2;
  }
  const rest = strict(bytes.subarray(start));
  return rest === undefined ? undefined : text + rest;
}

function strict(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

const simpleEscapes: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** `codecs.escape_decode`, the body of STRING. Latin-1 in and out. Undefined where CPython raises. */
export function decodeStringEscapes(text: string): string | undefined {
  if (!text.includes('\\')) return text;
  let out = '';
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (character !== '\\') {
      out += character;
      continue;
    }
    index += 1;
    const next = text.charAt(index);
    const simple = simpleEscapes[next];
    if (next === '') return undefined;
    if (simple !== undefined) out += simple;
    else if (next === 'x') {
      const hex = /^[0-9a-fA-F]{2}/.exec(text.slice(index + 1, index + 3))?.[0];
      if (hex === undefined) return undefined;
      out += String.fromCharCode(Number.parseInt(hex, 16));
      index += 2;
    } else if (next >= '0' && next <= '7') {
      const octal = /^[0-7]{1,3}/.exec(text.slice(index, index + 3))?.[0] ?? '0';
      out += String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
      index += octal.length - 1;
    } else out += `\\${next}`;
  }
  return out;
}

/** `raw-unicode-escape`, the body of UNICODE: only `\u` and `\U` mean something. Undefined where CPython raises. */
export function decodeUnicodeEscapes(text: string): string | undefined {
  if (!text.includes('\\')) return text;
  let out = '';
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (character !== '\\' || index + 1 >= text.length) {
      out += character;
      continue;
    }
    index += 1;
    const next = text.charAt(index);
    const digits = next === 'u' ? 4 : next === 'U' ? 8 : 0;
    if (digits === 0) {
      out += `\\${next}`;
      continue;
    }
    const hex = text.slice(index + 1, index + 1 + digits);
    const code = Number.parseInt(hex, 16);
    if (hex.length !== digits || !/^[0-9a-fA-F]+$/.test(hex) || code > 0x10ffff) return undefined;
    out += String.fromCodePoint(code);
    index += digits;
  }
  return out;
}

export interface TextNumber<T> {
  readonly value: T | undefined;
  /** Spelled as every pickler spells it; otherwise C and Python may read it differently. */
  readonly canonical: boolean;
}

/** INT and LONG: `int(text, 0)`, with `00` and `01` as booleans for INT. */
export function parseTextInteger(text: string, booleans: boolean): TextNumber<number | bigint | boolean> {
  if (booleans && (text === '00' || text === '01')) return { value: text === '01', canonical: true };
  const digits = !booleans && text.endsWith('L') ? text.slice(0, -1) : text;
  if (/^(0|-?[1-9][0-9]{0,4000})$/.test(digits)) {
    return {
      value: digits.length < 16 ? Number(digits) : BigInt(digits),
      canonical: true,
    };
  }
  return { value: undefined, canonical: false };
}

/** FLOAT. */
export function parseTextFloat(text: string): TextNumber<number> {
  if (/^-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/.test(text)) return { value: Number(text), canonical: true };
  const named: Readonly<Record<string, number>> = {
    inf: Infinity,
    '-inf': -Infinity,
    nan: NaN,
    '-nan': NaN,
  };
  const value = named[text];
  return { value, canonical: value !== undefined };
}

/**
 * GET and PUT: `int(text)` in base 10 with the spaces, sign and underscores that Python allows; C stops at a NUL.
 * Undefined where CPython raises. Keys beyond 2^53 stay exact as text.
 */
export function parseMemoKey(text: string): TextNumber<number | string> {
  const canonical = /^(0|[1-9][0-9]*)$/.test(text);
  const nul = text.indexOf('\0');
  const spoken = (nul < 0 ? text : text.slice(0, nul)).replace(/^[\s\x1c-\x1f]+|[\s\x1c-\x1f]+$/g, '');
  if (!/^[+-]?[0-9]+(_[0-9]+)*$/.test(spoken)) return { value: undefined, canonical };
  const exact = BigInt(spoken.replaceAll('_', '').replace(/^\+/, '').slice(0, 100));
  return { value: exact >= 0n && exact <= 0xffff_ffff_ffffn ? Number(exact) : exact.toString(), canonical };
}

/** Little-endian two's complement (LONG1, LONG4). */
export function parseTwosComplement(bytes: Uint8Array): number | bigint {
  if (bytes.length <= 6) {
    let value = 0;
    for (let index = bytes.length - 1; index >= 0; index--) value = value * 256 + (bytes[index] ?? 0);
    return (bytes.at(-1) ?? 0) >= 0x80 ? value - 256 ** bytes.length : value;
  }
  let exact = 0n;
  for (let index = bytes.length - 1; index >= 0; index--) exact = (exact << 8n) | BigInt(bytes[index] ?? 0);
  return (bytes.at(-1) ?? 0) >= 0x80 ? exact - (1n << BigInt(8 * bytes.length)) : exact;
}
