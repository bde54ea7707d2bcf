import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeKey, encodeQuery, signGet } from '#adapters/sources/s3/sign.ts';
import { Redacted } from '#lib/redacted.ts';
import { missing } from '../support/foreign.ts';
import { pythonIn } from '../support/python-hub.ts';
import { root } from '../support/server.ts';

const python = pythonIn('moto-venv');
const skip = missing('botocore in .cache/moto-venv', python !== undefined);
const keys = [
  'a',
  'models/a b',
  'models/a+b',
  "it's (1)!*",
  'é/日本/𝄞',
  '%2e%2e/x',
  'a//b',
  '~x_y-z.w',
  'k=v&w;x,y:z@?#',
];

test('every request is signed as botocore signs it', { skip }, () => {
  const requests = keys.flatMap((key, index) => {
    const object = new URL('https://bucket.s3.eu-central-1.amazonaws.com');
    object.pathname = `/${encodeKey(key)}`;
    const listing = new URL('http://127.0.0.1:9000/bucket/');
    listing.search = encodeQuery({
      'encoding-type': 'url',
      'list-type': '2',
      prefix: key,
      'continuation-token': 'a/b==',
    });
    const token = index % 2 === 0 ? 'session/token==' : undefined;
    return [object, listing].map((url) => ({
      url,
      headers: index % 3 === 0 ? { 'if-match': '"abc"' } : {},
      token,
      at: new Date(Date.UTC(2026, index, 1 + index, 23, 59, index)),
    }));
  });
  const lines = requests.map(({ url, headers, token, at }) =>
    JSON.stringify({
      url: url.href,
      headers,
      id: 'AKIDEXAMPLE',
      secret: 'wJalr/secret',
      token,
      region: 'eu-central-1',
      at: at.toISOString().replaceAll(/[-:]|\.\d{3}/g, ''),
    }),
  );
  const script = join(root, 'test/conformance/python/s3_sign.py');
  const said = spawnSync(python ?? 'python3', [script], { input: lines.join('\n'), encoding: 'utf8' });
  assert.equal(said.status, 0, said.stderr);
  const theirs = said.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  const key = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: new Redacted('wJalr/secret') };
  const ours = requests.map(({ url, headers, token, at }) =>
    signGet(
      { url, headers },
      { ...key, sessionToken: token === undefined ? undefined : new Redacted(token) },
      { region: 'eu-central-1', at },
    ),
  );
  assert.deepEqual(ours, theirs);
});
