import assert from 'node:assert/strict';
import { readFile, mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { download } from '../support/hub-client.ts';
import type { Download } from '../support/hub-client.ts';
import { writeLargeModel } from '../support/large-model.ts';
import { removeFolder, startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';

const MiB = 1024 * 1024;
const sizeBytes = 2048 * MiB;

/** The greatest resident size that the process had, in bytes. */
async function peakBytes(server: TestServer): Promise<number> {
  const status = await readFile(`/proc/${server.process.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

test('twenty cold pulls of 2 GiB, three leaving, one from the middle, the server killed once: one body from upstream', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-cold-'));
  const hub = await openLoopbackHub();
  t.after(async () => {
    await hub.close();
    await removeFolder(folder);
  });
  const path = 'model.safetensors';
  const model = await writeLargeModel(join(folder, path), sizeBytes);
  const commit = await hub.commit('org/large', {
    [path]: { file: join(folder, path) },
    'config.json': '{"model_type": "bert"}',
  });
  const listen = `127.0.0.1:${await freePort()}`;
  const data = join(folder, 'data');
  let server = await startTestServer({ upstream: hub.url, data, listen });
  const url = `${server.clients}/org/large/resolve/${commit}/${path}`;
  const killedAt = Promise.withResolvers<void>();
  const pulls: Promise<Download>[] = Array.from({ length: 20 }, (_, number) =>
    download(url, model, {
      deadlineMs: 240_000,
      ...(number === 4 ? { start: sizeBytes / 2 } : {}),
      ...(number % 7 === 6 ? { leaveAfter: 64 * MiB + number } : {}),
      ...(number === 0
        ? { progressed: (bytes: number) => void (bytes > 600 * MiB && killedAt.resolve()) }
        : {}),
    }),
  );
  await killedAt.promise;
  const peakBefore = await peakBytes(server);
  const sentBefore = hub.sentBytes('org/large', path);
  await server.kill();
  server = await startTestServer({ upstream: hub.url, data, listen });
  const answers = await Promise.all(pulls);
  const peakAfter = await peakBytes(server);
  assert.equal(await server.stop(), 0, server.output());

  assert.ok(sentBefore < sizeBytes, 'it was killed while the transfer was under way');
  assert.ok(
    answers.every(({ wrong }) => !wrong),
    'every byte is the right one',
  );
  for (const [number, { receivedBytes, statuses }] of answers.entries()) {
    const expected = number === 4 ? sizeBytes / 2 : number % 7 === 6 ? undefined : sizeBytes;
    if (expected !== undefined) assert.equal(receivedBytes, expected, `client ${number}: ${statuses.join()}`);
  }
  const bodies = hub.seen.filter(({ server: from, method }) => from === 'cdn' && method === 'GET');
  assert.equal(
    bodies.filter(({ headers }) => headers.range === undefined).length,
    1,
    'one body from its beginning',
  );
  const sent = hub.sentBytes('org/large', path);
  t.diagnostic(`${bodies.length} upstream requests, ${sent - sizeBytes} bytes more than the file`);
  t.diagnostic(`peak memory ${Math.round(peakBefore / MiB)} and ${Math.round(peakAfter / MiB)} MiB`);
  // What was on its way when a connection ended is asked for again: a few buffers each time.
  assert.ok(sent - sizeBytes < bodies.length * 16 * MiB, `${sent} bytes left upstream for ${sizeBytes}`);
  assert.ok(peakBefore < 400 * MiB, `${peakBefore} bytes before the kill`);
  assert.ok(peakAfter < 400 * MiB, `${peakAfter} bytes after it`);
});
