import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headUntilDecided, openRealServer } from '../../bench/real-server.ts';
import { safetensorsHead } from '../../bench/model.ts';

const rounds = 100;
/** The head watch, the queue and the journal ask the database now and then, whoever is served. */
const background = 50;

test('nothing that is warm asks the database: file, listing, revision, by branch and by commit', async () => {
  await using server = await openRealServer();
  const commit = await server.hub.commit('org/m', {
    'config.json': '{"model_type":"bert"}',
    'model.safetensors': Buffer.concat([safetensorsHead(4096), Buffer.alloc(4096)]),
  });
  const base = `http://127.0.0.1:${server.port}`;
  const file = (revision: string) => `/org/m/resolve/${revision}/model.safetensors`;
  const requests: readonly (readonly [method: string, path: string])[] = [
    ['HEAD', file('main')],
    ['HEAD', file(commit)],
    ['GET', file('main')],
    ['GET', file(commit)],
    ['GET', '/api/models/org/m'],
    ['GET', '/api/models/org/m/revision/main'],
    ['GET', `/api/models/org/m/revision/${commit}`],
    ['GET', '/api/models/org/m/tree/main'],
    ['GET', `/api/models/org/m/tree/${commit}?recursive=true`],
  ];
  await headUntilDecided(server, file('main'));
  for (const [method, path] of requests) {
    const ask = async (): Promise<void> => {
      const answer = await fetch(`${base}${path}`, { method });
      assert.equal(answer.status, 200, `${method} ${path}`);
      await answer.arrayBuffer();
    };
    await ask();
    const before = await server.usage();
    for (let round = 0; round < rounds; round += 1) await ask();
    const asked = (await server.usage()).queries - before.queries;
    assert.ok(asked < background, `${method} ${path}: ${asked} statements for ${rounds} requests`);
  }
  // What counts them does count: an unknown repository is looked for in the database.
  const before = await server.usage();
  await fetch(`${base}/api/models/org/unknown`);
  assert.ok((await server.usage()).queries > before.queries);
});
