import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { openProgressLine, renderProgress } from './progress-line.ts';

test('a bar where the total is known, bytes where it is not', () => {
  assert.equal(
    renderProgress({ what: 'uploading', done: 512, total: 1024 }),
    `uploading [${'#'.repeat(12)}${'.'.repeat(12)}] 50 % of 1.0 KiB`,
  );
  assert.equal(
    renderProgress({ what: 'taking in', done: 3 * 1024 ** 3, total: undefined }),
    'taking in 3.0 GiB',
  );
  assert.match(renderProgress({ what: 'x', done: 20, total: 10 }), /\] 100 %/);
});

test('nothing is written where no terminal is, and the line is taken away where one is', async () => {
  for (const isTTY of [false, true]) {
    let written = '';
    const sink = new PassThrough().on('data', (chunk: Buffer) => (written += chunk.toString()));
    const stream = Object.assign(sink, { isTTY });
    const line = openProgressLine(stream);
    line.show({ what: 'reading', done: 1, total: 2 });
    await line.close();
    if (isTTY) assert.match(written, /reading.*\r\x1b\[2K$/s);
    else assert.equal(written, '');
  }
});
