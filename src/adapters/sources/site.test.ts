import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Fault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { ask, authorizationFor } from './site.ts';
import type { Site } from './site.ts';

const signal = new AbortController().signal;
const site: Site = {
  egress: { admit: () => {}, publicOnly: () => true },
  credentials: [
    { host: 'git.example', token: new Redacted('t') },
    { host: 'files.example:8443', username: 'u', password: new Redacted('p') },
  ],
  scratch: '',
  mostBytes: 0,
};

test('a name that resolves to an inside address is not connected to, whatever its spelling passed', async () => {
  let connections = 0;
  const server = createServer().on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  for (const host of ['localhost', '127.0.0.1', '[::ffff:7f00:1]']) {
    await assert.rejects(
      ask(site, { url: new URL(`http://${host}:${port}/`), signal }),
      (error: unknown) => error instanceof Fault && error.code === 'source.forbidden',
      host,
    );
  }
  assert.equal(connections, 0);
  await new Promise((resolve) => server.close(resolve));
});

test('a credential goes to its host and nowhere else', () => {
  const of = (url: string) => authorizationFor(site, new URL(url));
  assert.deepEqual(of('https://git.example/x'), { authorization: 'Bearer t' });
  assert.deepEqual(of('https://files.example:8443/'), { authorization: 'Basic dTpw' });
  for (const url of [
    'https://files.example/',
    'https://git.example:8443/',
    'https://git.example.evil/',
    'https://sub.git.example/',
    'https://evil/git.example',
  ])
    assert.deepEqual(of(url), {}, url);
});
