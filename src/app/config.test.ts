import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import { Fault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { configKeys, environmentName, isLoopback, readConfiguration } from './config.ts';

const directory = mkdtempSync(join(tmpdir(), 'config-'));
after(() => rmSync(directory, { recursive: true }));

function read(
  given: { flags?: Record<string, string>; variables?: Record<string, string>; file?: string } = {},
) {
  mkdirSync(join(directory, 'data'), { recursive: true });
  writeFileSync(join(directory, 'data', 'config.yaml'), given.file ?? '');
  return readConfiguration({
    flags: new Map(Object.entries(given.flags ?? {})),
    environment: given.variables ?? {},
    directory,
  });
}

const refused = (run: () => unknown, ...words: readonly RegExp[]): void => {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof Fault && error.code === 'config.invalid', String(error));
    for (const word of words) assert.match(`${error.message} hint: ${error.hint}`, word);
    return true;
  });
};

/** A value for each key that is not its default. */
const samples: Readonly<Record<string, string>> = {
  data: 'data',
  blobs: 'blobs',
  listen: '127.0.0.2:1080',
  'console-listen': '[::1]:1081',
  'public-url': 'https://hub.example',
  'console-url': 'https://people.example',
  upstream: 'http://127.0.0.1:9/hub',
  'upstream-token': '12345678901234567890',
  'admin-token': '00012345678901234567890',
  database: 'postgres://app@127.0.0.1/x',
  'database-owner': 'postgresql://owner@127.0.0.1/x',
  policies: 'rules',
  delivery: 'delivery.yaml',
  sandbox: 'off',
  'sandbox-python': '/opt/python/bin/python3',
  environment: 'production',
  tier: 'high',
  origin: 'log.example/a',
  'hold-wait': '60',
  'reference-ttl': '0',
  'absent-ttl': '0',
  'upstream-concurrency': '2',
  'upstream-timeout': '600',
  'upstream-wait': '60',
  'intake-concurrency': '64',
  'intake-hosts': 'mirror.example:8443,10.0.0.7',
  'intake-credentials': 'credentials.yaml',
  'intake-limit': '7',
  'interim-responses': 'off',
  'accel-prefix': '/protected/',
  'accel-from': '10.0.0.5, ::1',
  'log-level': 'debug',
};

test('every key is a flag, a variable and a line of the file, with the same meaning', () => {
  assert.deepEqual(Object.keys(samples).sort(), Object.keys(configKeys).sort());
  const plain = (value: unknown): unknown => (value instanceof Redacted ? value.reveal() : value);
  for (const [name, text] of Object.entries(samples)) {
    const byFlag = read({ flags: { [name]: text } });
    const byVariable = read({ variables: { [environmentName(name)]: text } });
    const byFile = read({ file: `${name}: ${text.startsWith('[') ? `'${text}'` : text}\n` });
    const of = (configuration: object) =>
      plain(Object.entries(configuration).find(([key]) => key === name)?.[1]);
    assert.deepEqual(of(byVariable), of(byFlag), name);
    assert.deepEqual(of(byFile), of(byFlag), name);
    if (name !== 'data') assert.notDeepEqual(of(byFlag), of(read()), name);
  }
});

test('flags win over variables, variables over the file, the file over defaults', () => {
  const all = { flags: { tier: 'low' }, variables: { WEIGHBRIDGE_TIER: 'high' }, file: 'tier: medium\n' };
  assert.equal(read(all).tier, 'low');
  assert.equal(read({ ...all, flags: {} }).tier, 'high');
  assert.equal(read({ file: 'tier: high\n' }).tier, 'high');
  assert.equal(read().tier, 'medium');
});

test('relative paths start from the working directory, and the file lies in the data directory that was named', () => {
  assert.equal(read({ flags: { policies: 'rules' } }).policies, join(directory, 'rules'));
  assert.equal(read({ flags: { delivery: 'd.yaml' } }).delivery, join(directory, 'd.yaml'));
  assert.equal(read().data, join(directory, 'data'));
  mkdirSync(join(directory, 'other'), { recursive: true });
  writeFileSync(join(directory, 'other', 'config.yaml'), 'tier: high\n');
  assert.equal(read({ flags: { data: 'other' } }).tier, 'high');
  assert.equal(read({ flags: { config: 'other/config.yaml' } }).tier, 'high');
  assert.equal(read({ variables: { WEIGHBRIDGE_CONFIG: 'other/config.yaml' } }).tier, 'high');
});

test('values of the file are what is written, not what YAML makes of them', () => {
  const { 'admin-token': token } = read({ file: 'admin-token: 12345678901234567890\n' });
  assert.equal(token?.reveal(), '12345678901234567890');
  assert.equal(read({ file: 'interim-responses: off' })['interim-responses'], 'off');
  assert.equal(read({ file: 'hold-wait: "9"' })['hold-wait'], 9);
});

test('a variable that is set to nothing is absent; an empty flag or line is refused', () => {
  const variables = { WEIGHBRIDGE_DATA: '', WEIGHBRIDGE_ADMIN_TOKEN: '', WEIGHBRIDGE_CONFIG: '' };
  assert.equal(read({ variables }).data, join(directory, 'data'));
  assert.equal(read({ variables })['admin-token'], undefined);
  refused(() => read({ flags: { policies: '' } }), /--policies: is empty/);
  refused(() => read({ file: 'upstream:\n' }), /`upstream`/, /empty/);
});

test('the prefix of nginx is a plain path, and its addresses are addresses', () => {
  for (const text of [
    'protected',
    '/protected',
    'protected/',
    '/',
    '//',
    '/a/../b/',
    '/a b/',
    '/a%2f/',
    '/é/',
  ]) {
    refused(() => read({ flags: { 'accel-prefix': text } }), /--accel-prefix: .* is not a location of nginx/);
  }
  assert.deepEqual(read({ flags: { 'accel-from': '10.0.0.5, ::1' } })['accel-from'], ['10.0.0.5', '::1']);
  for (const text of ['localhost', '10.0.0.5,', '10.0.0.0/8']) {
    refused(() => read({ flags: { 'accel-from': text } }), /--accel-from: .* is not an IP address/);
  }
});

test('unknown names get the nearest known one', () => {
  refused(
    () => read({ variables: { WEIGHBRIDGE_UPSTRAEM: 'x' } }),
    /WEIGHBRIDGE_UPSTRAEM/,
    /`WEIGHBRIDGE_UPSTREAM`/,
  );
  refused(() => read({ file: 'lisen: 1\n' }), /`lisen`/, /did you mean `listen`/);
  refused(() => read({ file: 'zzzzzzzzz: 1\n' }), /--help/);
});

test('bad values name their source and what would be accepted', () => {
  const bad: readonly (readonly [string, string, RegExp])[] = [
    ['listen', 'nowhere', /host:port/],
    ['listen', '127.0.0.1:65536', /host:port/],
    ['console-listen', '::1:80', /host:port/],
    ['upstream', 'ftp://hub', /https:\/\/host/],
    ['upstream', 'https://user:secret@hub.example', /upstream-token/],
    ['admin-token', 'short', /16 characters/],
    ['database', 'mysql://x', /postgres:\/\//],
    ['environment', 'prod', /`production`/],
    ['hold-wait', '0', /1 to 60/],
    ['hold-wait', '1.5', /whole number/],
    ['hold-wait', '-1', /whole number/],
    ['origin', 'a b', /origin/],
    ['log-level', 'loud', /`debug`/],
  ];
  for (const [name, text, words] of bad) {
    refused(() => read({ flags: { [name]: text } }), new RegExp(`--${name}`), words);
    refused(
      () => read({ variables: { [environmentName(name)]: text } }),
      new RegExp(environmentName(name)),
      words,
    );
    refused(() => read({ file: `${name}: "${text}"` }), new RegExp(`\`${name}\``), words);
  }
});

test('files that are no list of single values are refused, and so are bombs', () => {
  refused(() => read({ file: '- a\n- b\n' }), /not a list of keys/);
  refused(() => read({ file: 'tier: [low]\n' }), /one value/);
  refused(() => read({ file: 'tier: low\ntier: high\n' }), /not YAML/);
  refused(() => read({ file: 'a: &a [x]\nb: *a\n' }), /config\.yaml/);
  refused(() => read({ file: 'tier: "low\n' }), /not YAML/);
  refused(() => read({ flags: { config: 'nothing-here.yaml' } }), /cannot read/);
});

test('secrets are never shown, neither whole nor in the words of a refusal', () => {
  const secret = 'planted-secret-0123456789';
  const configuration = read({
    flags: { 'admin-token': secret, 'upstream-token': secret, database: `postgres://u:${secret}@h/d` },
  });
  assert.doesNotMatch(`${JSON.stringify(configuration)}${inspect(configuration, { depth: 9 })}`, /planted/);
  for (const upstream of [`https://u:${secret}@hub.example`, `https://u:${secret}@hub.example:port`]) {
    assert.throws(
      () => read({ flags: { upstream } }),
      (error: Error) => !error.message.includes('planted'),
    );
  }
  assert.throws(
    () => read({ flags: { database: `mysql://u:${secret}@h` } }),
    (error: Error) => !inspect(error).includes('planted'),
  );
});

test('only addresses of this machine are loopback', () => {
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost'])
    assert.ok(isLoopback({ host, port: 1 }), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', 'localhost.example', ''])
    assert.equal(isLoopback({ host, port: 1 }), false, host);
});
