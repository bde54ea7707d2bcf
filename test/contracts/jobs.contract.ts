import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaimedJob, Jobs, NewJob } from '#adapters/postgres/jobs.ts';

/** An empty queue and the same queue as another replica has it. */
export interface OpenedJobs {
  readonly jobs: Jobs;
  readonly other: Jobs;
  close(): Promise<void>;
}

const leaseMs = 60_000;
const job = (key: string, change: Partial<NewJob> = {}): NewJob => ({
  namespace: 'team-a',
  queue: 'scan',
  key,
  payload: { key, nested: [1, 'é', null] },
  ...change,
});

const claim = (jobs: Jobs, count = 10, lease = leaseMs) =>
  jobs.claim({ queues: ['scan'], count, leaseMs: lease });
const one = (claimed: readonly ClaimedJob[]): ClaimedJob => {
  assert.equal(claimed.length, 1);
  return claimed[0] ?? assert.fail();
};

/** Every implementation of `Jobs` passes this. */
export function jobsContract(name: string, open: () => Promise<OpenedJobs>): void {
  const contract = (title: string, body: (opened: OpenedJobs) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const opened = await open();
      try {
        await body(opened);
      } finally {
        await opened.close();
      }
    });
  };
  contract('a job is claimed once, with what was put in', async ({ jobs, other }) => {
    await jobs.enqueue([job('a')]);
    const claimed = one(await claim(jobs));
    assert.deepEqual(
      { ...claimed, id: '', lease: '' },
      { ...job('a'), id: '', lease: '', attempt: 1, maxAttempts: 8 },
    );
    assert.deepEqual(await claim(other), []);
    assert.equal(await jobs.complete(claimed), true);
    assert.equal(await jobs.complete(claimed), false, 'only once');
    assert.deepEqual(await claim(other), []);
    assert.deepEqual(await jobs.count(), [{ queue: 'scan', state: 'done', jobs: 1 }]);
  });

  contract('the newest job of a key says how it stands', async ({ jobs, other }) => {
    assert.equal(await jobs.newest('team-a', 'scan', 'a'), undefined);
    await jobs.enqueue([job('a', { maxAttempts: 1 }), job('a', { namespace: 'team-b' }), job('b')]);
    assert.equal((await other.newest('team-a', 'scan', 'a'))?.state, 'waiting');
    const claimed = (await claim(jobs)).filter(({ key, namespace }) => key === 'a' && namespace === 'team-a');
    assert.equal((await other.newest('team-a', 'scan', 'a'))?.state, 'running');
    assert.equal(await jobs.fail(one(claimed), 'it broke'), 'dead');
    const dead = await other.newest('team-a', 'scan', 'a');
    assert.deepEqual([dead?.state, dead?.lastError], ['dead', 'it broke']);
    await jobs.enqueue([job('a')]);
    assert.equal((await other.newest('team-a', 'scan', 'a'))?.state, 'waiting');
    assert.equal(await jobs.newest('team-a', 'bom', 'a'), undefined);
  });

  contract('the same key is one open job per namespace and queue', async ({ jobs }) => {
    await jobs.enqueue([job('a'), job('a'), job('b')]);
    await jobs.enqueue([job('a'), job('a', { namespace: 'team-b' }), job('a', { queue: 'bom' })]);
    const claimed = await claim(jobs);
    assert.deepEqual(claimed.map(({ namespace, key }) => `${namespace} ${key}`).sort(), [
      'team-a a',
      'team-a b',
      'team-b a',
    ]);
    await jobs.enqueue([job('a')]);
    assert.deepEqual(await claim(jobs), [], 'running is open too');
    for (const held of claimed) await jobs.complete(held);
    await jobs.enqueue([job('a')]);
    assert.equal(one(await claim(jobs)).key, 'a');
  });

  contract('many workers share the work and nothing is done twice', async ({ jobs, other }) => {
    const keys = Array.from({ length: 200 }, (_, index) => `k${index}`);
    await jobs.enqueue(keys.map((key) => job(key)));
    const done: string[] = [];
    const work = async (queue: Jobs) => {
      for (let claimed = await claim(queue, 7); claimed.length > 0; claimed = await claim(queue, 7)) {
        for (const held of claimed) if (await queue.complete(held)) done.push(held.key);
      }
    };
    await Promise.all([work(jobs), work(other), work(jobs), work(other)]);
    assert.deepEqual(done.sort(), keys.sort());
  });

  contract(
    'a lost lease gives the job to another worker, and the first cannot finish it',
    async ({ jobs, other }) => {
      await jobs.enqueue([job('a')]);
      const lost = one(await claim(jobs, 1, 30));
      await sleep(60);
      const taken = one(await claim(other));
      assert.equal(taken.id, lost.id);
      assert.equal(taken.attempt, 2);
      assert.equal(await jobs.heartbeat(lost, leaseMs), false);
      assert.equal(await jobs.complete(lost), false);
      assert.equal(await jobs.fail(lost, 'late'), 'lost');
      assert.equal(await other.complete(taken), true);
    },
  );

  contract('a heartbeat keeps the lease', async ({ jobs, other }) => {
    await jobs.enqueue([job('a')]);
    const held = one(await claim(jobs, 1, 100));
    assert.equal(await jobs.heartbeat(held, leaseMs), true);
    await sleep(150);
    assert.deepEqual(await claim(other), []);
    assert.equal(await jobs.complete(held), true);
  });

  contract('a failure waits, comes back, and the last one is dead and visible', async ({ jobs }) => {
    await jobs.enqueue([job('a', { maxAttempts: 2 })]);
    assert.equal(await jobs.fail(one(await claim(jobs)), 'no disk\0', 40), 'waiting');
    assert.deepEqual(await claim(jobs), []);
    await sleep(60);
    assert.equal(await jobs.fail(one(await claim(jobs)), 'still no disk'), 'dead');
    assert.deepEqual(await claim(jobs), []);
    const [dead] = await jobs.list('team-a', 'dead', 10);
    assert.equal(dead?.lastError, 'still no disk');
    assert.equal(dead.attempt, 2);
    assert.ok(dead.finishedAtMs !== null);
    assert.deepEqual(await jobs.list('team-b', 'dead', 10), [], 'and nobody else sees it');
    assert.equal(await jobs.revive('team-b', dead.id), false);
    assert.equal(await jobs.revive('team-a', dead.id), true);
    assert.equal(one(await claim(jobs)).attempt, 1);
  });

  contract('without a delay the retry backs off exponentially', async ({ jobs }) => {
    await jobs.enqueue([job('a')]);
    const before = Date.now();
    assert.equal(await jobs.fail(one(await claim(jobs)), 'first'), 'waiting');
    const [waiting] = await jobs.list('team-a', 'waiting', 1);
    assert.ok(
      waiting !== undefined && waiting.runAtMs >= before + 900 && waiting.runAtMs < Date.now() + 1_500,
    );
  });

  contract(
    'a worker that dies at the last attempt leaves a dead job, not an endless one',
    async ({ jobs }) => {
      await jobs.enqueue([job('a', { maxAttempts: 1 })]);
      one(await claim(jobs, 1, 20));
      await sleep(40);
      assert.deepEqual(await claim(jobs), []);
      assert.equal((await jobs.list('team-a', 'dead', 1))[0]?.lastError, 'the worker was lost');
    },
  );

  contract('a job for later waits for its time', async ({ jobs }) => {
    await jobs.enqueue([
      job('later', { runAtMs: Date.now() + 60_000 }),
      job('soon', { runAtMs: Date.now() - 5 }),
    ]);
    assert.equal(one(await claim(jobs)).key, 'soon');
  });

  contract('the oldest comes first and other queues are left alone', async ({ jobs }) => {
    await jobs.enqueue([
      job('b', { runAtMs: 2 }),
      job('a', { runAtMs: 1 }),
      job('x', { queue: 'bom', runAtMs: 0 }),
    ]);
    assert.equal(one(await claim(jobs, 1)).key, 'a');
    assert.equal(one(await claim(jobs, 1)).key, 'b');
    assert.deepEqual(await claim(jobs), []);
    assert.equal((await jobs.claim({ queues: ['none', 'bom'], count: 1, leaseMs })).length, 1);
  });

  contract('sweeping forgets only what is finished and old', async ({ jobs }) => {
    await jobs.enqueue([job('done'), job('waiting', { runAtMs: Date.now() + 60_000 })]);
    await jobs.complete(one(await claim(jobs)));
    assert.equal(await jobs.sweep(60_000), 0);
    await sleep(5);
    assert.equal(await jobs.sweep(0), 1);
    assert.deepEqual(await jobs.count(), [{ queue: 'scan', state: 'waiting', jobs: 1 }]);
  });
}
