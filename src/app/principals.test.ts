import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '#artifact/digest.ts';
import type { Environment } from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { makeToken } from './access.ts';
import {
  administratorRole,
  clientRole,
  digestOfToken,
  identifyCaller,
  openPrincipals,
} from './principals.ts';
import type { PrincipalPorts, TokenRow } from './principals.ts';

const administrator = new Redacted('hf_administrator0000000000000000000000000000');
const client = new Redacted('hf_client00000000000000000000000000000000000');
const bound = new Redacted('hf_bound000000000000000000000000000000000000');
const impostor = new Redacted('hf_impostor000000000000000000000000000000000');

function house(overrides: Partial<PrincipalPorts> = {}) {
  const steady = { ms: 0, now: () => steady.ms };
  const rows = new Map<Digest, TokenRow>([
    [
      digestOfToken(administrator),
      { namespace: 'default', name: 'a', role: administratorRole, environment: null },
    ],
    [digestOfToken(client), { namespace: 'team-a', name: 'c', role: clientRole, environment: null }],
    [digestOfToken(bound), { namespace: 'team-a', name: 'b', role: clientRole, environment: 'production' }],
    [digestOfToken(impostor), { namespace: 'team-a', name: 'i', role: administratorRole, environment: null }],
  ]);
  const environments = new Map<string, Environment>([
    ['default', 'development'],
    ['team-a', 'staging'],
    ['team-b', 'staging'],
  ]);
  const looked: Digest[] = [];
  const ports: PrincipalPorts = {
    findToken: async (digest) => {
      looked.push(digest);
      return rows.get(digest);
    },
    environmentOf: async (namespace) => environments.get(namespace),
    anonymous: true,
    steady,
    ...overrides,
  };
  return { ports, rows, looked, steady, principals: openPrincipals(ports) };
}

const bearer = (token: Redacted<string>) => new Redacted(`Bearer ${token.reveal()}`);
const refusedAs = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;

test('the environment is the one of the token, else the default of the namespace', async () => {
  const { principals } = house();
  assert.equal((await principals.authenticate(undefined, undefined)).environment, 'development');
  assert.equal((await principals.authenticate(bearer(client), 'team-a')).environment, 'staging');
  assert.equal((await principals.authenticate(bearer(bound), 'team-a')).environment, 'production');
});

test('unknown tokens are anonymous, malformed ones too', async () => {
  const { principals } = house();
  const strange = [
    'Bearer hf_unknown',
    'Basic dXNlcjpwYXNz',
    'Bearer',
    'Bearer a b',
    `Bearer ${'x'.repeat(5000)}`,
    '',
  ];
  for (const text of strange) {
    const principal = await principals.authenticate(new Redacted(text), undefined);
    assert.deepEqual([principal.class, principal.id], ['anonymous', undefined], text.slice(0, 20));
  }
});

test('a principal carries a pseudonym, never the token', async () => {
  const principal = await house().principals.authenticate(bearer(client), 'team-a');
  assert.equal(principal.class, 'client');
  assert.match(principal.id ?? '', /^sha256:[0-9a-f]{16}$/);
  assert.doesNotMatch(JSON.stringify(principal), /hf_/);
});

test('other namespaces answer alike whether they exist or not', async () => {
  const { principals } = house();
  const words = new Set<string>();
  for (const [authorization, namespace] of [
    [undefined, 'team-a'],
    [undefined, 'nowhere'],
    [bearer(client), 'team-b'],
    [bearer(client), 'nowhere'],
    [bearer(client), undefined],
    [bearer(impostor), 'team-b'],
    [bearer(administrator), 'nowhere'],
    [bearer(administrator), 'Not A Namespace'],
  ] as const) {
    await assert.rejects(principals.authenticate(authorization, namespace), (error: unknown) => {
      assert.ok(refusedAs('resource.unknown')(error));
      words.add(JSON.stringify(error));
      return true;
    });
  }
  assert.equal(words.size, 1);
});

test('an administrator of the installation sees every namespace; the word in another namespace gives nothing', async () => {
  const { principals, ports } = house();
  assert.equal((await principals.authenticate(bearer(administrator), 'team-b')).class, 'administrator');
  assert.equal((await principals.authenticate(bearer(impostor), 'team-a')).class, 'client');
  await assert.rejects(identifyCaller(ports, bearer(impostor)), refusedAs('request.forbidden'));
});

test('without loopback nobody is anonymous, whatever the namespace', async () => {
  const { principals } = house({ anonymous: false });
  for (const namespace of [undefined, 'team-a', 'nowhere'])
    await assert.rejects(principals.authenticate(undefined, namespace), refusedAs('request.unauthenticated'));
  await assert.rejects(
    principals.authenticate(new Redacted('Bearer hf_unknown'), undefined),
    refusedAs('request.unauthenticated'),
  );
});

test('a revoked token ends within a second, also where the database answered slowly', async () => {
  const { principals, rows, looked, steady, ports } = house();
  await principals.authenticate(bearer(client), 'team-a');
  await principals.authenticate(bearer(client), 'team-a');
  assert.equal(looked.length, 1);
  rows.delete(digestOfToken(client));
  steady.ms = 999;
  await principals.authenticate(bearer(client), 'team-a');
  steady.ms = 1_000;
  await assert.rejects(principals.authenticate(bearer(client), 'team-a'), refusedAs('resource.unknown'));

  const row: TokenRow = { namespace: 'team-a', name: 'c', role: clientRole, environment: null };
  let live: TokenRow | undefined = row;
  const slow = openPrincipals({
    ...ports,
    findToken: async () => {
      const found = live;
      live = undefined;
      steady.ms += 5_000;
      return found;
    },
  });
  await slow.authenticate(bearer(client), 'team-a');
  await assert.rejects(slow.authenticate(bearer(client), 'team-a'), refusedAs('resource.unknown'));
});

test('a database that does not answer is no permission', async () => {
  const { principals } = house({
    findToken: () => Promise.reject(new Fault('database.unavailable', 'away')),
  });
  await assert.rejects(principals.authenticate(bearer(client), 'team-a'), refusedAs('database.unavailable'));
});

test('people need an administrator token', async () => {
  const { ports } = house();
  const caller = await identifyCaller(ports, bearer(administrator));
  assert.deepEqual(caller, {
    class: 'administrator',
    person: 'administrator',
    namespace: 'default',
    environment: 'development',
  });
  await assert.rejects(identifyCaller(ports, undefined), refusedAs('request.unauthenticated'));
  await assert.rejects(
    identifyCaller(ports, bearer(new Redacted('hf_unknown'))),
    refusedAs('request.unauthenticated'),
  );
  await assert.rejects(identifyCaller(ports, bearer(client)), refusedAs('request.forbidden'));
});

test('made tokens look like hub tokens and are never the same', () => {
  const made = new Set(Array.from({ length: 200 }, () => makeToken().reveal()));
  assert.equal(made.size, 200);
  for (const token of made) assert.match(token, /^hf_[A-Za-z0-9]{40}$/);
});
