import assert from 'node:assert/strict';
import { cp, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { ClientConfig } from 'pg';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { download } from '../support/hub-client.ts';
import { writeLargeModel } from '../support/large-model.ts';
import { startTestPostgres } from '../support/postgres.ts';
import { removeFolder, startTestServer } from '../support/server.ts';

const MiB = 1024 * 1024;

function urlOf({ user, database, host, port, password }: ClientConfig = {}): string {
  const secret = typeof password === 'string' ? `:${encodeURIComponent(password)}` : '';
  const socket = encodeURIComponent(host ?? '');
  return `postgres://${user}${secret}@localhost:${port}/${database}?host=${socket}`;
}

test('two replicas on one database and one store: one body from upstream, also when the one that fetches it dies', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-replicas-'));
  const postgres = await startTestPostgres();
  const hub = await openLoopbackHub();
  t.after(async () => {
    await hub.close();
    await postgres.close();
    await removeFolder(folder);
  });
  const model = await writeLargeModel(join(folder, 'model.safetensors'), 512 * MiB);
  const commit = await hub.commit('org/large', {
    'model.safetensors': { file: join(folder, 'model.safetensors') },
  });
  const { endpoints } = await postgres.makeEmpty();
  const environment = {
    WEIGHBRIDGE_DATABASE: urlOf(endpoints.application),
    WEIGHBRIDGE_DATABASE_OWNER: urlOf(endpoints.owner),
    WEIGHBRIDGE_BLOBS: join(folder, 'blobs'),
  };
  const first = await startTestServer({ upstream: hub.url, data: join(folder, 'first'), environment });
  // Replicas are one house: they share the keys.
  await cp(join(folder, 'first', 'keys'), join(folder, 'second', 'keys'), { recursive: true });
  const second = await startTestServer({ upstream: hub.url, data: join(folder, 'second'), environment });
  const path = `org/large/resolve/${commit}/model.safetensors`;

  const fetching = Promise.withResolvers<void>();
  const atFirst = download(`${first.clients}/${path}`, model, {
    deadlineMs: 20_000,
    progressed: (bytes) => void (bytes > 64 * MiB && fetching.resolve()),
  });
  await fetching.promise;
  const following = Promise.withResolvers<void>();
  const atSecond = download(`${second.clients}/${path}`, model, {
    deadlineMs: 120_000,
    progressed: (bytes) => void (bytes > 0 && following.resolve()),
  });
  await following.promise;
  await first.kill();
  const answer = await atSecond;
  await atFirst;
  assert.equal(await second.stop(), 0, second.output());

  assert.equal(answer.wrong, false);
  assert.equal(answer.receivedBytes, model.sizeBytes, answer.statuses.join());
  const bodies = hub.seen.filter(({ server, method }) => server === 'cdn' && method === 'GET');
  assert.equal(bodies.filter(({ headers }) => headers.range === undefined).length, 1);
  const sent = hub.sentBytes('org/large', 'model.safetensors');
  assert.ok(sent - model.sizeBytes < bodies.length * 16 * MiB, `${sent} bytes in ${bodies.length} bodies`);
});
