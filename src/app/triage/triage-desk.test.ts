import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#lib/fault.ts';
import type { TriageReport } from '#producers/scan/triage-report.ts';
import { parseHubReference } from './hub-reference.ts';
import { openTriageDesk } from './triage-desk.ts';

const reference = { type: 'models', repository: 'org/name', revision: null } as const;
const configuration = { upstream: new URL('http://127.0.0.1:9'), 'upstream-token': undefined };

test('two at a time, eight wait, more are sent away, and whoever left is not looked at', async () => {
  const under: (() => void)[] = [];
  let begun = 0;
  const desk = openTriageDesk(configuration, async () => {
    begun += 1;
    await new Promise<void>((resolve) => under.push(resolve));
    return { verdict: 'nothing found' } as TriageReport;
  });
  const gone = new AbortController();
  const here = new AbortController();
  const asked = Array.from({ length: 10 }, (_, index) =>
    desk(reference, index === 5 ? gone.signal : here.signal).catch((error: unknown) => error),
  );
  await new Promise(setImmediate);
  assert.equal(begun, 2);
  await assert.rejects(desk(reference, here.signal), (error) => {
    assert.ok(error instanceof Fault);
    assert.equal(error.code, 'server.busy');
    return error.row.retryable;
  });
  gone.abort();
  for (let turn = 0; turn < 10; turn += 1) {
    for (const done of under.splice(0)) done();
    await new Promise(setImmediate);
  }
  const answers = await Promise.all(asked);
  assert.equal(begun, 9);
  assert.equal(answers.filter((answer) => answer instanceof Error).length, 1);
  assert.ok(answers[5] instanceof Error);
});

test('references', () => {
  const cases = [
    ['hf://org/name', 'models', 'org/name', 'HEAD'],
    ['hf://name', 'models', 'name', 'HEAD'],
    ['hf://models/org/name@v1', 'models', 'org/name', 'v1'],
    ['hf://datasets/org/name@refs/pr/1', 'datasets', 'org/name', 'refs/pr/1'],
    ['hf://spaces/org/name', 'spaces', 'org/name', 'HEAD'],
  ] as const;
  for (const [text, type, id, revision] of cases) {
    assert.deepEqual(parseHubReference(text), { repository: { type, id }, revision }, text);
  }
  const bad = [
    'hf://',
    'hf:///',
    'hf://org/name/more/segments',
    'hf://org/name@',
    'hf://org/../etc',
    'hf://org/na me',
    'hf://org/name@a..b',
    'hf://org/name?x=1',
    'hf://org%2fname/x/y',
    'hf://org/name#x',
    'hf://org/name.git',
    `hf://${'a'.repeat(300)}`,
  ];
  for (const text of bad) assert.throws(() => parseHubReference(text), Fault, text);
});
