import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openLoopbackHub, type LoopbackHub } from '../../../test/support/hub/hub.ts';
import { openPullHouse, type PullHouse } from '../../../test/support/pull-house.ts';

describe('holding', () => {
  let hub: LoopbackHub;
  let house: PullHouse;
  let turn = 0;

  before(async () => {
    hub = await openLoopbackHub();
    house = await openPullHouse(hub.url, { holdMs: 150, heartbeatMs: 40, longHoldMs: 700 });
  });
  after(async () => {
    await house[Symbol.asyncDispose]();
    await hub.close();
  });

  /** A cold file each time, with an intake of this length. */
  const cold = async (milliseconds: number): Promise<string> => {
    turn += 1;
    await hub.commit(`org/cold-${turn}`, { 'x.bin': 'held' });
    house.setIntakeDelay(milliseconds);
    return `/org/cold-${turn}/resolve/main/x.bin`;
  };
  const request = (method: string, path: string, headers: readonly string[] = []): string =>
    [`${method} ${path} HTTP/1.1`, 'Host: h', 'Connection: close', ...headers, '', ''].join('\r\n');
  const hfHub = 'User-Agent: unknown/None; hf_hub/2.4.0; python/3.11';

  test('a plain caller gets 503 and Retry-After after the bounded wait, and the file when it is ready', async () => {
    const path = await cold(400);
    const started = performance.now();
    const first = await fetch(house.url + path, { method: 'HEAD' });
    assert.equal(first.status, 503);
    assert.equal(first.headers.get('retry-after'), '1');
    assert.equal(first.headers.get('x-error-code'), 'IntakePending');
    assert.equal(first.headers.get('etag'), null);
    assert.ok(performance.now() - started < 1_000);
    for (let tries = 0; tries < 20; tries += 1) {
      const answer = await fetch(house.url + path);
      if (answer.status === 200) return assert.equal(await answer.text(), 'held');
      await answer.arrayBuffer();
      assert.equal(answer.status, 503);
    }
    assert.fail('the file never came');
  });

  test('a hub client is held with 100 Continue and nothing else until the verdict', async () => {
    const path = await cold(400);
    for (const method of ['HEAD', 'GET']) {
      const answer = await house.raw(request(method, path, [hfHub]), 2_000);
      const [final = '', ...interim] = answer.split('HTTP/1.1 100 Continue\r\n\r\n').toReversed();
      assert.match(final, /^HTTP\/1\.1 200 OK\r\n/);
      if (method === 'HEAD') assert.ok(interim.length >= 3, answer);
      assert.ok(
        interim.every((text) => text === ''),
        answer,
      );
    }
  });

  test('a hub client is kept alive while upstream takes its time with the listing', async () => {
    const path = await cold(0);
    hub.setDelay(200);
    const answer = await house.raw(request('HEAD', path.replace('x.bin', 'none.bin'), [hfHub]), 3_000);
    hub.setDelay(0);
    assert.match(answer, /^(?:HTTP\/1\.1 100 Continue\r\n\r\n){3,}HTTP\/1\.1 404 /);
  });

  test('a hub client that is held hears the refusal', async () => {
    const path = await cold(300);
    house.verdicts.denied.set('x.bin', 'a reason');
    const answer = await house.raw(request('HEAD', path, [hfHub]), 2_000);
    assert.match(answer, /100 Continue\r\n\r\nHTTP\/1\.1 403 /);
    assert.match(answer, /x-error-message: .*a reason/);
    house.verdicts.denied.clear();
  });

  test('the longest wait ends as well, and a hub client is told why in the form that it shows', async () => {
    const path = await cold(2_000);
    const answer = await house.raw(request('HEAD', path, [hfHub]), 3_000);
    assert.match(answer, /HTTP\/1\.1 403 /);
    assert.match(answer, /x-error-code: GatedRepo/);
    assert.match(answer, /x-error-message: weighbridge is still weighing `x\.bin`/);
    assert.match(answer, /retry-after: 1/);
  });

  for (const agent of [
    'curl/7.88.1',
    'Wget/1.21.3',
    'python-requests/2.34.2',
    'python-httpx/0.28.1',
    'aria2/1.36.0',
  ]) {
    test(`${agent} is held with 100 Continue as well`, async () => {
      const path = await cold(400);
      const answer = await house.raw(request('GET', path, [`User-Agent: ${agent}`]), 2_000);
      assert.match(answer, /^(?:HTTP\/1\.1 100 Continue\r\n\r\n){3,}HTTP\/1\.1 200 OK\r\n/);
    });
  }

  test('behind a proxy, who has no time-out waits in silence, and a hub client comes back often', async () => {
    const path = await cold(400);
    const answer = await house.raw(request('GET', path, ['User-Agent: curl/8', 'Via: 1.1 nginx']), 2_000);
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    house.setRetryAfter(42);
    const hub = await house.raw(request('HEAD', await cold(1_000), [hfHub, 'Via: 1.1 nginx']), 2_000);
    assert.match(hub, /^HTTP\/1\.1 503 /);
    assert.match(hub, /retry-after: 9\r\n/);
    house.setRetryAfter(1);
  });

  const unsafe: readonly (readonly [string, string, readonly string[]])[] = [
    ['Via', 'HTTP/1.1', [hfHub, 'Via: 1.1 nginx']],
    ['X-Forwarded-For', 'HTTP/1.1', [hfHub, 'X-Forwarded-For: 10.0.0.1']],
    ['HTTP/1.0', 'HTTP/1.0', [hfHub]],
    ['Node', 'HTTP/1.1', ['User-Agent: node']],
    ['Go', 'HTTP/1.1', ['User-Agent: Go-http-client/1.1']],
    ['a name that only holds another', 'HTTP/1.1', ['User-Agent: not-curl/8']],
    ['curl through a proxy', 'HTTP/1.1', ['User-Agent: curl/8', 'Forwarded: for=10.0.0.1']],
    ['nobody', 'HTTP/1.1', []],
  ];
  for (const [name, version, headers] of unsafe) {
    test(`no interim answer: ${name}`, async () => {
      const path = await cold(1_000);
      const answer = await house.raw(request('HEAD', path, headers).replace('HTTP/1.1', version), 2_000);
      assert.match(answer, /^HTTP\/1\.1 503 /);
      assert.ok(!answer.includes('100 Continue'));
    });
  }

  test('the JavaScript probe is delayed without a byte', async () => {
    const path = await cold(600);
    const answer = await fetch(house.url + path, { headers: { range: 'bytes=0-0' } });
    assert.equal(answer.status, 206);
    assert.equal(answer.headers.get('content-range'), 'bytes 0-0/4');
  });

  test('the intake goes on when the caller leaves, and many callers share one', async () => {
    const path = await cold(300);
    hub.forgetRequests();
    await assert.rejects(
      fetch(house.url + path, { headers: { range: 'bytes=0-0' }, signal: AbortSignal.timeout(60) }),
    );
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => fetch(house.url + path, { headers: { range: 'bytes=0-0' } })),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [206]);
    assert.equal(hub.seen.filter(({ server }) => server === 'cdn').length, 1);
  });
});
