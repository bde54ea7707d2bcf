import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable } from './printable.ts';

test('control, bidi, separator and surrogate characters never reach a terminal', () => {
  const rows: readonly (readonly [string, string])[] = [
    ['plain text, ünïcode 模型 🤗', 'plain text, ünïcode 模型 🤗'],
    ['a\r\nSet-Cookie: x', 'a\\u{d}\\u{a}Set-Cookie: x'],
    ['\u001b]0;owned\u0007', '\\u{1b}]0;owned\\u{7}'],
    ['evil\u202Egnp.exe', 'evil\\u{202e}gnp.exe'],
    ['\u2066x\u2069\u200f', '\\u{2066}x\\u{2069}\\u{200f}'],
    ['a\u2028b\u0085c\u009b', 'a\\u{2028}b\\u{85}c\\u{9b}'],
    ['\ud800', '\\u{d800}'],
    ['\\u{1b}', '\\\\u{1b}'],
    ['\u{e0041}', '\\u{e0041}'],
  ];
  for (const [text, shown] of rows) assert.equal(printable(text), shown);
});

test('long text is cut', () => {
  assert.equal(printable('abcdef', 3), 'abc…');
  assert.equal(printable('\u001b'.repeat(5), 2), '\\u{1b}\\u{1b}…');
});
