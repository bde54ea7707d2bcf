import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import type { Listing, Resolution } from '#gates/pull/ports.ts';
import { Fault } from '#lib/fault.ts';
import { resolvePatiently } from './patience.ts';

const repository = { type: 'models', id: 'org/name' } as const;
const unavailable = (error: unknown): boolean =>
  error instanceof Fault && error.code === 'upstream.unavailable';

function house() {
  const upstream = {
    asked: 0,
    pending: [] as PromiseWithResolvers<Resolution>[],
    stored: undefined as Resolution | undefined,
  };
  const resolve = resolvePatiently(
    {
      resolve: () => {
        upstream.asked += 1;
        const asking = Promise.withResolvers<Resolution>();
        upstream.pending.push(asking);
        return asking.promise;
      },
      stored: () => Promise.resolve(upstream.stored),
    },
    8_000,
  );
  return { upstream, ask: () => resolve('default', repository, 'main') };
}

const listing = (commit: string): Resolution => {
  const card = {
    createdAt: undefined,
    lastModified: undefined,
    tags: [],
    pipelineTag: undefined,
    libraryName: undefined,
    downloads: 0,
    likes: 0,
  };
  const found: Listing = { namespace: 'default', repository, commit, files: [], card };
  return { kind: 'found', listing: found };
};

test('what upstream answers in time is the answer, its Fault too', async () => {
  const { upstream, ask } = house();
  const first = ask();
  upstream.pending[0]?.resolve(listing('a'));
  assert.deepEqual(await first, listing('a'));
  const second = ask();
  upstream.pending[1]?.reject(new Fault('upstream.lied', 'nonsense'));
  await assert.rejects(second, (error) => error instanceof Fault && error.code === 'upstream.lied');
});

test('a silent upstream is a Fault after the wait, or what is stored; the next one does not wait again', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const { upstream, ask } = house();
    const first = assert.rejects(ask(), unavailable);
    mock.timers.tick(8_000);
    await first;
    upstream.stored = listing('old');
    assert.deepEqual(await ask(), listing('old'));
    upstream.stored = undefined;
    const third = ask();
    await tick();
    upstream.pending[2]?.resolve(listing('new'));
    assert.deepEqual(await third, listing('new'));
    upstream.pending[0]?.reject(new Fault('upstream.unavailable', 'given up'));
    upstream.pending[1]?.reject(new Fault('upstream.unavailable', 'given up'));
    await tick();
    upstream.stored = listing('old');
    const fourth = ask();
    upstream.pending[3]?.resolve(listing('new'));
    assert.deepEqual(await fourth, listing('new'));
  } finally {
    mock.timers.reset();
  }
});
