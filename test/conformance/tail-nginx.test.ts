import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { find, missing } from '../support/foreign.ts';
import { openLoopbackHub, type LoopbackHub } from '../support/hub/hub.ts';
import { startPlainNginx, type Nginx } from '../support/nginx.ts';
import { openPullHouse, type PullHouse } from '../support/pull-house.ts';
import { downloadClients } from './download-commands.ts';

const weights = randomBytes(12 * 1024 * 1024);
const path = 'model.safetensors';
const nginx = find('nginx');
const hubs = downloadClients().filter(({ tailed }) => tailed);

/** nginx with its default buffering, which would keep a byte now and then to itself, and that names itself nowhere. */
describe('tail behind nginx', { concurrency: true, skip: missing('nginx', nginx !== undefined) }, () => {
  let hub: LoopbackHub;
  let house: PullHouse;
  let proxy: Nginx;

  before(async () => {
    hub = await openLoopbackHub();
    house = await openPullHouse(hub.url, {}, { headerMs: 60_000, idleMs: 60_000 });
    house.setDelivery({ mode: 'tail', everyClient: false });
    house.setIntakeDelay(14_000);
    house.verdicts.denied.set('refused.safetensors', 'would call `os.system`');
    for (const index of hubs.keys())
      await hub.commit(`org/m${index}`, { [path]: weights, 'refused.safetensors': weights });
    proxy = await startPlainNginx(nginx ?? '', house.url);
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await house[Symbol.asyncDispose]();
    await hub.close();
  });

  for (const [index, client] of hubs.entries()) {
    const skip = missing(client.name, client.program !== undefined);
    const repository = `org/m${index}`;
    test(`${client.name} completes what is clean`, { skip }, async (t) => {
      const found = await client.download(t, { endpoint: proxy.url, repository, path });
      assert.ok(found.succeeded, found.text);
      assert.ok(found.bytes?.equals(weights));
      const gets = house.events.filter(
        (event) => event.repository.id === repository && event.path === path && event.sentBytes > 0,
      );
      assert.deepEqual(
        gets.map(({ outcome, sentBytes }) => [outcome, sentBytes]),
        [['served', weights.length]],
        'the bytes now and then got through: no time-out, no resume',
      );
    });
    test(`${client.name} shows why a file is refused`, { skip }, async (t) => {
      const wanted = { endpoint: proxy.url, repository, path: 'refused.safetensors' };
      const found = await client.download(t, wanted);
      assert.equal(found.bytes, undefined);
      assert.match(found.text, /weighbridge refuses .*would call/);
    });
  }
});
