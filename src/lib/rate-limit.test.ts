import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRateLimit, readRetryAfter } from './rate-limit.ts';

const read = (headers: Readonly<Record<string, string>>) => readRateLimit((name) => headers[name]);

const limits: readonly (readonly [
  Readonly<Record<string, string>>,
  { readonly remaining: number; readonly resetSeconds: number | undefined } | undefined,
])[] = [
  [{ ratelimit: '"api";r=0;t=55' }, { remaining: 0, resetSeconds: 55 }],
  [
    { ratelimit: '"api";r=12;t=55', 'ratelimit-policy': '"fixed window";"api";q=500;w=300' },
    { remaining: 12, resetSeconds: 55 },
  ],
  [{ ratelimit: '"hour";r=900;t=3000, "minute" ; r=3 ; t=7' }, { remaining: 3, resetSeconds: 7 }],
  [{ ratelimit: '"a,b;r=0;t=1";r=5;t=9' }, { remaining: 5, resetSeconds: 9 }],
  [
    { ratelimit: '"api";r=0', 'ratelimit-policy': '"fixed window";"api";q=500;w=300' },
    { remaining: 0, resetSeconds: 300 },
  ],
  [{ ratelimit: '"api";r=0' }, { remaining: 0, resetSeconds: undefined }],
  [{ ratelimit: '"api";r=0;t=999999999' }, { remaining: 0, resetSeconds: 900 }],
  [{ ratelimit: '"api";t=55' }, undefined],
  [{ ratelimit: '"api";r=-1;t=55' }, undefined],
  [{ ratelimit: '"api";r=1.5;t=55' }, undefined],
  [{ ratelimit: '"api";r=NaN' }, undefined],
  [{ ratelimit: '"unclosed;r=0;t=55' }, undefined],
  [{ ratelimit: '' }, undefined],
  [{}, undefined],
];

for (const [headers, wanted] of limits) {
  test(`\`${JSON.stringify(headers)}\``, () => assert.deepEqual(read(headers), wanted));
}

test('Retry-After: seconds or a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  for (const [text, wanted] of [
    ['0', 0],
    ['120', 120],
    ['999999999', 900],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['2026-01-01T00:00:30Z', undefined],
    ['', undefined],
    [undefined, undefined],
  ] as const) {
    assert.equal(readRetryAfter(text, now), wanted, String(text));
  }
});
