import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#lib/fault.ts';
import { parseTarget, type Target } from './target.ts';

const model = { type: 'models', id: 'org/name' } as const;
const bare = { type: 'models', id: 'gpt2' } as const;
const dataset = { type: 'datasets', id: 'org/name' } as const;
const commit = 'a'.repeat(40);

const rows: readonly (readonly [string, Target])[] = [
  [
    '/org/name/resolve/main/config.json',
    { kind: 'file', repository: model, revision: 'main', path: 'config.json' },
  ],
  ['/gpt2/resolve/main/a/b.bin', { kind: 'file', repository: bare, revision: 'main', path: 'a/b.bin' }],
  ['/gpt2/resolve/refs%2Fpr%2F1/x', { kind: 'file', repository: bare, revision: 'refs/pr/1', path: 'x' }],
  ['/gpt2/resolve/main/a%2Fb', { kind: 'file', repository: bare, revision: 'main', path: 'a/b' }],
  [
    '/gpt2/resolve/main/sp%20ace%23%3F.txt?download=true',
    { kind: 'file', repository: bare, revision: 'main', path: 'sp ace#?.txt' },
  ],
  [
    '/org/name/resolve/main/resolve/main/x',
    { kind: 'file', repository: model, revision: 'main', path: 'resolve/main/x' },
  ],
  ['/datasets/org/name/resolve/main/x', { kind: 'file', repository: dataset, revision: 'main', path: 'x' }],
  [
    '/spaces/org/name/raw/main/x',
    { kind: 'raw', repository: { type: 'spaces', id: 'org/name' }, revision: 'main', path: 'x' },
  ],
  ['/api/models/org/name', { kind: 'info', repository: model, revision: 'HEAD' }],
  ['/api/models/gpt2', { kind: 'info', repository: bare, revision: 'HEAD' }],
  [`/api/models/org/name/revision/${commit}`, { kind: 'info', repository: model, revision: commit }],
  [
    '/api/models/org/name/revision/refs%2Fconvert%2Fparquet',
    { kind: 'info', repository: model, revision: 'refs/convert/parquet' },
  ],
  ['/api/models/org/name/tree/main', { kind: 'tree', repository: model, revision: 'main', path: undefined }],
  [
    '/api/models/gpt2/tree/main/a/b?recursive=true',
    { kind: 'tree', repository: bare, revision: 'main', path: 'a/b' },
  ],
  ['/api/models/gpt2/tree/refs/pr/1/a', { kind: 'tree', repository: bare, revision: 'refs/pr/1', path: 'a' }],
  [
    '/api/models/gpt2/tree/refs%2Fpr%2F1/a',
    { kind: 'tree', repository: bare, revision: 'refs/pr/1', path: 'a' },
  ],
  ['/api/models/org/name/refs', { kind: 'refs', repository: model }],
  ['/api/models/org/name/commits/main', { kind: 'commits', repository: model, revision: 'main' }],
  ['/api/datasets/org/name/paths-info/main', { kind: 'paths-info', repository: dataset, revision: 'main' }],
  ['/api/models/org/name/auth-check', { kind: 'auth-check', repository: model, revision: 'HEAD' }],
  ['/api/models/org/name/auth-check/write', { kind: 'unknown' }],
  ['/api/models/org/name/xet-read-token/main', { kind: 'unknown' }],
  ['/api/models?search=x', { kind: 'list', type: 'models' }],
  ['/api/whoami-v2', { kind: 'whoami' }],
  ['/api/agent-harnesses', { kind: 'unknown' }],
  ['/api/telemetry/a/b', { kind: 'telemetry' }],
  ['/', { kind: 'unknown' }],
  ['/favicon.ico', { kind: 'unknown' }],
  ['/gpt2/resolve/main', { kind: 'unknown' }],
  ['/gpt2/resolve/', { kind: 'unknown' }],
];

for (const [url, expected] of rows) {
  test(`target ${url}`, () => {
    const asked = parseTarget(url);
    assert.deepEqual(asked.target, expected);
    assert.equal(asked.namespace, undefined);
  });
}

test('a namespace prefix', () => {
  const asked = parseTarget('/hf/team-a/gpt2/resolve/main/x');
  assert.equal(asked.namespace, 'team-a');
  assert.deepEqual(asked.target, { kind: 'file', repository: bare, revision: 'main', path: 'x' });
});

const long = 'x'.repeat(300);
const malformed: readonly string[] = [
  '/gpt2/resolve/main/../../etc/passwd',
  '/gpt2/resolve/main/%2e%2e/%2e%2e/etc/passwd',
  '/gpt2/resolve/main/a%2F..%2Fb',
  '/gpt2/resolve/main/.',
  '/gpt2/resolve/main//etc/passwd',
  '//gpt2/resolve/main/x',
  '/gpt2/resolve/main/%00',
  '/gpt2/resolve/main/a%00.json',
  '/gpt2/resolve/main/a%0d%0aX-Evil: 1',
  '/gpt2/resolve/main/a%5c..%5cb',
  '/gpt2/resolve/main/%2Fetc%2Fpasswd',
  '/gpt2/resolve/main/%zz',
  '/gpt2/resolve/main/%c3%28',
  '/gpt2/resolve/main/%ed%a0%80',
  `/gpt2/resolve/main/${long}`,
  `/gpt2/resolve/main/${'a/'.repeat(4_000)}b`,
  `/gpt2/resolve/main/${'a'.repeat(40_000)}`,
  '/gpt2/resolve/..%2fx/y',
  '/gpt2/resolve/main%20x/y',
  '/gpt2/resolve/ma~in/y',
  '/gpt2/resolve/-rf/y',
  `/gpt2/resolve/${long}/y`,
  '/a--b/resolve/main/x',
  '/a..b/resolve/main/x',
  '/-a/resolve/main/x',
  '/name.git/resolve/main/x',
  '/a%2Fb%2Fc/resolve/main/x',
  `/${long}/resolve/main/x`,
  '/api/models/o%20rg/name/tree/main',
  '/api/models/%2e%2e/secret',
  '/hf/UPPER/gpt2/resolve/main/x',
  '/hf/%2e%2e/gpt2/resolve/main/x',
  '*',
  'http://elsewhere/gpt2/resolve/main/x',
];

for (const url of malformed) {
  test(`malformed ${url.slice(0, 60)}`, () => {
    assert.throws(
      () => parseTarget(url),
      (error) =>
        error instanceof Fault && (error.code === 'path.invalid' || error.code === 'request.invalid'),
    );
  });
}
