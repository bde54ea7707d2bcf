import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { removeFolder, startTestServer } from '../support/server.ts';

interface Queue {
  readonly arriving: readonly {
    readonly repository: { readonly id: string };
    readonly phase: string;
    readonly why: string;
    readonly transfers: readonly {
      readonly path: string;
      readonly state: string;
      readonly sizeBytes: number;
      readonly receivedBytes: number;
      readonly readers: number;
    }[];
  }[];
  readonly held: readonly {
    readonly repository: { readonly id: string };
    readonly reasons: readonly { readonly who: string; readonly remedy: string }[];
  }[];
}

test('the queue shows what is on its way, and what is here and may not pass, with who can decide', async (t) => {
  const hub = await openLoopbackHub();
  await hub.commit('org/stalled', { 'model.bin': randomBytes(12 * 1024 * 1024) });
  hub.lie('org/stalled', 'stall', { path: 'model.bin' });
  await hub.commit('org/bad', { 'payload.pkl': "cos\nsystem\n(S'true'\ntR." });
  const server = await startTestServer({ upstream: hub.url });
  t.after(async () => {
    await server.kill();
    await hub.close();
    await removeFolder(server.data);
  });
  const queue = async (): Promise<Queue> => {
    const answer = await fetch(`${server.console}/wb/v1/queue`, {
      headers: { authorization: `Bearer ${server.token}` },
    });
    assert.equal(answer.status, 200);
    return (await answer.json()) as Queue;
  };
  assert.deepEqual((await queue()).arriving, []);
  assert.equal((await fetch(`${server.clients}/org/bad/resolve/main/payload.pkl`)).status, 403);
  const leaving = new AbortController();
  const stalled = fetch(`${server.clients}/org/stalled/resolve/main/model.bin`, { signal: leaving.signal });
  stalled.catch(() => {});
  let seen = await queue();
  const onItsWay = ({ arriving: [first] }: Queue): boolean =>
    first?.phase === 'fetching' && (first.transfers[0]?.receivedBytes ?? 0) > 0;
  for (let tries = 0; tries < 100 && !onItsWay(seen); tries += 1) {
    await sleep(100);
    seen = await queue();
  }
  const [arriving] = seen.arriving;
  assert.equal(arriving?.repository.id, 'org/stalled');
  assert.equal(arriving?.phase, 'fetching');
  assert.equal(arriving?.why, 'its bytes are on their way');
  const [transfer] = arriving?.transfers ?? [];
  assert.equal(transfer?.path, 'model.bin');
  assert.equal(transfer?.state, 'fetching');
  assert.equal(transfer?.sizeBytes, 12 * 1024 * 1024);
  assert.ok((transfer?.receivedBytes ?? 0) > 0 && (transfer?.receivedBytes ?? 0) < 12 * 1024 * 1024);
  const [held] = seen.held;
  assert.equal(held?.repository.id, 'org/bad');
  assert.ok((held?.reasons[0]?.who ?? '') !== '' && (held?.reasons[0]?.remedy ?? '') !== '');
  leaving.abort();
  assert.equal((await fetch(`${server.console}/wb/v1/queue`)).status, 401);
});
