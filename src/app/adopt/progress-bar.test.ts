import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { openProgressBar, progressLine } from './progress-bar.ts';

test('the line of a run: share, bytes, rate, time left, file; never wider than the terminal', () => {
  const at = { total: 2.9e9, done: 1.2e9, seconds: 4, path: 'models/org/name/model.safetensors' };
  assert.equal(
    progressLine(at, 79),
    '[####--------]  41%  1.2 GB of 2.9 GB  300 MB/s  0:06  models/org/name/model.s…',
  );
  assert.equal(progressLine({ ...at, done: 0, seconds: 0 }, 200).includes('-:--'), true);
  assert.match(progressLine({ total: 0, done: 0, seconds: 0, path: '' }, 79), /100%/);
  assert.match(progressLine({ total: 4e12, done: 1e9, seconds: 1, path: '' }, 79), / 1:06:39 /);
  assert.equal(progressLine({ ...at, path: '\u{1f600}'.repeat(100) }, 79).isWellFormed(), true);
});

test('a bar is drawn over itself, hides what would act in a terminal, and is nothing where there is none', async () => {
  let now = 0;
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  let shown = '';
  stream.on('data', (chunk: Buffer) => (shown += chunk.toString()));
  const bar = openProgressBar({ stream, now: () => now });
  assert.ok(bar);
  bar.searched(3, 'a');
  bar.searched(4, 'drawn too soon');
  now = 500;
  bar.searched(5, 'evil\u001b[2J\u202e');
  bar.clear();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(
    shown,
    '\rsearching  3 names  a\x1b[K\rsearching  5 names  evil\\u{1b}[2J\\u{202e}\x1b[K\r\x1b[K',
  );
  assert.equal(openProgressBar({ stream: new PassThrough(), now: () => now }), undefined);
});
