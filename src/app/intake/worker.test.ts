import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Arrival } from '#gates/pull/ports.ts';
import { Fault } from '#lib/fault.ts';
import { digestNamed } from '../../../test/support/policy-case.ts';
import { openWorker } from './worker.ts';
import type { IntakeJobs } from './worker.ts';

type Claimed = Awaited<ReturnType<IntakeJobs['claim']>>[number];
const job = (id: string, payload: unknown): Claimed => ({
  id,
  namespace: 'default',
  queue: 'intake',
  key: id,
  payload,
  attempt: 1,
  maxAttempts: 8,
  lease: 'l',
});
const payload = { type: 'models', id: 'org/name', commit: 'a'.repeat(40), paths: ['model.bin'] };
const card = {
  createdAt: undefined,
  lastModified: undefined,
  tags: [],
  pipelineTag: undefined,
  libraryName: undefined,
  downloads: 0,
  likes: 0,
};
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

function house(t: TestContext, waiting: Claimed[], arrive: (paths: readonly string[]) => Promise<Arrival>) {
  const done: string[] = [];
  const failures: unknown[] = [];
  const joined: (readonly string[])[] = [];
  const worker = openWorker({
    jobs: {
      enqueue: async () => {},
      claim: async ({ count }) => waiting.splice(0, count),
      heartbeat: async () => true,
      complete: async ({ id }) => (done.push(`${id} complete`), true),
      fail: async ({ id }, _reason, retryInMs) => (
        done.push(`${id} fail${retryInMs === undefined ? '' : ` ${retryInMs}`}`),
        'waiting'
      ),
      sweep: async () => 0,
    },
    listings: {
      resolve: async (namespace, repository, commit) => ({
        kind: 'found',
        listing: { namespace, repository, commit, files: [], card },
      }),
      stored: () => Promise.resolve(undefined),
      references: () => [],
    },
    flights: {
      join: (_listing, paths) => {
        joined.push(paths);
        return arrive(paths);
      },
      look: () => undefined,
      underWay: () => [],
      snapshotOf: () => undefined,
    },
    failed: (error) => failures.push(error),
  });
  t.after(() => worker.close());
  return { worker, done, failures, joined };
}

const ready: Arrival = { kind: 'ready', artifact: digestNamed('a'), digests: new Map() };
const failedWith = (fault: Fault): Arrival => ({ kind: 'failed', fault });

test('what was written down before a restart is seen through', async (t) => {
  const { done, joined } = house(t, [job('1', payload), job('2', payload)], async () => ready);
  await turns();
  assert.deepEqual(done.sort(), ['1 complete', '2 complete']);
  assert.deepEqual(joined[0], ['model.bin']);
});

test('a failure that may pass is tried again, one that will not is settled', async (t) => {
  const faults = [new Fault('upstream.unavailable', 'away'), new Fault('upstream.lied', 'other bytes')];
  const { done, failures } = house(t, [job('1', payload), job('2', payload)], async () =>
    failedWith(faults.shift() ?? new Fault('internal.unexpected', 'no more')),
  );
  await turns();
  assert.deepEqual(done.sort(), ['1 fail', '2 complete']);
  assert.equal(failures.length, 2);
});

test('an unreadable job is no reason to stop working', async (t) => {
  const { done } = house(t, [job('1', { nonsense: true }), job('2', payload)], async () => ready);
  await turns();
  assert.deepEqual(done.sort(), ['1 fail', '2 complete']);
});

test('stopping in the middle leaves the job for the next start, at once', async (t) => {
  const stopped = Promise.withResolvers<Arrival>();
  const { worker, done, failures } = house(t, [job('1', payload)], () => stopped.promise);
  await turns();
  const closed = worker.close();
  stopped.resolve(failedWith(new Fault('internal.unexpected', 'aborted')));
  await closed;
  assert.deepEqual(done, ['1 fail 0']);
  assert.deepEqual(failures, []);
});

test('never more than sixteen at a time, and the next ones follow', async (t) => {
  const gate = Promise.withResolvers<void>();
  const jobs = Array.from({ length: 40 }, (_, index) => job(String(index), payload));
  const { worker, done, joined } = house(t, jobs, async () => {
    await gate.promise;
    return ready;
  });
  await turns();
  assert.equal(joined.length, 16);
  worker.wake();
  await turns();
  assert.equal(joined.length, 16);
  gate.resolve();
  await turns();
  assert.equal(done.length, 40);
});
