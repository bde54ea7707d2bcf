import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewToken, Token } from '#adapters/postgres/tokens.ts';
import { Fault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { prepareAccess } from './access.ts';
import type { AccessPorts } from './access.ts';
import { digestOfToken } from './principals.ts';

function memoryAccess(): AccessPorts & { readonly rows: Token[] } {
  const rows: Token[] = [];
  const live = (token: Token) => token.revokedAtMs === null;
  return {
    rows,
    settings: { setEnvironment: async () => {} },
    tokens: {
      save: async (token: NewToken) => {
        if (rows.some(({ digest }) => digest === token.digest)) return;
        rows.push({ ...token, createdAtMs: 0, revokedAtMs: null });
      },
      find: async (digest) => rows.find((row) => row.digest === digest && live(row)),
      list: async (namespace) => rows.filter((row) => row.namespace === namespace),
      revoke: async (_namespace, digest) => {
        const index = rows.findIndex((row) => row.digest === digest && live(row));
        const row = rows[index];
        if (row === undefined) return false;
        rows[index] = { ...row, revokedAtMs: 1 };
        return true;
      },
    },
  };
}

const one = new Redacted('token-number-one-000');
const two = new Redacted('token-number-two-000');
const start = (ports: AccessPorts, token: Redacted<string> | undefined) =>
  prepareAccess(ports, { token, environment: 'development' });
const works = async (ports: AccessPorts, token: Redacted<string>) =>
  (await ports.tokens.find(digestOfToken(token))) !== undefined;

test('the first start without a token makes one, the second makes none', async () => {
  const ports = memoryAccess();
  const made = await start(ports, undefined);
  assert.ok(made !== undefined && (await works(ports, made)));
  assert.doesNotMatch(JSON.stringify(ports.rows), /hf_/);
  assert.equal(await start(ports, undefined), undefined);
  assert.equal(ports.rows.length, 1);
});

test('a token that was replaced in the configuration stops working', async () => {
  const ports = memoryAccess();
  assert.equal(await start(ports, one), undefined);
  await start(ports, one);
  assert.equal(ports.rows.length, 1);
  await start(ports, two);
  assert.deepEqual([await works(ports, one), await works(ports, two)], [false, true]);
});

test('a token that was replaced cannot come back, and the refusal leaves somebody in charge', async () => {
  const ports = memoryAccess();
  await start(ports, one);
  await start(ports, two);
  await assert.rejects(
    start(ports, one),
    (error) => error instanceof Fault && error.code === 'config.invalid',
  );
  assert.equal(await works(ports, two), true);
});
