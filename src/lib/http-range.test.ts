import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRange, type RequestedRange } from './http-range.ts';

const whole: RequestedRange = { kind: 'whole' };
const no: RequestedRange = { kind: 'unsatisfiable' };
const part = (start: number, end: number): RequestedRange => ({ kind: 'part', start, end });
const huge = '9'.repeat(400);

const rows: readonly (readonly [string | undefined, number, RequestedRange])[] = [
  [undefined, 10, whole],
  ['bytes=0-', 10, part(0, 10)],
  ['bytes=0-0', 10, part(0, 1)],
  ['bytes=3-6', 10, part(3, 7)],
  ['BYTES=3-6', 10, part(3, 7)],
  ['bytes=9-', 10, part(9, 10)],
  ['bytes=10-', 10, no],
  ['bytes=11-12', 10, no],
  [`bytes=${huge}-`, 10, no],
  [`bytes=${huge}-${huge}`, 10, no],
  [`bytes=0-${huge}`, 10, part(0, 10)],
  ['bytes=-3', 10, part(7, 10)],
  ['bytes=-10', 10, part(0, 10)],
  [`bytes=-${huge}`, 10, part(0, 10)],
  ['bytes=-0', 10, no],
  ['bytes=000-0003', 10, part(0, 4)],
  ['bytes=6-3', 10, whole],
  [`bytes=${huge}-3`, 10, whole],
  ['bytes=-', 10, whole],
  ['bytes=', 10, whole],
  ['bytes=a-b', 10, whole],
  ['bytes=0x1-2', 10, whole],
  ['bytes=1-2,4-5', 10, whole],
  ['bytes=0-0,0-0,0-0', 10, whole],
  ['items=0-1', 10, whole],
  ['bytes=--1', 10, whole],
  ['bytes=0-', 0, whole],
  ['bytes=0-0', 0, whole],
];

for (const [header, size, expected] of rows) {
  test(`range ${String(header).slice(0, 40)} of ${size} bytes`, () => {
    assert.deepEqual(parseRange(header, size), expected);
  });
}
