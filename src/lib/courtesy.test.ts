import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { openCourtesy, type Courtesy, type Lane, type Turn } from './courtesy.ts';
import { Fault } from './fault.ts';
import { limits } from './limits.ts';

const never = new AbortController().signal;

function house(concurrency = 4) {
  const clock = { ms: 1_000_000, now: () => clock.ms };
  const breaker = { failures: 3, restMs: 1_000, longestMs: 8_000 };
  const courtesy = openCourtesy({ clock, concurrency, breaker });
  return { clock, courtesy };
}

/** Asks for a turn and says whether it has come. */
function ask(
  courtesy: Courtesy,
  lane: Lane,
  options: { host?: string; about?: string; signal?: AbortSignal } = {},
) {
  const asked: { turn: Turn | undefined; fault: Fault | undefined } = { turn: undefined, fault: undefined };
  const { host = 'hub', about = 'org/a', signal = never } = options;
  courtesy.enter({ host, lane, about }, signal).then(
    (turn) => (asked.turn = turn),
    (error: unknown) => {
      assert.ok(error instanceof Fault && error.code === 'upstream.unavailable', String(error));
      asked.fault = error;
    },
  );
  return asked;
}

const answer = (status: number, headers: Readonly<Record<string, string>> = {}, host = 'hub') => ({
  host,
  status,
  header: (name: string) => headers[name],
});
const count = (asked: readonly ReturnType<typeof ask>[]): number =>
  asked.filter(({ turn }) => turn !== undefined).length;

test('no more at once than allowed, and bodies leave room for metadata', async () => {
  const { courtesy } = house(4);
  const bodies = Array.from({ length: 6 }, () => ask(courtesy, 'body'));
  await tick();
  assert.equal(count(bodies), 3);
  const questions = [ask(courtesy, 'metadata'), ask(courtesy, 'metadata')];
  await tick();
  assert.equal(count(questions), 1);
  // The next free place is for the question, although three bodies have waited longer.
  bodies[0]?.turn?.leave();
  await tick();
  assert.deepEqual([count(bodies), count(questions)], [3, 2]);
  for (const { turn } of [...questions, ...bodies]) turn?.leave();
  await tick();
  assert.equal(count(bodies), 6);
  assert.deepEqual([courtesy.health()[0]?.active, courtesy.health()[0]?.waiting], [3, 0]);
});

test('leaving twice frees one place only', async () => {
  const { courtesy } = house(2);
  const [first, second, third] = [ask(courtesy, 'body'), ask(courtesy, 'body'), ask(courtesy, 'body')];
  await tick();
  first.turn?.leave();
  first.turn?.leave();
  await tick();
  assert.deepEqual([second.turn !== undefined, third.turn !== undefined], [true, false]);
});

test('hosts do not wait for each other', async () => {
  const { courtesy } = house(2);
  ask(courtesy, 'body');
  const other = ask(courtesy, 'body', { host: 'mirror' });
  await tick();
  assert.ok(other.turn);
});

test('who gives up leaves the queue', async () => {
  const { courtesy } = house(2);
  const first = ask(courtesy, 'body');
  const stop = new AbortController();
  const second = ask(courtesy, 'body', { signal: stop.signal });
  const third = ask(courtesy, 'body');
  await tick();
  stop.abort();
  await tick();
  assert.ok(second.fault);
  first.turn?.leave();
  await tick();
  assert.ok(third.turn);
  const late = ask(courtesy, 'body', { signal: stop.signal });
  await tick();
  assert.ok(late.fault);
});

test('a queue that grows without end refuses', async () => {
  const { courtesy } = house(2);
  for (let made = 0; made <= limits.upstreamWaiting; made += 1) ask(courtesy, 'body');
  const one = ask(courtesy, 'body');
  await tick();
  assert.match(one.fault?.message ?? '', /too many/);
});

test('a pause is kept by the lane that hit the limit; metadata is told at once, bodies wait', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const { clock, courtesy } = house();
    const first = ask(courtesy, 'metadata');
    await tick();
    first.turn?.answered(
      answer(429, { ratelimit: '"api";r=0;t=55', 'ratelimit-policy': '"api";q=500;w=300' }),
    );
    first.turn?.leave();
    const question = ask(courtesy, 'metadata');
    const body = ask(courtesy, 'body');
    await tick();
    assert.deepEqual(question.fault?.details, {
      kind: 'rate-limited',
      refusedHere: true,
      retryAfterSeconds: 55,
    });
    assert.ok(body.turn);
    assert.deepEqual(
      [courtesy.health()[0]?.state, courtesy.health()[0]?.rateLimit],
      ['limited', { remaining: 0, resetsAtMs: clock.ms + 55_000 }],
    );
    body.turn.answered(answer(503, { 'retry-after': '30' }));
    body.turn.leave();
    const waiting = ask(courtesy, 'body');
    await tick();
    assert.equal(courtesy.health()[0]?.waiting, 1);
    clock.ms += 30_000;
    mock.timers.tick(30_000);
    await tick();
    assert.ok(waiting.turn);
    clock.ms += 25_000;
    const again = ask(courtesy, 'metadata');
    await tick();
    assert.ok(again.turn);
    assert.equal(courtesy.health()[0]?.state, 'well');
  } finally {
    mock.timers.reset();
  }
});

test('nothing left in the window pauses before the host has to say no', async () => {
  const { courtesy } = house();
  const first = ask(courtesy, 'metadata');
  await tick();
  first.turn?.answered(answer(200, { ratelimit: '"api";r=0;t=20' }));
  first.turn?.leave();
  const second = ask(courtesy, 'metadata');
  await tick();
  assert.equal(second.fault?.details['retryAfterSeconds'], 20);
});

test('an unreachable host is asked for nothing, then one trial decides for everybody', async () => {
  const { clock, courtesy } = house();
  for (let tried = 0; tried < 3; tried += 1) {
    const one = ask(courtesy, 'metadata');
    await tick();
    one.turn?.failed({ host: 'hub', words: 'did not answer: ECONNREFUSED', whole: true });
    one.turn?.leave();
  }
  const refused = ask(courtesy, 'metadata');
  await tick();
  assert.equal(refused.fault?.details['refusedHere'], true);
  assert.deepEqual(
    [courtesy.health()[0]?.state, courtesy.health()[0]?.lastFailure?.words],
    ['away', 'did not answer: ECONNREFUSED'],
  );
  clock.ms += 1_000;
  const [trial, beside] = [ask(courtesy, 'metadata'), ask(courtesy, 'body')];
  await tick();
  assert.ok(trial.turn);
  assert.ok(beside.fault);
  trial.turn.answered(answer(200));
  trial.turn.leave();
  const after = ask(courtesy, 'body');
  await tick();
  assert.ok(after.turn);
  assert.equal(courtesy.health()[0]?.lastSuccessMs, clock.ms);
});

test('one repository that always answers 503 or 500 does not shut out the others', async () => {
  const { courtesy } = house();
  for (const status of [503, 500]) {
    for (let tried = 0; tried < 20; tried += 1) {
      const one = ask(courtesy, 'metadata', { about: 'org/broken' });
      await tick();
      one.turn?.answered(answer(status));
      one.turn?.leave();
    }
  }
  const other = ask(courtesy, 'metadata', { about: 'org/fine' });
  await tick();
  assert.ok(other.turn);
  assert.equal(courtesy.health()[0]?.failures, 40);
});

test('a broken CDN is the CDN and not the hub', async () => {
  const { clock, courtesy } = house();
  for (const about of ['org/a', 'org/b', 'org/c']) {
    const one = ask(courtesy, 'body', { about });
    await tick();
    one.turn?.follow('cdn');
    one.turn?.failed({ host: 'cdn', words: 'the body stalled', whole: false });
    one.turn?.leave();
  }
  const next = ask(courtesy, 'body');
  await tick();
  assert.throws(() => next.turn?.follow('cdn'), Fault);
  next.turn?.leave();
  clock.ms += 1_000;
  // A trial that never said how it went does not keep the next one out.
  for (let tried = 0; tried < 2; tried += 1) {
    const trial = ask(courtesy, 'body');
    await tick();
    trial.turn?.follow('cdn');
    trial.turn?.leave();
  }
  const states = courtesy.health().map(({ host, state }) => `${host} ${state}`);
  assert.deepEqual(states, ['hub well', 'cdn away']);
});

test('hosts that upstream redirects to are forgotten when there are too many', async () => {
  const { courtesy } = house();
  const one = ask(courtesy, 'body');
  await tick();
  for (let made = 0; made < 500; made += 1) one.turn?.follow(`cdn-${made}`);
  assert.ok(courtesy.health().length <= 64);
  assert.equal(courtesy.health()[0]?.host, 'hub');
});
