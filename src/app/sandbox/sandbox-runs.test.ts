import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { digestOf, type Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { openSandboxRuns, type SandboxRunsPorts } from './sandbox-runs.ts';

type Jobs = SandboxRunsPorts['jobs'];
type Job = Awaited<ReturnType<Jobs['claim']>>[number];
type Row = Omit<Job, 'lease'> & { state: 'waiting' | 'running' | 'done' | 'dead'; lastError: string | null };

/** The queue as one process sees it, in memory; the real one is held to its contract elsewhere. */
function memoryJobs(): Jobs {
  const rows: Row[] = [];
  const move = (id: string, state: Row['state'], lastError: string | null = null): void => {
    const row = rows.find((one) => one.id === id);
    if (row !== undefined) Object.assign(row, { state, lastError });
  };
  return {
    enqueue: (jobs) => {
      for (const { namespace, queue, key, payload, maxAttempts = 8 } of jobs) {
        const open = rows.some((row) => row.key === key && ['waiting', 'running'].includes(row.state));
        const id = String(rows.length);
        const row = {
          id,
          namespace,
          queue,
          key,
          payload,
          attempt: 1,
          maxAttempts,
          state: 'waiting' as const,
        };
        if (!open) rows.push({ ...row, lastError: null });
      }
      return Promise.resolve();
    },
    claim: ({ count }) => {
      const ready = rows.filter(({ state }) => state === 'waiting').slice(0, count);
      for (const { id } of ready) move(id, 'running');
      return Promise.resolve(ready.map((row) => ({ ...row, lease: 'lease' })));
    },
    heartbeat: () => Promise.resolve(true),
    complete: ({ id }) => Promise.resolve(move(id, 'done')).then(() => true),
    fail: ({ id }, reason) => Promise.resolve(move(id, 'dead', reason)).then(() => 'dead' as const),
    newest: (_namespace, _queue, key) => {
      const row = rows.findLast((one) => one.key === key);
      return Promise.resolve(row === undefined ? undefined : { ...row, runAtMs: 0, finishedAtMs: null });
    },
  };
}

const named = (word: string): Digest => digestOf(Buffer.from(word));
const [a, b] = [named('a'), named('b')];

test('one run at a time, in order; ordered twice is run once; a failure says what the run said', async () => {
  const begun: Digest[] = [];
  let atOnce = 0;
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const failures: unknown[] = [];
  const runs = openSandboxRuns({
    jobs: memoryJobs(),
    perform: async (_namespace, artifact) => {
      assert.equal(++atOnce, 1);
      await gates[begun.push(artifact) - 1]?.promise;
      atOnce--;
      if (artifact === b) throw new Fault('sandbox.unavailable', 'not here', { hint: 'elsewhere' });
    },
    failed: (error) => failures.push(error),
  });
  const until = async (artifact: Digest, state: string) => {
    for (let turns = 0; (await runs.state('n', artifact)).state !== state; turns++) {
      assert.ok(turns < 1000, `not ${state}`);
      await turn();
    }
  };
  assert.deepEqual(await runs.state('n', a), { state: 'none', fault: null });
  for (const artifact of [a, a, b]) await runs.order('n', artifact);
  runs.wake();
  await until(a, 'running');
  runs.wake();
  await turn();
  assert.deepEqual(begun, [a]);
  assert.equal((await runs.state('n', b)).state, 'waiting');
  gates[0]?.resolve();
  await until(b, 'running');
  gates[1]?.resolve();
  await until(b, 'failed');
  assert.deepEqual(begun, [a, b]);
  assert.deepEqual((await runs.state('n', b)).fault, {
    code: 'sandbox.unavailable',
    message: 'not here',
    hint: 'elsewhere',
  });
  assert.equal(failures.length, 1);
  await runs.order('n', b);
  assert.equal((await runs.state('n', b)).state, 'waiting', 'it can be ordered again');
  await runs.close();
});

test('a run that stopping interrupts is told to stop, and says that it did not end', async () => {
  const begun = Promise.withResolvers<void>();
  const runs = openSandboxRuns({
    jobs: memoryJobs(),
    perform: async (_namespace, _artifact, signal) => {
      begun.resolve();
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('/a/path'))));
    },
    failed: () => {},
  });
  await runs.order('n', a);
  runs.wake();
  await begun.promise;
  await runs.close();
  const { state, fault } = await runs.state('n', a);
  assert.deepEqual([state, fault?.code], ['failed', 'server.draining']);
});
