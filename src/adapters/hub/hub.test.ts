import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '#artifact/digest.ts';
import { Fault, type FaultCode } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { openLoopbackHub, type LoopbackHub } from '../../../test/support/hub/hub.ts';
import type { Lie } from '../../../test/support/hub/state.ts';
import { memoryBlobs } from '../../../test/support/memory-blobs.ts';
import type { HubSource } from './hub-values.ts';
import { openHub, type Hub } from './hub.ts';

const big = Buffer.alloc(400_000, 'large file ');
const small = Buffer.from('{"small":true}');
const files = { 'a/config.json': small, 'model.bin': big, 'empty.txt': '' };

describe('upstream hub', () => {
  let upstream: LoopbackHub;
  let hub: Hub;
  let turn = 0;
  const signal = new AbortController().signal;

  before(async () => {
    upstream = await openLoopbackHub();
    const timeouts = { headerMs: 300, idleMs: 200 };
    hub = openHub({ upstream: upstream.url, token: new Redacted('house-token'), timeouts, retryMs: 1 });
  });
  after(() => upstream.close());

  const repository = (): { readonly type: 'models'; readonly id: string } => ({
    type: 'models',
    id: `org/m${turn}`,
  });
  const fresh = async (): Promise<string> => {
    turn += 1;
    return upstream.commit(`org/m${turn}`, files);
  };
  const sourceOf = async (commit: string, path: string): Promise<HubSource> => {
    const file = (await hub.tree(repository(), commit, signal)).find((candidate) => candidate.path === path);
    assert.ok(file);
    return { repository: repository(), commit, file };
  };
  const isFault = (code: FaultCode) => (error: unknown) => {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };

  test('resolves, lists and fetches what is true', async () => {
    const commit = await fresh();
    const found = await hub.resolve(repository(), 'main', signal);
    assert.deepEqual(found.kind === 'found' && found.commit, commit);
    assert.deepEqual(
      (await hub.tree(repository(), commit, signal)).map(({ path }) => path),
      ['a/config.json', 'empty.txt', 'model.bin'],
    );
    const blobs = memoryBlobs();
    for (const [path, bytes] of Object.entries(files)) {
      const stored = await hub.fetch(await sourceOf(commit, path), blobs, signal);
      assert.equal(stored.digest, digestOf(Buffer.from(bytes)), path);
    }
    assert.deepEqual(await hub.refs(repository(), signal), {
      branches: [{ name: 'main', ref: 'refs/heads/main', commit }],
      tags: [],
    });
  });

  test('what is absent is a value', async () => {
    await fresh();
    assert.deepEqual(await hub.resolve(repository(), 'nowhere', signal), {
      kind: 'absent',
      what: 'revision',
    });
    assert.deepEqual(await hub.resolve({ type: 'models', id: 'org/none' }, 'main', signal), {
      kind: 'absent',
      what: 'repository',
    });
    assert.equal(await hub.refs({ type: 'models', id: 'org/none' }, signal), undefined);
  });

  test('our token goes to the upstream and not to its CDN', async () => {
    const commit = await fresh();
    upstream.forgetRequests();
    await hub.fetch(await sourceOf(commit, 'model.bin'), memoryBlobs(), signal);
    const tokens = (server: string): unknown[] =>
      upstream.seen.filter((seen) => seen.server === server).map(({ headers }) => headers['authorization']);
    assert.deepEqual([...new Set(tokens('hub'))], ['Bearer house-token']);
    assert.deepEqual(tokens('cdn'), [undefined]);
  });

  test('a tree over many pages', async () => {
    const commit = await fresh();
    upstream.setPageSize(1);
    assert.equal((await hub.tree(repository(), commit, signal)).length, 3);
    upstream.setPageSize(1_000);
  });

  const aboutBytes: readonly (readonly [Lie, FaultCode])[] = [
    ['wrong-bytes', 'upstream.lied'],
    ['short', 'upstream.lied'],
    ['long', 'upstream.lied'],
    ['short-chunked', 'upstream.lied'],
    ['long-chunked', 'upstream.lied'],
    ['encoded', 'upstream.lied'],
    ['silent', 'upstream.unavailable'],
    ['status-500', 'upstream.unavailable'],
  ];
  for (const path of ['a/config.json', 'model.bin']) {
    for (const [lie, code] of aboutBytes) {
      test(`${lie} in \`${path}\` stores nothing`, async () => {
        const source = await sourceOf(await fresh(), path);
        upstream.lie(repository().id, lie, { path });
        const blobs = memoryBlobs();
        await assert.rejects(hub.fetch(source, blobs, signal), isFault(code));
        assert.equal(blobs.held.size, 0);
      });
    }
  }

  for (const lie of ['redirect-inside', 'redirect-loop'] as const) {
    test(`${lie} is not followed`, async () => {
      const source = await sourceOf(await fresh(), 'model.bin');
      upstream.lie(repository().id, lie);
      await assert.rejects(hub.fetch(source, memoryBlobs(), signal), isFault('upstream.lied'));
    });
  }

  for (const lie of ['cut', 'stall', 'status-503'] as const) {
    test(`${lie} once is bridged`, { timeout: 5_000 }, async () => {
      const source = await sourceOf(await fresh(), 'model.bin');
      upstream.lie(repository().id, lie, { path: 'model.bin', times: 1 });
      const stored = await hub.fetch(source, memoryBlobs(), signal);
      assert.equal(stored.digest, digestOf(big));
    });
  }

  test('a download that continues at another place is a lie', async () => {
    const source = await sourceOf(await fresh(), 'model.bin');
    upstream.lie(repository().id, 'wrong-range');
    upstream.lie(repository().id, 'cut', { times: 1 });
    await assert.rejects(hub.fetch(source, memoryBlobs(), signal), isFault('upstream.lied'));
  });

  test('bytes that the store has are read from upstream all the same', async () => {
    const source = await sourceOf(await fresh(), 'model.bin');
    const blobs = memoryBlobs();
    const stored = await blobs.put(big);
    const lazy = { ...blobs, put: async () => stored };
    await hub.fetch(source, lazy, signal);
    upstream.lie(repository().id, 'wrong-bytes');
    await assert.rejects(hub.fetch(source, lazy, signal), isFault('upstream.lied'));
  });

  const aboutTrees: readonly Lie[] = ['bad-path', 'duplicate', 'foreign-page', 'same-page', 'not-json'];
  for (const lie of aboutTrees) {
    test(`a tree with ${lie}`, async () => {
      const commit = await fresh();
      upstream.lie(
        repository().id,
        lie,
        lie === 'bad-path' || lie === 'duplicate' ? { path: 'model.bin' } : {},
      );
      await assert.rejects(hub.tree(repository(), commit, signal), isFault('upstream.lied'));
    });
  }

  for (const lie of ['wrong-size', 'wrong-digest'] as const) {
    for (const path of ['a/config.json', 'model.bin']) {
      test(`a tree with ${lie} of \`${path}\` contradicts the bytes`, async () => {
        const commit = await fresh();
        upstream.lie(repository().id, lie, { path });
        const source = await sourceOf(commit, path);
        await assert.rejects(hub.fetch(source, memoryBlobs(), signal), isFault('upstream.lied'));
      });
    }
  }

  test('every way in which a request ends gives its turn back', { timeout: 20_000 }, async () => {
    const timeouts = { headerMs: 300, idleMs: 200 };
    const narrow = openHub({ upstream: upstream.url, timeouts, retryMs: 1, concurrency: 2 });
    const ends: readonly Lie[] = [
      'wrong-bytes',
      'short',
      'long-chunked',
      'encoded',
      'gone',
      'redirect-private',
      'cut',
      'stall',
    ];
    for (const lie of ends) {
      const source = await sourceOf(await fresh(), 'model.bin');
      upstream.lie(repository().id, lie, lie === 'cut' || lie === 'stall' ? { times: 1 } : {});
      await narrow.fetch(source, memoryBlobs(), signal).catch(() => {});
      upstream.honest(repository().id);
      const stop = new AbortController();
      for await (const chunk of narrow.bytes(source, { offset: 0, signal: stop.signal })) {
        assert.ok(chunk.length > 0);
        break;
      }
      stop.abort();
      await assert.rejects(narrow.fetch(source, memoryBlobs(), stop.signal));
    }
    upstream.lie(repository().id, 'not-json');
    await assert.rejects(narrow.tree(repository(), '0'.repeat(40), signal));
    for (const { host, active, waiting } of narrow.health())
      assert.deepEqual([active, waiting], [0, 0], host);
  });

  test('a limit that upstream announces is kept without asking again', async () => {
    const commit = await fresh();
    const limited = openHub({ upstream: upstream.url, retryMs: 1 });
    upstream.lie(repository().id, 'status-429-ratelimit', { times: 1 });
    await assert.rejects(limited.resolve(repository(), 'main', signal), isFault('upstream.unavailable'));
    upstream.forgetRequests();
    for (let asked = 0; asked < 20; asked += 1) {
      await assert.rejects(limited.tree(repository(), commit, signal), (error: unknown) => {
        assert.ok(error instanceof Fault);
        assert.equal(error.details['refusedHere'], true);
        return true;
      });
    }
    assert.equal(upstream.seen.length, 0);
    assert.equal(limited.health()[0]?.state, 'limited');
  });

  test('a port where nobody listens is asked a few times, then for nothing', async () => {
    const gone = await openLoopbackHub();
    const { url } = gone;
    await gone.close();
    const lost = openHub({
      upstream: url,
      retryMs: 1,
      breaker: { failures: 5, restMs: 60_000, longestMs: 60_000 },
    });
    const ask = () => lost.resolve({ type: 'models', id: 'org/x' }, 'main', signal);
    for (let asked = 0; asked < 10; asked += 1) await assert.rejects(ask(), isFault('upstream.unavailable'));
    const [host] = lost.health();
    assert.deepEqual([host?.state, host?.requests, host?.lastSuccessMs], ['away', 5, undefined]);
    assert.match(host?.lastFailure?.words ?? '', /ECONNREFUSED/);
  });
});
