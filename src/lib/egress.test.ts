import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openEgress, parseAllowedHost } from './egress.ts';
import { Fault } from './fault.ts';

const allowed = ['mirror.internal:8443', '127.0.0.1', '[fd00::5]'].map((text) => {
  const host = parseAllowedHost(text);
  assert.ok(host, text);
  return host;
});
const strict = openEgress([]);
const lenient = openEgress(allowed);

const isForbidden = (error: unknown): boolean => error instanceof Fault && error.code === 'source.forbidden';

for (const url of [
  'http://files.example/model.bin',
  'file:///etc/passwd',
  'ftp://files.example/x',
  'gopher://files.example/x',
  'https://user:password@files.example/x',
  'https://user@files.example/x',
  'https://files.example:22/x',
  'https://files.example:25/x',
  'https://127.0.0.1/x',
  'https://2130706433/x',
  'https://0x7f000001/x',
  'https://0177.0.0.1/x',
  'https://127.1/x',
  'https://0/x',
  'https://10.1.2.3/x',
  'https://169.254.169.254/latest/meta-data/',
  'https://2852039166/latest/meta-data/',
  'https://[::1]/x',
  'https://[::ffff:127.0.0.1]/x',
  'https://[::ffff:a9fe:a9fe]/x',
  'https://[64:ff9b::a9fe:a9fe]/x',
  'https://[fd00::1]/x',
  'https://[fe80::1]/x',
  'https://①②⑦.⓪.⓪.①/x',
  'https://localhost/x',
  'https://LOCALHOST./x',
  'https://a.localhost/x',
]) {
  test(`is not fetched from: ${url}`, () => {
    assert.throws(() => strict.admit(new URL(url)), isForbidden);
  });
}

test('public https passes, and leads to public addresses only', () => {
  for (const url of ['https://files.example/x', 'https://files.example:8443/x', 'https://93.184.216.34/x']) {
    strict.admit(new URL(url));
    assert.equal(strict.publicOnly(new URL(url)), true);
  }
});

test('what the operator allows is allowed at this host and port, and nowhere else', () => {
  for (const url of [
    'https://mirror.internal:8443/x',
    'http://127.0.0.1:80/x',
    'http://2130706433:9/x',
    'https://[fd00::5]/x',
  ]) {
    lenient.admit(new URL(url));
    assert.equal(lenient.publicOnly(new URL(url)), false);
  }
  for (const url of [
    'https://mirror.internal:22/x',
    'http://mirror.internal/x',
    'http://127.0.0.2/x',
    'https://[fd00::6]/x',
    'http://user@127.0.0.1/x',
    'file://127.0.0.1/etc/passwd',
  ])
    assert.throws(() => lenient.admit(new URL(url)), isForbidden, url);
  assert.equal(lenient.publicOnly(new URL('https://mirror.internal/x')), true);
});

test('a host is a name or an address with or without a port', () => {
  assert.deepEqual(parseAllowedHost('Mirror.Internal'), { host: 'mirror.internal', port: undefined });
  assert.deepEqual(parseAllowedHost('0x7f.1:80'), { host: '127.0.0.1', port: 80 });
  for (const text of ['', 'a b', 'https://a', 'a:0', 'a:70000', 'a/b', 'user@a', '[::1', '*'])
    assert.equal(parseAllowedHost(text), undefined, text);
});
