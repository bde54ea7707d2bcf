import type { Machine } from './machine.ts';

const stop = 0x2e;
/** The shortest pickle that imports and calls something, and its base64 and hex forms. */
const shortest = 8;

/** First bytes of a pickle from protocol 2 on (PROTO n), or of one before it that imports (GLOBAL, INST after MARKs). */
function beginsLikePickle(first: number, second: number): boolean {
  if (first === 0x80) return second <= 5;
  return (first === 0x63 && isIdentifierStart(second)) || first === 0x28 || first === 0x5d || first === 0x7d;
}

function isIdentifierStart(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || code === 0x5f || (code >= 0x61 && code <= 0x7a);
}

/** Notes a byte string that begins as pickles do. `from` and `to` are window indexes; what is not in the window is not looked at. */
export function suspectBytes(machine: Machine, from: number, lengthBytes: number): void {
  if (lengthBytes < shortest) return;
  const { bytes, base } = machine.cursor;
  const first = bytes[from] ?? 0;
  const second = bytes[from + 1] ?? 0;
  const content = { offset: base + from, lengthBytes };
  if (beginsLikePickle(first, second)) machine.suspect({ encoding: 'raw', content });
  else suspectEncoded(machine, from, lengthBytes);
}

/** The same for text that stands in the file as UTF-8 (or ASCII). */
export function suspectText(machine: Machine, from: number, lengthBytes: number): void {
  if (lengthBytes < shortest) return;
  const { bytes, base } = machine.cursor;
  const first = bytes[from] ?? 0;
  const content = { offset: base + from, lengthBytes };
  if (first === 0xc2 && bytes[from + 1] === 0x80 && (bytes[from + 2] ?? 99) <= 5) {
    machine.suspect({ encoding: 'latin1', content });
  } else if (
    first === 0x63 &&
    isIdentifierStart(bytes[from + 1] ?? 0) &&
    hasLines(bytes, from, lengthBytes)
  ) {
    machine.suspect({ encoding: 'raw', content });
  } else if (first === 0x28 && hasLines(bytes, from, lengthBytes)) {
    machine.suspect({ encoding: 'raw', content });
  } else suspectEncoded(machine, from, lengthBytes);
}

function hasLines(bytes: Uint8Array, from: number, lengthBytes: number): boolean {
  const newline = bytes.indexOf(10, from);
  return newline >= 0 && newline < from + lengthBytes;
}

/** Base64 and hex, by their first four characters and an alphabet check of the first 64. */
function suspectEncoded(machine: Machine, from: number, lengthBytes: number): void {
  if (lengthBytes < 12) return;
  const { bytes, base } = machine.cursor;
  const content = { offset: base + from, lengthBytes };
  if (beginsLikeHex(bytes, from)) machine.suspect({ encoding: 'hex', content });
  if (beginsLikeBase64(bytes, from)) {
    const to = Math.min(from + Math.min(lengthBytes, 64), bytes.length);
    for (let index = from; index < to; index++) if (!isBase64(bytes[index] ?? 0)) return;
    if (couldEndInStop(machine, from, lengthBytes)) machine.suspect({ encoding: 'base64', content });
  }
}

function beginsLikeHex(bytes: Uint8Array, from: number): boolean {
  const first = 16 * hexDigit(bytes[from] ?? 0) + hexDigit(bytes[from + 1] ?? 0);
  const second = 16 * hexDigit(bytes[from + 2] ?? 0) + hexDigit(bytes[from + 3] ?? 0);
  return first >= 0 && second >= 0 && beginsLikePickle(first, second);
}

function beginsLikeBase64(bytes: Uint8Array, from: number): boolean {
  const one = base64Digit(bytes[from] ?? 0);
  const two = base64Digit(bytes[from + 1] ?? 0);
  const three = base64Digit(bytes[from + 2] ?? 0);
  if (one < 0 || two < 0 || three < 0) return false;
  return beginsLikePickle((one << 2) | (two >> 4), ((two & 15) << 4) | (three >> 2));
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1000;
}

function base64Digit(code: number): number {
  if (code >= 0x41 && code <= 0x5a) return code - 0x41;
  if (code >= 0x61 && code <= 0x7a) return code - 0x47;
  if (code >= 0x30 && code <= 0x39) return code + 4;
  if (code === 0x2b || code === 0x2d) return 62;
  return code === 0x2f || code === 0x5f ? 63 : -1;
}

function isBase64(code: number): boolean {
  return (
    isIdentifierStart(code) ||
    (code >= 0x30 && code <= 0x39) ||
    [0x2b, 0x2f, 0x2d, 0x3d, 0x0a, 0x0d].includes(code)
  );
}

/** Where the whole text is in the window: do its last digits decode to a STOP? Otherwise yes. */
function couldEndInStop(machine: Machine, from: number, lengthBytes: number): boolean {
  const { bytes } = machine.cursor;
  let to = from + lengthBytes;
  if (to > bytes.length) return true;
  while (to > from && [0x3d, 0x0a, 0x0d].includes(bytes[to - 1] ?? 0)) to -= 1;
  const digits = Array.from(Buffer.from(bytes.subarray(from, to)).toString('latin1')).filter(
    (character) => base64Digit(character.charCodeAt(0)) >= 0,
  );
  const tail = digits.slice(-(digits.length % 4 === 0 ? 4 : digits.length % 4)).join('');
  const decoded = Buffer.from(tail, 'base64url');
  return decoded.includes(stop) || decoded.includes(0x0a);
}
