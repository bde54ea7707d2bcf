import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { deflateRawSync } from 'node:zlib';
import { after, before, describe, test } from 'node:test';
import { limits } from '#lib/limits.ts';
import { answerRows, openHostileUpstream, treeRow } from '../support/hostile-upstream.ts';
import type { HostileUpstream } from '../support/hostile-upstream.ts';
import { openLeakDetector } from '../support/leaks.ts';
import type { LeakDetector } from '../support/leaks.ts';
import { parseAnswer, sendRaw } from '../support/raw-request.ts';
import { removeFolder, root, startTestServer, testToken } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';
import { buildZip } from '../support/zip-builder.ts';

let house: WholeHouse;
let leaks: LeakDetector;

before(async () => {
  house = await openWholeHouse();
  await house.hub.commit('org/m', { 'config.json': '{"a":1}' });
  leaks = openLeakDetector({
    'the data directory': house.server.data,
    'the checkout': root,
    'a temporary directory': `${tmpdir()}/weighbridge`,
    'the administrator token': testToken,
    'the upstream': house.hub.url.host,
    'the CDN of the upstream': house.hub.cdnUrl.host,
  });
});
after(() => house[Symbol.asyncDispose]());

/** The same process, ready, and nothing given away so far. */
async function demandAlive(server: TestServer = house.server): Promise<void> {
  assert.equal(server.process.exitCode, null);
  assert.equal(server.process.signalCode, null);
  const ready = await fetch(`${server.console}/readyz`);
  assert.equal(ready.status, 200);
  await ready.arrayBuffer();
}

function demandCode(text: string, expected?: { readonly status: number; readonly code: string }): void {
  const { status, code, body } = parseAnswer(text);
  assert.ok(status >= 400 && status < 600, `status ${status}: ${text.slice(0, 300)}`);
  assert.match(code ?? '', /^[A-Za-z][\w.-]+$/, `no code in: ${text.slice(0, 400)}`);
  assert.notEqual(code, 'internal.unexpected', body);
  assert.deepEqual(leaks.find(text), [], text.slice(0, 600));
  if (expected !== undefined) assert.deepEqual({ status, code }, expected);
}

test('the leak detector catches a planted leak of every kind, and passes an honest answer', () => {
  const planted: Readonly<Record<string, string>> = {
    'the data directory': `cannot open ${house.server.data}/blobs`,
    'the administrator token': `{"seen":"Bearer ${testToken}"}`,
    'the upstream': `${house.hub.url.host} did not answer`,
    'a stack': 'Error: x\n    at Object.run (internal)',
    'a source path': 'failed in node_modules/fastify/lib/reply',
    'a path of the machine': "ENOENT: no such file or directory, open '/home/somebody/model.bin'",
  };
  for (const [name, text] of Object.entries(planted)) assert.ok(leaks.find(text).includes(name), name);
  assert.deepEqual(
    leaks.find('{"error":{"code":"path.invalid","message":"the request path holds `..`"}}'),
    [],
  );
});

const bearer = `Authorization: Bearer ${testToken}`;
const json = 'Content-Type: application/json';
const head = (line: string, ...headers: readonly string[]): string =>
  [line, 'Host: localhost', 'Connection: close', ...headers, '', ''].join('\r\n');
const get = (path: string, ...headers: readonly string[]): string => head(`GET ${path} HTTP/1.1`, ...headers);
const post = (path: string, body: string, ...headers: readonly string[]): string =>
  head(`POST ${path} HTTP/1.1`, `Content-Length: ${Buffer.byteLength(body, 'latin1')}`, ...headers) + body;
const file = '/org/m/resolve/main/config.json';
const digest = `sha256:${'0'.repeat(64)}`;

/** What is wrong before any route sees it: the same on both listeners. */
const malformed: Readonly<Record<string, string | Uint8Array>> = {
  garbage: 'NONSENSE\r\n\r\n',
  'TLS on a plain port': Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]),
  'HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'unknown method': 'BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'both lengths': `POST ${file} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  'two lengths': `POST ${file} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
  'negative length': `POST ${file} HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n`,
  'another transfer coding': `POST ${file} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  'obfuscated transfer coding': `POST ${file} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n`,
  'absurd chunk': `POST /wb/v1/decisions HTTP/1.1\r\nHost: localhost\r\n${bearer}\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n`,
  'bare line feeds': `GET ${file} HTTP/1.1\nHost: localhost\n\n`,
  'space before the colon': get(file, 'X-A : b'),
  'folded header': get(file, 'X-A: b', ' c'),
  'NUL in a header': get(file, 'X-A: b\0c'),
  'NUL in the path': get('/org/m/resolve/main/a\0b'),
  'overlong request line': get(`/org/m/resolve/main/${'a'.repeat(20_000)}`),
  'overlong header': get(file, `X-Long: ${'a'.repeat(20_000)}`),
  'ten thousand headers': get(file, ...Array.from({ length: 10_000 }, (_, index) => `X-${index}: 1`)),
};

describe('on both listeners', () => {
  for (const [name, bytes] of Object.entries(malformed)) {
    test(name, async () => {
      for (const url of [house.server.clients, house.server.console]) {
        const answer = await sendRaw(url, bytes);
        demandCode(answer);
        assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1, 'one answer only: nothing was smuggled');
      }
      await demandAlive();
    });
  }
});

const clientRows: readonly (readonly [string, string, number, string])[] = [
  ['dot segments', get('/org/m/resolve/main/../../../../etc/passwd'), 400, 'path.invalid'],
  ['encoded dot segments', get('/org/m/resolve/main/%2e%2e/%2e%2e/etc/passwd'), 400, 'path.invalid'],
  ['encoded slashes', get('/org/m/resolve/main/x%2F..%2F..%2Fetc'), 400, 'path.invalid'],
  ['twice encoded dots', get('/org/m/resolve/main/%252e%252e'), 404, 'EntryNotFound'],
  ['encoded NUL', get('/org/m/resolve/main/config.json%00.txt'), 400, 'path.invalid'],
  ['encoded line end', get('/org/m/resolve/main/x%0d%0aSet-Cookie:%20a'), 400, 'path.invalid'],
  ['backslash', get('/org/m/resolve/main/..%5c..%5cx'), 400, 'path.invalid'],
  ['bad escape', get('/org/m/resolve/main/%'), 400, 'path.invalid'],
  ['bad escape at the root', get('/%'), 400, 'path.invalid'],
  ['overlong UTF-8', get('/org/m/resolve/main/%c0%ae%c0%ae'), 400, 'path.invalid'],
  ['absolute form', get('http://elsewhere.example/org/m/resolve/main/config.json'), 400, 'path.invalid'],
  ['another namespace', get('/hf/secret/org/m/resolve/main/config.json'), 404, 'resource.unknown'],
  ['a namespace that is a path', get('/hf/..%2f../org/m/resolve/main/config.json'), 400, 'request.invalid'],
  ['unknown repository', get('/org/none/resolve/main/x'), 404, 'RepoNotFound'],
  ['unknown revision', get('/org/m/resolve/none/x'), 404, 'RevisionNotFound'],
  ["the people's interface", get('/wb/v1/artifacts', bearer), 404, 'resource.unknown'],
  ['writing', post('/api/models/org/m/commit/main', '{}', json), 403, 'request.forbidden'],
  [
    'a body over the limit',
    post('/api/models/org/m/paths-info/main', 'x'.repeat(1_100_000), json),
    413,
    'limit.exceeded',
  ],
  ['deep JSON', post('/api/models/org/m/paths-info/main', '['.repeat(500_000), json), 413, 'limit.exceeded'],
  [
    'deep JSON that ends',
    post('/api/models/org/m/paths-info/main', `{"paths":${'['.repeat(5_000)}${']'.repeat(5_000)}}`, json),
    413,
    'limit.exceeded',
  ],
  [
    'JSON with a prototype',
    post('/api/models/org/m/paths-info/main', '{"__proto__":{"paths":["config.json"]}}', json),
    400,
    'request.invalid',
  ],
  ['a range past the end', get(file, 'Range: bytes=99999999999999999999-'), 416, 'RangeNotSatisfiable'],
];

describe("the clients' listener", () => {
  for (const [name, bytes, status, code] of clientRows) {
    test(name, async () => {
      demandCode(await sendRaw(house.server.clients, bytes), { status, code });
      await demandAlive();
    });
  }

  test('an absurd Range is ignored or refused, never more than the file', async () => {
    const ranges = [
      'bytes=-',
      'bytes=5-1',
      'bytes=0-18446744073709551615',
      'bytes=-99999999999999999999',
      'bytes=0-0,1-1,2-2',
      'lines=1-2',
      `bytes=${'0-0,'.repeat(2_000)}0-0`,
      'bytes=0x0-1',
      'bytes=1e1-2',
    ];
    for (const range of ranges) {
      const answer = await sendRaw(house.server.clients, get(file, `Range: ${range}`));
      const { status, body } = parseAnswer(answer);
      assert.ok([200, 206, 416].includes(status), `${range}: ${status}`);
      if (status !== 416) assert.ok('{"a":1}'.includes(body), `${range}: ${body}`);
      assert.deepEqual(leaks.find(answer), []);
    }
    await demandAlive();
  });
});

const peopleRows: readonly (readonly [string, string, number, string])[] = [
  ['no token', get('/wb/v1/artifacts'), 401, 'request.unauthenticated'],
  [
    'a wrong token',
    get('/wb/v1/artifacts', 'Authorization: Bearer hf_wrongwrongwrongwrong'),
    401,
    'request.unauthenticated',
  ],
  [
    'a token of 8 000 characters',
    get('/wb/v1/artifacts', `Authorization: Bearer ${'a'.repeat(8_000)}`),
    401,
    'request.unauthenticated',
  ],
  [
    'a token in Basic',
    get('/wb/v1/artifacts', `Authorization: Basic ${testToken}`),
    401,
    'request.unauthenticated',
  ],
  ['nothing there', get('/wb/v2/artifacts', bearer), 404, 'resource.unknown'],
  ['bad escape', get('/console/%'), 400, 'path.invalid'],
  ['a digest that is a path', get('/wb/v1/artifacts/..%2f..%2fetc', bearer), 400, 'request.invalid'],
  [
    'a digest in upper case',
    get(`/wb/v1/artifacts/sha256:${'A'.repeat(64)}`, bearer),
    400,
    'request.invalid',
  ],
  ['an unknown digest', get(`/wb/v1/artifacts/${digest}`, bearer), 404, 'resource.unknown'],
  ['an absurd limit', get('/wb/v1/artifacts?limit=1e9', bearer), 400, 'request.invalid'],
  ['an unknown parameter', get('/wb/v1/artifacts?limits=1', bearer), 400, 'request.invalid'],
  ['a parameter twice', get('/wb/v1/artifacts?limit=1&limit=2', bearer), 400, 'request.invalid'],
  ['a made-up page', get('/wb/v1/artifacts?before=%00%27;drop', bearer), 400, 'request.invalid'],
  ['a NUL in the search', get('/wb/v1/artifacts?search=%00', bearer), 400, 'request.invalid'],
  ['no JSON', post('/wb/v1/decisions', '{', bearer, json), 400, 'json.invalid'],
  ['no body', post('/wb/v1/decisions', '', bearer, json), 400, 'json.invalid'],
  [
    'another content type',
    post('/wb/v1/decisions', '<x/>', bearer, 'Content-Type: text/xml'),
    400,
    'json.invalid',
  ],
  [
    'JSON with a prototype',
    post('/wb/v1/decisions', '{"__proto__":{"artifact":"x"}}', bearer, json),
    400,
    'json.invalid',
  ],
  [
    'deep JSON',
    post('/wb/v1/decisions', `${'['.repeat(200_000)}${']'.repeat(200_000)}`, bearer, json),
    400,
    'request.invalid',
  ],
  [
    'a body over the limit',
    post('/wb/v1/decisions', `"${'x'.repeat(1_100_000)}"`, bearer, json),
    413,
    'limit.exceeded',
  ],
  [
    'a hundred thousand files in a question',
    post(
      '/wb/v1/decisions',
      JSON.stringify({
        artifact: digest,
        action: 'pull',
        environment: 'staging',
        files: Array.from({ length: 100_000 }, () => 'a'),
      }),
      bearer,
      json,
    ),
    400,
    'request.invalid',
  ],
  [
    'an unknown environment',
    post(
      '/wb/v1/decisions',
      JSON.stringify({ artifact: digest, action: 'pull', environment: 'mars', files: null }),
      bearer,
      json,
    ),
    400,
    'request.invalid',
  ],
  [
    'a reason of nothing',
    post(`/wb/v1/artifacts/${digest}/deny`, '{"reason":"   "}', bearer, json),
    404,
    'resource.unknown',
  ],
];

describe("the people's listener", () => {
  for (const [name, bytes, status, code] of peopleRows) {
    test(name, async () => {
      demandCode(await sendRaw(house.server.console, bytes), { status, code });
      await demandAlive();
    });
  }
});

/** Asks until the verdict is there; 503 with a code and Retry-After in between is a fair answer. */
async function settle(
  server: TestServer,
  path: string,
  seconds: number,
): Promise<{ readonly status: number; readonly message: string; readonly body: string }> {
  const begun = performance.now();
  for (;;) {
    const answer = await fetch(`${server.clients}${path}`);
    const body = await answer.text();
    const message = answer.headers.get('x-error-message') ?? '';
    assert.deepEqual(leaks.find(`${JSON.stringify([...answer.headers])}\n${body}`), []);
    if (answer.status !== 503) return { status: answer.status, message, body };
    assert.ok(answer.headers.get('x-error-code') !== null && answer.headers.get('retry-after') !== null);
    assert.ok(performance.now() - begun < seconds * 1000, `still pending after ${seconds} s`);
  }
}

/** Most memory that the server's process held since the last call, in MiB. */
function peakMiB(server: TestServer): number {
  const { pid } = server.process;
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 'NaN');
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  assert.ok(peak > 0);
  return peak / 1024;
}

test('text that the database cannot hold is refused or finds nothing', async () => {
  await settle(house.server, '/org/m/resolve/main/config.json', 60);
  const { body } = await house.call('GET', '/wb/v1/artifacts?search=org%2Fm');
  const [row] = (body as { items: readonly { artifact: string }[] }).items;
  assert.ok(row);
  const question = { artifact: row.artifact, action: 'pull', environment: 'staging' };
  for (const text of [String.raw`a\u0000bcd`, String.raw`a\ud800bcd`, String.raw`a\udc00\ud800bcd`]) {
    const refused = { status: 400, code: 'request.invalid' };
    demandCode(
      await sendRaw(
        house.server.console,
        post(`/wb/v1/artifacts/${row.artifact}/deny`, `{"reason":"${text}"}`, bearer, json),
      ),
      refused,
    );
    const asked = JSON.stringify({ ...question, files: ['PLACE'] }).replace('PLACE', text);
    demandCode(await sendRaw(house.server.console, post('/wb/v1/decisions', asked, bearer, json)), refused);
  }
  const listed = await sendRaw(house.server.clients, get('/api/models?search=a%00b&author=%00&cursor=%00'));
  assert.deepEqual([parseAnswer(listed).status, parseAnswer(listed).body], [200, '[]']);
  await demandAlive();
});

test('a path out of the console leads to the console', async () => {
  const answer = await sendRaw(house.server.console, get('/console/../../../../../etc/passwd'));
  assert.ok(!answer.includes('root:'));
  assert.deepEqual(leaks.find(answer), []);
  await demandAlive();
});

test('10 000 small files: listed page by page, one of them pulled', { timeout: 300_000 }, async () => {
  const files = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, index) => [`d${index % 7}/f${index}.txt`, `${index}`]),
  );
  await house.hub.commit('org/many', files);
  const paths = new Set<string>();
  for (
    let url: string | undefined = `${house.server.clients}/api/models/org/many/tree/main?recursive=true`;
    url !== undefined;
  ) {
    const answer: Response = await fetch(url);
    assert.equal(answer.status, 200);
    for (const { path, type } of (await answer.json()) as { path: string; type: string }[])
      if (type === 'file') paths.add(path);
    url = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1];
  }
  assert.equal(paths.size, 10_000);
  const { status, body, message } = await settle(house.server, '/org/many/resolve/main/d3/f10.txt', 240);
  assert.equal(status, 200, message);
  assert.equal(body, '10');
  await demandAlive();
});

const zeros = deflateRawSync(Buffer.alloc(64 * 1024 * 1024), { level: 9 });
const u64le = (value: bigint): string => Buffer.from(new BigUint64Array([value]).buffer).toString('latin1');
const binary = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Model files that are small and would be enormous or endless to whoever believes them. */
const bombs: Readonly<Record<string, Uint8Array>> = {
  'overlapping.bin': buildZip(
    Array.from({ length: 400 }, (_, index) => ({
      name: `archive/data/${index}`,
      bytes: Buffer.alloc(0),
      body: zeros,
      local: { method: 8, sizeBytes: 64 * 1024 * 1024 },
      central: { method: 8, sizeBytes: 64 * 1024 * 1024, ...(index === 0 ? {} : { offset: 0 }) },
    })).slice(0, 60),
  ),
  'pickle-in-bomb.pt': buildZip([
    {
      name: 'archive/data.pkl',
      bytes: Buffer.alloc(0),
      body: deflateRawSync(Buffer.alloc(300 * 1024 * 1024, 0x28), { level: 1 }),
      central: { method: 8, sizeBytes: 300 * 1024 * 1024 },
      local: { method: 8, sizeBytes: 300 * 1024 * 1024 },
    },
  ]),
  // Every level is a list of the level below twice: 2^200 items to whoever walks it as a tree.
  'memo.pkl': binary(
    `\x80\x04]\x94${Array.from({ length: 200 }, (_, index) => `](h${String.fromCharCode(index)}h${String.fromCharCode(index)}e\x94`).join('')}.`,
  ),
  // (x, x) of (x, x) …: a tree of 2^500 from 1 000 opcodes.
  'dup.pkl': binary(`\x80\x04N${'2\x86'.repeat(500)}.`),
  'marks.pkl': binary(`\x80\x04${'('.repeat(20_000_000)}.`),
  'long-text.pkl': binary(`\x80\x04\x8d${u64le(0x7fffffffffffffffn)}abc.`),
  'long-frame.pkl': binary(`\x80\x04\x95${u64le(0xffffffffffffffffn)}N.`),
  'long-int.pkl': binary(`\x80\x04\x8b\xff\xff\xff\x7f\x01.`),
  'nested-tuples.pkl': binary(`\x80\x04N${'\x85'.repeat(3_000_000)}.`),
  'header.safetensors': binary(`${u64le(0x7fffffffffffffffn)}{}`),
  'deep.safetensors': Buffer.concat([binary(u64le(2_000_000n)), binary('['.repeat(2_000_000))]),
  'counts.gguf': Buffer.concat([
    binary(`GGUF\x03\0\0\0${u64le(0xffffffffffffffn)}${u64le(0xffffffffffffffn)}`),
    Buffer.alloc(64),
  ]),
};

describe('bombs as model files', () => {
  for (const [name, bytes] of Object.entries(bombs)) {
    test(
      `${name} (${bytes.length} bytes) is refused with a reason, in bounded memory`,
      { timeout: 200_000 },
      async (t) => {
        const repository = `org/bomb-${name.replace(/\W/g, '-')}`;
        await house.hub.commit(repository, { 'config.json': '{}', [name]: bytes });
        peakMiB(house.server);
        const before = peakMiB(house.server);
        const { status, message } = await settle(house.server, `/${repository}/resolve/main/${name}`, 180);
        const peak = peakMiB(house.server);
        t.diagnostic(`peak ${Math.round(peak)} MiB; ${message.slice(0, 160)}`);
        assert.equal(status, 403, message);
        assert.match(message, /\[development\.(scan-complete|not-malicious|not-suspicious)\]/);
        // One scan may take what limits.ts gives it; the server itself grows by little.
        assert.ok(peak - before < limits.scanMemoryMB + 256, `${before} MiB before, ${peak} MiB at most`);
        // What ended workers leave behind does not add up: two of them at most.
        assert.ok(peak < 2 * limits.scanMemoryMB + 768, `${peak} MiB`);
        await demandAlive();
      },
    );
  }
});

describe('an upstream that lies about its tree', () => {
  let upstream: HostileUpstream;
  let server: TestServer;

  before(async () => {
    upstream = await openHostileUpstream({
      'bad/dots': answerRows([treeRow('../x')]),
      'bad/inner-dots': answerRows([treeRow('a/../../x')]),
      'bad/absolute': answerRows([treeRow('/etc/passwd')]),
      'bad/nul': answerRows([treeRow('a\0b')]),
      'bad/newline': answerRows([treeRow('a\r\nX-Evil: 1')]),
      'bad/empty': answerRows([treeRow('')]),
      'bad/long': answerRows([treeRow('a'.repeat(5_000))]),
      'bad/twice': answerRows([treeRow('a'), treeRow('a')]),
      'bad/both': answerRows([treeRow('a'), treeRow('a/b')]),
      'bad/size': answerRows([treeRow('a', { size: -1 })]),
      'bad/large': answerRows([treeRow('a', { size: 1e300 })]),
      'bad/oid': answerRows([treeRow('a', { oid: '../../x' })]),
      'bad/lfs': answerRows([treeRow('a', { lfs: { oid: 'zz', size: 3, pointerSize: 130 } })]),
      'bad/object': (response) => void response.writeHead(200).end('{"a":1}'),
      'bad/deep': (response) => void response.writeHead(200).end('['.repeat(1_000_000)),
      'bad/prototype': (response) => void response.writeHead(200).end('[{"__proto__":{"type":"file"}}]'),
      'bad/huge': (response) => {
        response.writeHead(200, { 'content-length': String(1024 ** 3) });
        const chunk = Buffer.alloc(1024 * 1024, 0x20);
        const more = (): void => {
          while (!response.destroyed && response.write(chunk));
          if (!response.destroyed) response.once('drain', more);
        };
        more();
      },
      'bad/endless': (response, page, origin, commit) => {
        const next = `<${origin}/api/models/bad/endless/tree/${commit}?cursor=${page + 1}>; rel="next"`;
        response.writeHead(200, { link: next }).end(JSON.stringify([treeRow(`f${page}`)]));
      },
      'bad/broken': (response) =>
        void response.writeHead(200, { 'content-length': '100' }).write('[', () => response.destroy()),
    });
    server = await startTestServer({ upstream: upstream.url });
    leaks = openLeakDetector({
      'the data directory': server.data,
      'the checkout': root,
      'the upstream': upstream.url.host,
      'the administrator token': testToken,
    });
  });
  after(async () => {
    await server.stop();
    await upstream[Symbol.asyncDispose]();
    await removeFolder(server.data);
  });

  for (const name of [
    'dots',
    'inner-dots',
    'absolute',
    'nul',
    'newline',
    'empty',
    'long',
    'twice',
    'both',
    'size',
    'large',
    'oid',
    'lfs',
    'object',
    'deep',
    'prototype',
    'huge',
    'endless',
    'broken',
  ]) {
    test(name, { timeout: 90_000 }, async (t) => {
      peakMiB(server);
      for (const path of [`/bad/${name}/resolve/main/x`, `/api/models/bad/${name}/tree/main`]) {
        const answer = await sendRaw(server.clients, get(path), 60_000);
        demandCode(answer);
        t.diagnostic(
          `${parseAnswer(answer).status} ${parseAnswer(answer).code} ${parseAnswer(answer).body.slice(0, 160)}`,
        );
      }
      assert.ok(peakMiB(server) < 800);
      await demandAlive(server);
    });
  }

  test(
    'an upstream that is gone is answered as unavailable, without its address',
    { timeout: 60_000 },
    async () => {
      await upstream[Symbol.asyncDispose]();
      const answer = await sendRaw(server.clients, get('/good/gone/resolve/main/x'), 50_000);
      demandCode(answer, { status: 502, code: 'upstream.unavailable' });
      await demandAlive(server);
    },
  );
});
