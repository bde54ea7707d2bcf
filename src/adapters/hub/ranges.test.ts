import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { Fault, type FaultCode } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { openHub } from './hub.ts';

const content = Buffer.from(Array.from({ length: 4096 }, (_, index) => index & 0xff));
const commit = 'c'.repeat(40);
const source = {
  repository: { type: 'models', id: 'org/name' },
  commit,
  file: { path: 'a/model.bin', sizeBytes: content.length, gitOid: '0'.repeat(40), lfsDigest: undefined },
} as const;

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void;

interface Part {
  readonly start: number;
  readonly end: number;
}

function rangeOf(request: IncomingMessage): Part {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  assert.ok(match, `no range: ${request.headers.range}`);
  return { start: Number(match[1]), end: Number(match[2]) + 1 };
}

function sendPart(
  request: IncomingMessage,
  response: ServerResponse,
  headers: Readonly<Record<string, string>> = {},
): void {
  const { start, end } = rangeOf(request);
  response
    .writeHead(206, {
      'content-range': `bytes ${start}-${end - 1}/${content.length}`,
      etag: '"one"',
      ...headers,
    })
    .end(content.subarray(start, end));
}

describe('ranges of a hub file', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function serve(answer: Answer): Promise<{ readonly url: URL; readonly seen: string[] }> {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(request.url ?? '');
      answer(request, response, seen.length);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), seen };
  }

  function openAt(url: URL, requested?: () => void) {
    const hub = openHub({ upstream: url, token: new Redacted('house-token'), retryMs: 1 });
    const signal = new AbortController().signal;
    return hub.ranges(source, { signal, ...(requested === undefined ? {} : { requested }) });
  }

  const isFault = (code: FaultCode, pattern: RegExp) => (error: unknown) => {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };

  test('gives exactly the bytes asked for', async () => {
    const { url } = await serve((request, response) => sendPart(request, response));
    const fetch = openAt(url);
    assert.deepEqual(Buffer.from(await fetch({ start: 100, end: 200 })), content.subarray(100, 200));
    assert.deepEqual(Buffer.from(await fetch({ start: 0, end: content.length })), content);
  });

  const lies: readonly (readonly [string, Answer, RegExp])[] = [
    [
      'the whole file',
      (_request, response) => void response.writeHead(200).end(content),
      /not given in parts/,
    ],
    [
      'another part',
      (request, response) => sendPart(request, response, { 'content-range': `bytes 0-99/${content.length}` }),
      /another part/,
    ],
    [
      'a file of another size',
      (request, response) => sendPart(request, response, { 'content-range': 'bytes 100-199/9999' }),
      /another size/,
    ],
    [
      'no range at all',
      (_request, response) => void response.writeHead(206).end(content.subarray(100, 200)),
      /another part/,
    ],
    [
      'more bytes',
      (_request, response) =>
        void response
          .writeHead(206, { 'content-range': `bytes 100-199/${content.length}` })
          .end(content.subarray(100, 201)),
      /is announced with 101 bytes|does not give/,
    ],
    [
      'fewer bytes, chunked',
      (_request, response) => {
        response.writeHead(206, { 'content-range': `bytes 100-199/${content.length}` });
        response.write(content.subarray(100, 150));
        response.end();
      },
      /does not give the 100 bytes/,
    ],
    [
      'another commit',
      (request, response) => sendPart(request, response, { 'x-repo-commit': 'd'.repeat(40) }),
      /another commit/,
    ],
    ['nothing there', (_request, response) => void response.writeHead(404).end(), /listed and not there/],
    [
      'nothing that far',
      (_request, response) => void response.writeHead(416, { 'content-range': 'bytes */10' }).end(),
      /listed and not there/,
    ],
    [
      'a redirect to a private address',
      (_request, response) =>
        void response.writeHead(302, { location: 'https://169.254.169.254/latest' }).end(),
      /private address/,
    ],
    [
      'a redirect to another scheme',
      (_request, response) => void response.writeHead(302, { location: 'http://192.0.2.1/x' }).end(),
      /redirects to where it may not/,
    ],
  ];
  for (const [name, answer, pattern] of lies) {
    test(`${name} is a lie`, async () => {
      const { url } = await serve(answer);
      await assert.rejects(openAt(url)({ start: 100, end: 200 }), isFault('upstream.lied', pattern));
    });
  }

  test('an ETag that changes between parts is a lie', async () => {
    const { url } = await serve((request, response, count) =>
      sendPart(request, response, { etag: `"${count}"` }),
    );
    const fetch = openAt(url);
    await fetch({ start: 0, end: 10 });
    await assert.rejects(fetch({ start: 10, end: 20 }), isFault('upstream.lied', /changes while it is read/));
  });

  test('the place of a redirect is asked directly, without our token, until it refuses', async () => {
    let requests = 0;
    const tokens: (string | undefined)[] = [];
    const cdn = await serve((request, response, count) => {
      tokens.push(request.headers.authorization);
      if (count === 3) response.writeHead(403).end();
      else sendPart(request, response);
    });
    const hub = await serve((_request, response) =>
      response.writeHead(302, { location: `${cdn.url.origin}/signed`, 'x-repo-commit': commit }).end(),
    );
    const fetch = openAt(hub.url, () => (requests += 1));
    for (let at = 0; at < 4; at += 1) {
      const range = { start: at * 10, end: at * 10 + 10 };
      assert.deepEqual(Buffer.from(await fetch(range)), content.subarray(range.start, range.end));
    }
    assert.deepEqual([hub.seen.length, cdn.seen.length, requests], [2, 5, 7]);
    assert.deepEqual([...new Set(tokens)], [undefined]);
  });

  test('a hub that is busy is asked again, one that refuses is not', async () => {
    const busy = await serve((request, response, count) => {
      if (count < 3) response.writeHead(503).end();
      else sendPart(request, response);
    });
    assert.equal((await openAt(busy.url)({ start: 0, end: 10 })).length, 10);
    const closed = await serve((_request, response) => void response.writeHead(403).end());
    await assert.rejects(openAt(closed.url)({ start: 0, end: 10 }), isFault('request.forbidden', /403/));
    assert.equal(closed.seen.length, 1);
  });
});
