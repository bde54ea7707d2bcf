import { CelFailure } from './types.ts';
import type { Outcome, Value } from './types.ts';

const smallest = -(2n ** 63n);
const largest = 2n ** 63n - 1n;

const inRange = (value: bigint): bigint | CelFailure =>
  value < smallest || value > largest ? new CelFailure('integer overflow') : value;

/** 64 bit integer arithmetic (cel-spec "Overflow"): an error instead of wrapping around. */
export const arithmetic: Readonly<Record<string, (left: bigint, right: bigint) => bigint | CelFailure>> = {
  '_+_': (left, right) => inRange(left + right),
  '_-_': (left, right) => inRange(left - right),
  '_*_': (left, right) => inRange(left * right),
  '_/_': (left, right) => (right === 0n ? new CelFailure('division by zero') : inRange(left / right)),
  '_%_': (left, right) => (right === 0n ? new CelFailure('modulus by zero') : inRange(left % right)),
};

/** Text order by code point, as CEL has it (JavaScript's own operator goes by UTF-16 unit). */
export function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a === b) continue;
    const aSurrogate = a >= 0xd800 && a <= 0xdfff;
    const bSurrogate = b >= 0xd800 && b <= 0xdfff;
    return aSurrogate === bSurrogate ? a - b : aSurrogate ? 1 : -1;
  }
  return left.length - right.length;
}

export const orders: Readonly<Record<string, (order: number) => boolean>> = {
  '_<_': (order) => order < 0,
  '_<=_': (order) => order <= 0,
  '_>_': (order) => order > 0,
  '_>=_': (order) => order >= 0,
};

/** Equality of scalars and of lists of scalars; the checker refuses the rest. */
export function equal(left: Value, right: Value): boolean {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((value, index) => equal(value, right[index] ?? null));
  }
  return left === right;
}

/** `&&`: false wins over an error, an error wins over true; `||` is its mirror image. */
export function logical(absorbing: boolean, left: Outcome, right: () => Outcome): Outcome {
  if (left === absorbing) return absorbing;
  const other = right();
  if (other === absorbing) return absorbing;
  return left instanceof CelFailure ? left : other;
}

/** Code points of a text: what CEL's `size()` counts. */
export function textSize(text: string): bigint {
  let count = 0;
  for (const _ of text) count++;
  return BigInt(count);
}
