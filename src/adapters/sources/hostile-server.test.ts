import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { digestOfHex } from '#artifact/digest.ts';
import { openEgress } from '#lib/egress.ts';
import { Redacted } from '#lib/redacted.ts';
import { download } from './download.ts';
import { fetchLfs } from './git/lfs.ts';
import type { Credential, Site } from './site.ts';

const signal = new AbortController().signal;

async function serve(t: TestContext, answer: RequestListener): Promise<URL> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

function siteWith(credentials: readonly Credential[]): Site {
  const egress = openEgress([{ host: '127.0.0.1', port: undefined }]);
  return { egress, credentials, scratch: '/nonexistent', mostBytes: 1_000_000 };
}

test('an LFS server cannot have our credential for another host shown there', async (t) => {
  const bytes = Buffer.from('weights');
  const oid = createHash('sha256').update(bytes).digest('hex');
  const seen: IncomingHttpHeaders[] = [];
  const inside = await serve(t, (request, response) => {
    seen.push(request.headers);
    response.end(bytes);
  });
  const hostile = await serve(t, (_request, response) => {
    const download = { href: `${inside.href}admin/delete-all` };
    response.end(JSON.stringify({ objects: [{ oid, size: bytes.length, actions: { download } }] }));
  });
  const site = siteWith([
    { host: inside.host, username: 'operator', password: new Redacted('secret') },
    { host: hostile.host, username: 'guest', password: new Redacted('guest') },
  ]);
  const file = { path: 'w.bin', oid: '0'.repeat(40), digest: digestOfHex(oid), sizeBytes: bytes.length };
  await fetchLfs({ site, url: new URL('x', hostile), signal }, [file], {
    signal,
    expect: () => {},
    put: async (_file, open) => {
      for await (const _chunk of open());
    },
  });
  assert.equal(seen.length, 1);
  assert.equal(seen[0]?.authorization, undefined);
});

test('a source that trickles is given up, however long it could go on', async (t) => {
  const url = await serve(t, (request, response) => {
    const from = Number(/\d+/.exec(request.headers.range ?? '0')?.[0] ?? 0);
    const range = from === 0 ? {} : { 'content-range': `bytes ${from}-999999/1000000` };
    response.writeHead(from === 0 ? 200 : 206, { etag: '"one"', ...range });
    const timer = setInterval(() => response.write('x'), 10);
    response.on('close', () => clearInterval(timer));
  });
  const site: Site = { ...siteWith([]), slowest: { bytes: 10_000, windowMs: 100 } };
  await assert.rejects(
    async () => {
      for await (const _chunk of download(site, { url, signal, headers: () => ({}) }));
    },
    { code: 'upstream.unavailable' },
  );
});
