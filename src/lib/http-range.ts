/** What a `Range` header asks of a representation of known size. `end` is exclusive. */
export type RequestedRange =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

const whole: RequestedRange = { kind: 'whole' };
const single = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i;

/**
 * RFC 9110 §14.2: one byte range is honoured, and what this server does not support (several ranges, another unit, a
 * malformed header, an end before its start, any range of an empty file) is ignored, which means the whole body. A
 * start at or after the end of the file, and a suffix of length 0, cannot be satisfied. Numbers of any length are
 * taken: one too large for a file is larger than the file.
 */
export function parseRange(header: string | undefined, sizeBytes: number): RequestedRange {
  if (header === undefined || sizeBytes === 0) return whole;
  const match = single.exec(header);
  if (match === null) return whole;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return whole;
  if (first === '') {
    const suffix = position(last);
    if (suffix === 0) return { kind: 'unsatisfiable' };
    return { kind: 'part', start: Math.max(0, sizeBytes - suffix), end: sizeBytes };
  }
  const start = position(first);
  const end = last === '' ? sizeBytes : Math.min(position(last) + 1, sizeBytes);
  if (last !== '' && isBefore(last, first)) return whole;
  if (start >= sizeBytes) return { kind: 'unsatisfiable' };
  return { kind: 'part', start, end };
}

/** Digits to a number; anything past 2^53 becomes the largest safe integer, which no file reaches. */
function position(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER - 1);
}

function isBefore(left: string, right: string): boolean {
  const [a, b] = [left.replace(/^0+/, ''), right.replace(/^0+/, '')];
  return a.length === b.length ? a < b : a.length < b.length;
}
