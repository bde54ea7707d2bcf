import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openLoopbackHub, type LoopbackHub } from '../../../test/support/hub/hub.ts';
import { openPullHouse, type PullHouse } from '../../../test/support/pull-house.ts';

/** Requests as bytes on a socket: what fetch would repair before sending. */
describe('request hygiene', () => {
  let hub: LoopbackHub;
  let house: PullHouse;

  before(async () => {
    hub = await openLoopbackHub();
    house = await openPullHouse(hub.url, { holdMs: 200 });
    await hub.commit('org/m', { 'config.json': '{"a":1}' });
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await hub.close();
  });

  const good = '/org/m/resolve/main/config.json';
  const get = (path: string, ...headers: readonly string[]): string =>
    [`GET ${path} HTTP/1.1`, 'Host: h', 'Connection: close', ...headers, '', ''].join('\r\n');
  const post = (body: string, ...headers: readonly string[]): string =>
    [
      'POST /api/models/org/m/paths-info/main HTTP/1.1',
      'Host: h',
      'Connection: close',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...headers,
      '',
      body,
    ].join('\r\n');
  const json = 'Content-Type: application/json';

  const rows: readonly (readonly [string, string, number, string])[] = [
    ['dot segments', get('/org/m/resolve/main/../../../../etc/passwd'), 400, 'path.invalid'],
    ['encoded dot segments', get('/org/m/resolve/main/%2e%2e/%2e%2e/etc/passwd'), 400, 'path.invalid'],
    ['double encoding stays one name', get('/org/m/resolve/main/%252e%252e'), 404, 'EntryNotFound'],
    ['encoded slash', get('/org/m/resolve/main/x%2F..%2F..%2Fetc'), 400, 'path.invalid'],
    ['NUL', get('/org/m/resolve/main/config.json%00.txt'), 400, 'path.invalid'],
    ['encoded CR LF', get('/org/m/resolve/main/x%0d%0aSet-Cookie:%20a'), 400, 'path.invalid'],
    ['backslash', get('/org/m/resolve/main/..%5c..%5cx'), 400, 'path.invalid'],
    ['double slash', get('//org/m/resolve/main/config.json'), 400, 'path.invalid'],
    ['double slash inside', get('/org/m/resolve/main//config.json'), 400, 'path.invalid'],
    ['bad escape', get('/org/m/resolve/main/%'), 400, 'path.invalid'],
    ['overlong UTF-8', get('/org/m/resolve/main/%c0%ae%c0%ae'), 400, 'path.invalid'],
    ['lone surrogate', get('/org/m/resolve/main/%ed%a0%80'), 400, 'path.invalid'],
    ['raw bytes above ASCII', get('/org/m/resolve/main/\xff\xfe'), 400, 'request.invalid'],
    ['overlong path', get(`/org/m/resolve/main/${'a/'.repeat(3_000)}b`), 400, 'path.invalid'],
    ['overlong component', get(`/org/m/resolve/main/${'a'.repeat(256)}`), 400, 'path.invalid'],
    ['overlong request line', get(`/org/m/resolve/main/${'a'.repeat(20_000)}`), 431, 'limit.exceeded'],
    ['overlong header', get(good, `X-Long: ${'a'.repeat(20_000)}`), 431, 'limit.exceeded'],
    ['absolute form', get('http://elsewhere.example/org/m/resolve/main/config.json'), 400, 'path.invalid'],
    ['bad namespace', get('/hf/..%2f../org/m/resolve/main/config.json'), 400, 'request.invalid'],
    ['bad repository', get('/or%20g/m/resolve/main/config.json'), 400, 'request.invalid'],
    ['bad revision', get('/org/m/resolve/a%20b/config.json'), 400, 'request.invalid'],
    ['revision with dots', get('/org/m/resolve/a..b/config.json'), 400, 'request.invalid'],
    ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400, ''],
    ['garbage', 'NONSENSE\r\n\r\n', 400, 'request.invalid'],
    ['TLS on a plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'request.invalid'],
    ['unknown method', 'BREW / HTTP/1.1\r\nHost: h\r\n\r\n', 400, 'request.invalid'],
    [
      'CL and TE',
      `POST ${good} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n`,
      400,
      'request.invalid',
    ],
    [
      'two CL',
      `POST ${good} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
      400,
      'request.invalid',
    ],
    [
      'TE not chunked',
      `POST ${good} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
      400,
      'request.invalid',
    ],
    ['bare LF in a header', `GET ${good} HTTP/1.1\nHost: h\n\n`, 400, 'request.invalid'],
    ['space before the colon', get(good, 'X-A : b'), 400, 'request.invalid'],
    ['folded header', get(good, 'X-A: b', ' c'), 400, 'request.invalid'],
    ['negative CL', `POST ${good} HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n`, 400, 'request.invalid'],
    [
      'absurd chunk',
      'POST /api/models/org/m/paths-info/main HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n',
      400,
      'request.invalid',
    ],
    ['body too large', post('x'.repeat(1_100_000), json), 413, 'limit.exceeded'],
    ['deep JSON', post('['.repeat(100_000), json), 413, 'limit.exceeded'],
    [
      'deep JSON in paths',
      post(`{"paths":${'['.repeat(5_000)}${']'.repeat(5_000)}}`, json),
      413,
      'limit.exceeded',
    ],
    ['not JSON', post('{"paths":', json), 400, 'json.invalid'],
    ['JSON of another shape', post('{"paths":[1]}', json), 400, 'request.invalid'],
    ['JSON that is a list', post('[]', json), 400, 'request.invalid'],
    ['JSON with a prototype', post('{"__proto__":{"paths":["config.json"]}}', json), 400, 'request.invalid'],
    ['duplicate member', post('{"paths":["a"],"paths":["b"]}', json), 400, 'json.invalid'],
    [
      'too many paths',
      post(`paths=${'a&paths='.repeat(20_000)}`, 'Content-Type: application/x-www-form-urlencoded'),
      413,
      'limit.exceeded',
    ],
  ];

  for (const [name, bytes, status, code] of rows) {
    test(name, async () => {
      const answer = await house.raw(bytes);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), answer.slice(0, 400));
      if (code !== '')
        assert.match(answer, new RegExp(`^x-error-code: ${code.replace('.', '\\.')}\\r$`, 'im'));
      assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1, 'one answer only');
      assert.ok(!/node_modules|\.ts:\d|at \w+ \(/.test(answer), 'no stack trace');
      const alive = await fetch(house.url + good);
      assert.equal(await alive.text(), '{"a":1}');
    });
  }

  test('a tree of 10 000 files comes in pages with absolute links, each path once', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, index) => [`d${index % 7}/f${index}.txt`, 'x']),
    );
    await hub.commit('org/many', files);
    const paths = new Set<string>();
    let url: string | undefined = `${house.url}/api/models/org/many/tree/main?recursive=true`;
    let pages = 0;
    for (; url !== undefined; pages += 1) {
      assert.ok(url.startsWith(`${house.url}/api/models/org/many/tree/`));
      const answer: Response = await fetch(url);
      for (const { path, type } of (await answer.json()) as { path: string; type: string }[]) {
        assert.ok(!paths.has(path));
        if (type === 'file') paths.add(path);
      }
      url = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1];
    }
    assert.equal(paths.size, 10_000);
    assert.equal(pages, 11);
  });

  test('a malformed cursor or Host is an answer, not a crash', async () => {
    for (const cursor of ['%00', 'AAAA', 'x'.repeat(3_000), '..']) {
      const answer = await fetch(`${house.url}/api/models/org/m/tree/main?cursor=${cursor}&limit=-1`);
      assert.equal(answer.status, 200);
    }
    await hub.commit('org/two', { a: '1', b: '2' });
    const answer = await house.raw(
      'GET /api/models/org/two/tree/main?limit=1 HTTP/1.1\r\nHost: h>;evil\r\nConnection: close\r\n\r\n',
    );
    assert.match(answer, /^HTTP\/1\.1 400 /);
  });
});
