import { limits } from '#lib/limits.ts';
import type { Machine } from './machine.ts';
import { suspectBytes, suspectText } from './nested.ts';
import {
  decodeLatin1,
  decodeStringEscapes,
  decodeUnicodeEscapes,
  decodeUtf8,
  parseMemoKey,
  parseTextFloat,
  parseTextInteger,
  parseTwosComplement,
} from './text.ts';
import type { Value } from './values.ts';

/** One opcode. Operands are read before anything changes, because a refill of the window runs the opcode again. */
export type Step = (machine: Machine) => void;

const keptText = 4_096;
const keptBytes = 256;

export function u1(machine: Machine): number {
  return machine.cursor.bytes[machine.cursor.take(1)] ?? 0;
}

export function u2(machine: Machine): number {
  const from = machine.cursor.take(2);
  const { bytes } = machine.cursor;
  return (bytes[from] ?? 0) | ((bytes[from + 1] ?? 0) << 8);
}

export function i4(machine: Machine): number {
  const from = machine.cursor.take(4);
  const { bytes } = machine.cursor;
  return (
    (bytes[from] ?? 0) |
    ((bytes[from + 1] ?? 0) << 8) |
    ((bytes[from + 2] ?? 0) << 16) |
    ((bytes[from + 3] ?? 0) << 24)
  );
}

export function u4(machine: Machine): number {
  return i4(machine) >>> 0;
}

/** Lengths above 2^53 become infinite: no source is so long. */
export function u8(machine: Machine): number {
  const from = machine.cursor.take(8);
  const { bytes } = machine.cursor;
  let value = 0;
  for (let index = 7; index >= 0; index--) value = value * 256 + (bytes[from + index] ?? 0);
  return value > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : value;
}

/** A line as Latin-1. */
export function lineText(machine: Machine): string {
  const { from, to } = machine.cursor.line();
  return decodeLatin1(machine.cursor.bytes, from, to);
}

/** A signed length that every CPython refuses below zero. Undefined ends the stream: nothing after it has a meaning. */
function length4(machine: Machine): number | undefined {
  const length = i4(machine);
  if (length >= 0) return length;
  machine.fail('a length is negative');
  machine.ending = 'unknown-opcode';
  return undefined;
}

function pushText(machine: Machine, lengthBytes: number | undefined, encoding: 'utf-8' | 'latin1'): void {
  if (lengthBytes === undefined) return;
  const { cursor } = machine;
  if (lengthBytes > keptText) {
    cursor.show(keptText);
    const offset = cursor.skip(lengthBytes);
    const from = offset - cursor.base;
    suspectText(machine, from, lengthBytes);
    machine.push({ kind: 'text', offset, lengthBytes, head: decodeLatin1(cursor.bytes, from, from + 64) });
    return;
  }
  const from = cursor.take(lengthBytes);
  suspectText(machine, from, lengthBytes);
  let text = encoding === 'utf-8' ? decodeUtf8(cursor.bytes, from, from + lengthBytes) : undefined;
  if (text === undefined) {
    if (encoding === 'utf-8') machine.fail('text is not UTF-8');
    text = decodeLatin1(cursor.bytes, from, from + lengthBytes);
  }
  machine.push(text);
}

function pushBytes(machine: Machine, lengthBytes: number | undefined, mutable: boolean): void {
  if (lengthBytes === undefined) return;
  const { cursor } = machine;
  cursor.show(Math.min(lengthBytes, keptText));
  const offset = cursor.skip(lengthBytes);
  const from = offset - cursor.base;
  suspectBytes(machine, from, lengthBytes);
  const content = lengthBytes <= keptBytes ? decodeLatin1(cursor.bytes, from, from + lengthBytes) : undefined;
  const head = content?.slice(0, 16) ?? decodeLatin1(cursor.bytes, from, from + 16);
  machine.push({ kind: 'bytes', offset, lengthBytes, mutable, content, head });
}

function pushLong(machine: Machine, lengthBytes: number | undefined): void {
  if (lengthBytes === undefined) return;
  if (lengthBytes > 64) {
    machine.cursor.skip(lengthBytes);
    machine.push({ kind: 'unknown', why: `an integer of ${lengthBytes} bytes` });
    return;
  }
  const from = machine.cursor.take(lengthBytes);
  machine.push(parseTwosComplement(machine.cursor.bytes.subarray(from, from + lengthBytes)));
}

function pushTextInteger(machine: Machine, booleans: boolean): void {
  const text = lineText(machine);
  const number = parseTextInteger(text, booleans);
  if (!number.canonical) {
    machine.diverge('number-form', `the number \`${text.slice(0, 40)}\` is not read alike by C and Python`);
  }
  machine.push(number.value ?? { kind: 'unknown', why: 'an integer in an unusual form' });
}

function pushTextFloat(machine: Machine): void {
  const text = lineText(machine);
  const number = parseTextFloat(text);
  if (!number.canonical) {
    machine.diverge('number-form', `the number \`${text.slice(0, 40)}\` is not read alike by C and Python`);
  }
  machine.push({ kind: 'float', value: number.value ?? NaN });
}

function pushString(machine: Machine): void {
  const { from, to } = machine.cursor.line();
  const { bytes } = machine.cursor;
  const quote = bytes[from];
  if (to - from < 2 || quote !== bytes[to - 1] || (quote !== 0x27 && quote !== 0x22)) {
    machine.fail('the operand of STRING is not quoted');
  }
  pushLine(machine, decodeStringEscapes(decodeLatin1(bytes, from + 1, to - 1)));
}

function pushUnicode(machine: Machine): void {
  pushLine(machine, decodeUnicodeEscapes(lineText(machine)));
}

function pushLine(machine: Machine, text: string | undefined): void {
  if (text === undefined) machine.fail('an escape in a text line is not valid');
  const content = text ?? '';
  suspectLine(machine, content);
  if (content.length <= keptText) machine.push(content);
  else
    machine.push({
      kind: 'text',
      offset: machine.offset,
      lengthBytes: content.length,
      head: content.slice(0, 64),
    });
}

function suspectLine(machine: Machine, content: string): void {
  if (content.length < 8) return;
  const second = content.charCodeAt(1);
  if (content.startsWith('\x80') && second <= 5) machine.suspect({ encoding: 'raw', content });
  else if (/^[c(]/.test(content) && content.includes('\n')) machine.suspect({ encoding: 'raw', content });
  else if (/^(80|28|63|5d|7d)[0-9a-fA-F\s]{8,}$/i.test(content))
    machine.suspect({ encoding: 'hex', content });
  else if (/^[gKYXf][A-Za-z0-9+/_\-=\s]{11,}$/.test(content))
    machine.suspect({ encoding: 'base64', content });
}

function memoKey(machine: Machine): number | string | undefined {
  const text = lineText(machine);
  const key = parseMemoKey(text);
  if (!key.canonical) {
    machine.diverge('number-form', `the memo key \`${text.slice(0, 40)}\` is not read alike by C and Python`);
  }
  if (key.value === undefined) machine.fail('a memo key is not a number');
  return key.value;
}

const float = new DataView(new ArrayBuffer(8));

function binFloat(machine: Machine): Value {
  const from = machine.cursor.take(8);
  const { bytes } = machine.cursor;
  for (let index = 0; index < 8; index++) float.setUint8(index, bytes[from + index] ?? 0);
  return { kind: 'float', value: float.getFloat64(0) };
}

function put(machine: Machine, key: number | string | undefined): void {
  if (typeof key === 'string' && key.startsWith('-')) machine.fail('a memo key is negative');
  if (key !== undefined) machine.remember(key);
}

function get(machine: Machine, key: number | string | undefined): void {
  machine.push(key === undefined ? { kind: 'unknown', why: 'a missing memo entry' } : machine.recall(key));
}

function proto(machine: Machine): void {
  const version = u1(machine);
  if (version > 5) machine.diverge('protocol-number', `there is no protocol ${version}`);
  machine.protocol = version;
  machine.highestProtocol = Math.max(machine.highestProtocol, version);
}

function stop(machine: Machine): void {
  machine.result = machine.pop();
  if (machine.cursor.insideFrame) {
    machine.diverge('stop-inside-frame', `the frame goes on until byte ${machine.cursor.frameEnd}`);
  }
  machine.ending = 'stop';
}

/** Opcodes that push literals, use the memo or frame the stream (`pickletools`, protocols 0–5). */
export const literalSteps: Readonly<Record<number, Step>> = {
  0x49: (m) => pushTextInteger(m, true),
  0x4a: (m) => m.push(i4(m)),
  0x4b: (m) => m.push(u1(m)),
  0x4d: (m) => m.push(u2(m)),
  0x4c: (m) => pushTextInteger(m, false),
  0x8a: (m) => pushLong(m, u1(m)),
  0x8b: (m) => pushLong(m, length4(m)),
  0x53: pushString,
  0x54: (m) => pushText(m, length4(m), 'latin1'),
  0x55: (m) => pushText(m, u1(m), 'latin1'),
  0x42: (m) => pushBytes(m, u4(m), false),
  0x43: (m) => pushBytes(m, u1(m), false),
  0x8e: (m) => pushBytes(m, u8(m), false),
  0x96: (m) => pushBytes(m, u8(m), true),
  0x97: (m) => m.push({ kind: 'buffer' }),
  0x98: (m) => void m.top(),
  0x4e: (m) => m.push(null),
  0x88: (m) => m.push(true),
  0x89: (m) => m.push(false),
  0x56: pushUnicode,
  0x8c: (m) => pushText(m, u1(m), 'utf-8'),
  0x58: (m) => pushText(m, u4(m), 'utf-8'),
  0x8d: (m) => pushText(m, u8(m), 'utf-8'),
  0x46: pushTextFloat,
  0x47: (m) => m.push(binFloat(m)),
  0x67: (m) => get(m, memoKey(m)),
  0x68: (m) => get(m, u1(m)),
  0x6a: (m) => get(m, u4(m)),
  0x70: (m) => put(m, memoKey(m)),
  0x71: (m) => put(m, u1(m)),
  0x72: (m) => put(m, u4(m)),
  0x94: (m) => m.memoize(),
  0x80: proto,
  0x2e: stop,
  0x95: (m) => m.cursor.frame(u8(m)),
};

/** How many values a machine may hold is checked this often, in opcodes. */
export const boundsEvery = Math.min(4_096, limits.pickleValues);
