import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openLoopbackHub, type LoopbackHub } from '../../../test/support/hub/hub.ts';
import { openPullHouse, type PullHouse } from '../../../test/support/pull-house.ts';
import { openRawDownload, type RawDownload } from '../../../test/support/raw-download.ts';

const MiB = 1024 * 1024;
const weights = randomBytes(12 * MiB + 345);
const held = weights.length - MiB;
const free = held - 4096;
const hf = { 'user-agent': 'unknown/None; hf_hub/1.33.0; python/3.11' };
const older = { 'user-agent': 'unknown/None; hf_hub/1.16.0; python/3.11' };

describe('tail', () => {
  let hub: LoopbackHub;
  let house: PullHouse;
  let turn = 0;
  let settle: () => void;
  const opened: RawDownload[] = [];

  before(async () => {
    hub = await openLoopbackHub();
    house = await openPullHouse(hub.url, {
      holdMs: 150,
      heartbeatMs: 40,
      longHoldMs: 60_000,
      trickleMs: 10,
      lingerMs: 1_500,
    });
  });
  after(async () => {
    settle();
    for (const download of opened) download.close();
    await house[Symbol.asyncDispose]();
    await hub.close();
  });
  beforeEach(() => {
    house.setDelivery({ mode: 'tail', everyClient: false });
    house.arriving.stopAt(Number.POSITIVE_INFINITY);
    house.verdicts.denied.clear();
    house.verdicts.withdrawn.clear();
    house.events.splice(0);
    house.marks.forget();
  });

  /** A cold file whose verdict waits for `settle`. */
  const cold = async (bytes: Uint8Array = weights, name = 'model.safetensors'): Promise<string> => {
    turn += 1;
    await hub.commit(`org/tail-${turn}`, { [name]: bytes });
    settle = house.holdIntakes();
    return `/org/tail-${turn}/resolve/main/${name}`;
  };
  const open = async (
    path: string,
    headers: Readonly<Record<string, string>> = hf,
    method = 'GET',
  ): Promise<RawDownload> => {
    const download = await openRawDownload(house.url, path, headers, method);
    opened.push(download);
    return download;
  };
  const got = (bytes: number) => (download: RawDownload) => download.received() >= bytes;
  const complete = (download: RawDownload): boolean =>
    download.received() === Number(download.header('content-length'));
  const refusal = async (
    path: string,
    headers: Readonly<Record<string, string>> = hf,
  ): Promise<RawDownload> => {
    const download = await open(path, headers, 'HEAD');
    await download.until((answer) => answer.head() !== '');
    return download;
  };

  test('HEAD is answered at once; GET has its head, and its bytes up to the held offset', async () => {
    const path = await cold();
    const asked = house.questions.length;
    const head = await open(path, hf, 'HEAD');
    await head.until((answer) => answer.status() !== 0);
    assert.equal(head.status(), 200);
    assert.equal(head.header('content-length'), String(weights.length));
    assert.match(head.header('etag') ?? '', /^"[0-9a-f]{64}"$/);
    assert.equal(head.header('x-linked-etag'), head.header('etag'));
    assert.match(head.header('x-repo-commit') ?? '', /^[0-9a-f]{40}$/);
    const get = await open(path);
    await get.until(got(free));
    assert.equal(get.status(), 200);
    assert.equal(get.header('content-length'), String(weights.length));
    assert.equal(get.header('transfer-encoding'), undefined);
    assert.equal(get.header('x-accel-buffering'), 'no');
    const before = get.body().length;
    assert.ok(before < held);
    await get.until(got(before + 5));
    assert.ok(get.body().length <= before + 100, 'a byte now and then');
    settle();
    await get.until(complete);
    assert.deepEqual(get.body(), weights);
    await pause(20);
    const noted = house.events.map(({ outcome, sentBytes }) => [outcome, sentBytes]);
    assert.deepEqual(noted, [
      ['held', 0],
      ['served', weights.length],
    ]);
    assert.equal(house.questions.length, asked + 1, 'decided once, answered once');
  });

  test('bytes leave as they arrive, long before the transfer ends', async () => {
    const path = await cold();
    house.arriving.stopAt(3 * MiB + 17);
    const get = await open(path);
    await get.until(got(3 * MiB + 17));
    await pause(50);
    assert.equal(get.body().length, 3 * MiB + 17, 'what has not arrived cannot leave');
    house.arriving.stopAt(Number.POSITIVE_INFINITY);
    settle();
    await get.until(complete);
    assert.deepEqual(get.body(), weights);
  });

  test('no answer to any range carries a byte at or past the held offset before the verdict', async () => {
    const path = await cold();
    const position = (): number => Math.floor(Math.random() * weights.length);
    const near = (): number => held - 5 + Math.floor(Math.random() * 10);
    const ranges: (readonly [string | undefined, number, number])[] = [
      [undefined, 0, weights.length],
      ['bytes=0-0', 0, 1],
      ['bytes=0-', 0, weights.length],
      ['bytes=-1', weights.length - 1, weights.length],
      [`bytes=-${MiB}`, held, weights.length],
      [`bytes=-${MiB + 1}`, held - 1, weights.length],
      [`bytes=-${MiB + 5000}`, held - 5000 + 0, weights.length],
      [`bytes=${held}-`, held, weights.length],
      [`bytes=${held - 1}-`, held - 1, weights.length],
      [`bytes=${held - 1}-${held}`, held - 1, held + 1],
      [`bytes=${free}-${held - 1}`, free, held],
      [`bytes=${weights.length - 1}-`, weights.length - 1, weights.length],
      [`bytes=${10 * MiB}-`, 10 * MiB, weights.length],
      ['bytes=0-99999999999999999999', 0, weights.length],
      ['bytes=0-1,3-4', 0, weights.length],
      ['bytes=5-2', 0, weights.length],
    ];
    for (let index = 0; index < 24; index += 1) {
      const [a, b] = index % 2 === 0 ? [position(), position()] : [near(), position()];
      ranges.push([`bytes=${Math.min(a, b)}-${Math.max(a, b)}`, Math.min(a, b), Math.max(a, b) + 1]);
    }
    const downloads = await Promise.all(
      ranges.map(async ([range, start, end]) => {
        const get = await open(path, range === undefined ? hf : { ...hf, range });
        if (start < held) await get.until(got(Math.max(0, Math.min(end, free) - start)), 30_000);
        return { get, range, start, end };
      }),
    );
    await pause(100);
    for (const { get, range, start, end } of downloads) {
      const words = range ?? 'no range';
      const body = get.body();
      assert.ok(body.equals(weights.subarray(start, start + body.length)), words);
      assert.ok(body.length === 0 || start + body.length <= held, `${range}: ${start} + ${body.length}`);
      if (start >= held) assert.equal(body.length, 0, words);
      else assert.equal(get.header('content-length'), String(end - start), words);
      assert.equal(get.header('transfer-encoding'), undefined);
    }
    settle();
    for (const { get, range, start, end } of downloads) {
      const words = range ?? 'no range';
      await get.until(complete);
      assert.ok(get.body().equals(weights.subarray(start, end)), words);
      const partial = get.status() === 206;
      const content = partial ? `bytes ${start}-${end - 1}/${weights.length}` : undefined;
      assert.equal(get.header('content-range'), content, words);
    }
  });

  test('the trickle ends before the held offset, however long it goes on', async () => {
    const path = await cold();
    const get = await open(path, { ...hf, range: `bytes=${held - 4}-` });
    await get.until(got(4));
    await pause(150);
    assert.deepEqual(get.body(), weights.subarray(held - 4, held));
    settle();
    await get.until(complete);
    assert.deepEqual(get.body(), weights.subarray(held - 4));
  });

  test('a range that starts in the held part: interim answers where they may be sent, else a head and silence', async () => {
    const path = await cold();
    const range = `bytes=${held}-`;
    const interim = await open(path, { ...hf, range });
    await interim.until((answer) => answer.interim() >= 3);
    assert.equal(interim.status(), 0);
    house.setDelivery({ mode: 'tail', everyClient: true });
    const silent = await open(path, { 'user-agent': 'another/1', range });
    await silent.until((answer) => answer.status() === 206);
    assert.equal(silent.header('content-range'), `bytes ${held}-${weights.length - 1}/${weights.length}`);
    await pause(100);
    assert.equal(silent.body().length, 0);
    settle();
    for (const get of [interim, silent]) {
      await get.until(complete);
      assert.equal(get.status(), 206);
      assert.deepEqual(get.body(), weights.subarray(held));
    }
  });

  test('nothing is tailed that a rule, the client or the file forbids', async () => {
    const rows: readonly (readonly [string, Readonly<Record<string, string>>, Uint8Array?])[] = [
      ['unknown client', { 'user-agent': 'another/1' }],
      ['no client name', {}],
      ['Node', { 'user-agent': 'node' }],
      ['plain client', { 'user-agent': 'curl/8.0' }],
      ['through a proxy', { ...hf, via: '1.1 nginx' }],
      ['for somebody', { ...hf, 'x-forwarded-for': '10.0.0.1' }],
      ['a cached copy', { ...hf, 'if-none-match': '*' }],
      ['a range past the end', { ...hf, range: `bytes=${weights.length}-` }],
      ['small file', hf, weights.subarray(0, 10 * MiB - 1)],
    ];
    for (const [name, headers, bytes] of rows) {
      const path = await cold(bytes);
      const get = await open(path, headers);
      await pause(120);
      assert.equal(get.body().length, 0, name);
      assert.equal(get.status(), 0, name);
      settle();
      get.close();
    }
    for (const mode of ['hold', 'approve'] as const) {
      house.setDelivery({ mode, everyClient: true });
      const path = await cold();
      for (const method of ['HEAD', 'GET']) {
        const get = await open(path, hf, method);
        await get.until((answer) => answer.interim() >= 2);
        assert.equal(get.head(), '', `${mode} ${method}`);
        get.close();
      }
      settle();
    }
  });

  test('a rule for every client: plain clients are tailed as well', async () => {
    house.setDelivery({ mode: 'tail', everyClient: true });
    const path = await cold();
    const downloads = await Promise.all(
      [{}, { 'user-agent': 'curl/8.0' }, { ...hf, via: '1.1 nginx' }].map((headers) => open(path, headers)),
    );
    for (const get of downloads) await get.until(got(free));
    settle();
    for (const get of downloads) {
      await get.until(complete);
      assert.deepEqual(get.body(), weights);
    }
  });

  test('a commit that is withdrawn while the first bytes are waited for is refused', async () => {
    const path = await cold();
    house.arriving.stopAt(0);
    const get = await open(path);
    await get.until((answer) => answer.interim() > 0);
    const commit = /tail-(\d+)/.exec(path)?.[1];
    house.verdicts.denied.set('*', `stolen ${commit}`);
    house.arriving.stopAt(Number.POSITIVE_INFINITY);
    await get.until((answer) => answer.status() !== 0);
    assert.equal(get.status(), 403);
    assert.match(get.header('x-error-message') ?? '', /stolen/);
    settle();
  });

  const cuts: readonly (readonly [string, Readonly<Record<string, string>>, 'end' | 'reset', boolean])[] = [
    ['huggingface_hub from 1.20', hf, 'end', false],
    ['huggingface_hub 2', { 'user-agent': 'hf_hub/2.4.0' }, 'end', false],
    ['huggingface_hub before 1.20', older, 'reset', true],
    ['huggingface_hub 0.36', { 'user-agent': 'hf_hub/0.36.0' }, 'reset', true],
    ['any other client', { 'user-agent': 'curl/8.0' }, 'reset', false],
  ];
  for (const [name, headers, end, lingers] of cuts) {
    test(`refused while it streams: ${name}`, async () => {
      house.setDelivery({ mode: 'tail', everyClient: true });
      const path = await cold();
      const get = await open(path, headers);
      await get.until(got(free));
      house.verdicts.denied.set('model.safetensors', 'a reason');
      const asked = house.questions.length;
      settle();
      while (house.questions.length === asked) await pause(5);
      if (lingers) assert.equal(get.ended(), undefined, 'silent and open');
      await get.until((answer) => answer.ended() !== undefined);
      assert.equal(get.ended(), end);
      const sent = get.body().length;
      assert.ok(sent <= held && get.body().equals(weights.subarray(0, sent)));
      for (const range of [
        undefined,
        'bytes=0-0',
        `bytes=${sent}-`,
        'bytes=-1',
        `bytes=${weights.length}-`,
      ]) {
        const again = await open(path, range === undefined ? headers : { ...headers, range });
        await again.until((answer) => answer.status() !== 0);
        assert.equal(again.status(), 403);
        assert.equal(again.header('x-error-code'), 'gatedrepo');
        assert.match(again.header('x-error-message') ?? '', /a reason/);
      }
      assert.equal((await refusal(path, headers)).status(), 403);
      const note = house.events.find(({ outcome }) => outcome === 'refused');
      assert.equal(note?.sentBytes, sent);
      assert.equal(note.reason, 'no-code-on-load');
    });
  }

  test('the hold has an end, and the next request is told so at once', async (t) => {
    const brief = await openPullHouse(hub.url, { longHoldMs: 300, trickleMs: 20, lingerMs: 100 });
    t.after(() => brief[Symbol.asyncDispose]());
    brief.setDelivery({ mode: 'tail', everyClient: false });
    const path = await cold();
    const settleBrief = brief.holdIntakes();
    const get = await openRawDownload(brief.url, path, hf);
    opened.push(get);
    await get.until((answer) => answer.ended() !== undefined);
    assert.ok(get.body().length >= free && get.body().length <= held);
    const resumed = await openRawDownload(brief.url, path, { ...hf, range: `bytes=${get.body().length}-` });
    opened.push(resumed);
    await resumed.until((answer) => answer.status() !== 0);
    assert.equal(resumed.status(), 403);
    assert.match(resumed.header('x-error-message') ?? '', /still weighing/);
    settleBrief();
    settle();
  });

  test('an upstream that lies: cut, refused, and a later honest transfer is never joined to the lie', async () => {
    turn += 1;
    const id = `org/tail-${turn}`;
    await hub.commit(id, { 'model.safetensors': weights });
    hub.lie(id, 'wrong-bytes', { path: 'model.safetensors' });
    house.arriving.stopAt(4 * MiB);
    const path = `/${id}/resolve/main/model.safetensors`;
    const get = await open(path);
    await get.until(got(4 * MiB));
    house.arriving.stopAt(Number.POSITIVE_INFINITY);
    await get.until((answer) => answer.ended() !== undefined);
    assert.ok(get.body().length <= held);
    assert.equal((await refusal(path)).status(), 403);
    hub.honest(id);
    house.forget();
    const resumed = await open(path, { ...hf, range: `bytes=${4 * MiB}-` });
    await resumed.until(complete);
    assert.equal(resumed.status(), 200, 'the whole file, not the rest of another one');
    assert.deepEqual(resumed.body(), weights);
    const part = await open(path, { ...hf, range: 'bytes=5-9' });
    await part.until(complete);
    assert.equal(part.status(), 206);
  });

  test('bytes that were thrown away: the connection ends, a resume starts anew, nothing is completed with them', async () => {
    const path = await cold();
    house.arriving.stopAt(4 * MiB);
    const get = await open(path);
    await get.until(got(4 * MiB));
    const [name = ''] = house.arriving.names().filter((candidate) => candidate.includes(`tail-${turn}@`));
    house.arriving.discard(name);
    const resumed = await open(path, { ...hf, range: `bytes=${4 * MiB}-` });
    await resumed.until((answer) => answer.status() !== 0);
    assert.equal(resumed.status(), 200);
    house.arriving.stopAt(Number.POSITIVE_INFINITY);
    settle();
    await get.until((answer) => answer.ended() !== undefined);
    assert.ok(get.body().length < held);
    await resumed.until(complete);
    assert.deepEqual(resumed.body(), weights);
    const later = await open(path, { ...hf, range: `bytes=${4 * MiB}-` });
    await later.until(complete);
    assert.equal(later.status(), 200);
  });

  test('a resume within one transfer is a resume', async () => {
    const path = await cold();
    const get = await open(path);
    await get.until(got(free));
    get.close();
    const resumed = await open(path, { ...hf, range: `bytes=${10 * MiB}-` });
    await resumed.until(got(free - 10 * MiB));
    assert.equal(resumed.status(), 206);
    settle();
    await resumed.until(complete);
    assert.deepEqual(resumed.body(), weights.subarray(10 * MiB));
    const later = await open(path, { ...hf, range: `bytes=${10 * MiB}-` });
    await later.until(complete);
    assert.equal(later.status(), 206);
  });

  test('many at once share one transfer, those who leave disturb nobody, and nothing stays open', async () => {
    const path = await cold();
    hub.forgetRequests();
    const downloads = await Promise.all(Array.from({ length: 20 }, () => open(path)));
    for (const [index, get] of downloads.entries()) {
      await get.until(got(index < 5 ? 1 : free));
      if (index < 5) get.close();
    }
    settle();
    for (const get of downloads.slice(5)) {
      await get.until(complete);
      assert.ok(get.body().equals(weights));
      get.close();
    }
    assert.equal(hub.seen.filter(({ server }) => server === 'cdn').length, 1);
    for (let tries = 0; house.arriving.open() > 0 && tries < 100; tries += 1) await pause(20);
    assert.equal(house.arriving.open(), 0);
  });
});
