import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Delivery, PullEvent } from '#gates/pull/ports.ts';
import { missing } from '../support/foreign.ts';
import { openLoopbackHub, type LoopbackHub } from '../support/hub/hub.ts';
import { openPullHouse, type PullHouse } from '../support/pull-house.ts';
import { downloadClients, type DownloadClient, type Downloaded } from './download-commands.ts';

/** Longer than two time-outs of huggingface_hub; in nightly mode than all six of them. */
const slowMs = process.env['WEIGHBRIDGE_NIGHTLY'] === '1' ? 65_000 : 23_000;
const MiB = 1024 * 1024;
const withheldBytes = MiB;
/** Larger than the blocks in which huggingface_hub writes, so that a resume has something to start from. */
const weights = Buffer.alloc(12 * MiB + 77);
/** Whoever resumes has a million zeros already. */
randomFillSync(weights, 1_000_000);
/** Thirty downloads start at once. */
const patientUpstream = { headerMs: 60_000, idleMs: 60_000 };
const held = weights.length - withheldBytes;
const path = 'model.safetensors';
const clients = downloadClients().map((client, index) => ({ client, repository: `org/m${index}` }));

interface Verdict {
  /** After the last byte. */
  readonly delayMs: number;
  readonly denied?: string;
}

interface Outcome extends Downloaded {
  /** What the gate noted about this client's requests. */
  readonly events: readonly PullEvent[];
}

describe('clients and withheld bytes', { concurrency: 3 }, () => {
  let hub: LoopbackHub;
  const houses: PullHouse[] = [];
  const streamed: number[] = [];

  before(async () => {
    hub = await openLoopbackHub();
    for (const { repository } of clients) await hub.commit(repository, { [path]: weights });
  });
  after(async () => {
    for (const house of houses) await house[Symbol.asyncDispose]();
    await hub.close();
  });

  /** Every client at once at one gate, each with a repository of its own that is cold there. */
  const matrix = (
    title: string,
    delivery: Delivery,
    verdict: Verdict,
    check: (client: DownloadClient, outcome: Outcome) => void,
  ): void => {
    const opening = Promise.withResolvers<PullHouse>();
    describe(title, { concurrency: true }, () => {
      before(async () => {
        const house = await openPullHouse(hub.url, {}, patientUpstream);
        houses.push(house);
        house.setDelivery(delivery);
        house.setIntakeDelay(verdict.delayMs);
        if (verdict.denied !== undefined) house.verdicts.denied.set(path, verdict.denied);
        opening.resolve(house);
      });
      for (const { client, repository } of clients) {
        const skip = missing(client.name, client.program !== undefined);
        test(client.name, { skip }, async (t) => {
          const house = await opening.promise;
          const downloaded = await client.download(t, { endpoint: house.url, repository, path });
          const events = house.events.filter((event) => event.repository.id === repository);
          check(client, { ...downloaded, events });
        });
      }
    });
  };

  const tail: Delivery = { mode: 'tail', everyClient: false };
  const tailForAll: Delivery = { mode: 'tail', everyClient: true };
  const hold: Delivery = { mode: 'hold', everyClient: false };
  const approve: Delivery = { mode: 'approve', everyClient: false };
  const slow: Verdict = { delayMs: slowMs };
  const no: Verdict = { delayMs: 8_000, denied: 'would call `os.system`' };

  matrix('tail: a slow verdict', tail, slow, completes);
  matrix('tail for every client: a slow verdict', tailForAll, slow, completes);
  matrix('hold: a slow verdict', hold, slow, completes);
  matrix('approve: a verdict', approve, { delayMs: 1_000 }, completes);
  matrix('tail: a refusal', tail, no, (client, outcome) => {
    isRefused(client, outcome);
    assert.match(outcome.text, client.shows ? /weighbridge refuses .*would call/i : /./, client.name);
    if (!client.tailed) assert.equal(mostSent(outcome), 0, client.name);
    streamed.push(mostSent(outcome));
  });
  after(() => {
    // On a machine without any client that is tailed there is nobody to stream to; those tests say that they skip.
    if (!clients.some(({ client }) => client.tailed && client.program !== undefined)) return;
    assert.ok(Math.max(...streamed) > 10 * MiB, 'a refused file was streamed to nobody');
  });
  matrix('hold: a refusal', hold, no, (client, outcome) => {
    isRefused(client, outcome);
    assert.match(outcome.text, client.shows ? /weighbridge refuses .*would call/i : /./, client.name);
    assert.equal(mostSent(outcome), 0, client.name);
  });
  matrix('tail for every client: a refusal', tailForAll, no, (client, outcome) => {
    isRefused(client, outcome);
    // One that does not ask again hears nothing but the end of its connection: therefore it is held by default.
    if (client.shows && client.asksAgain)
      assert.match(outcome.text, /weighbridge refuses .*would call/i, client.name);
  });
});

function completes(client: DownloadClient, { succeeded, bytes, text }: Outcome): void {
  assert.ok(succeeded, `${client.name}: ${text}`);
  assert.ok(bytes?.equals(weights), `${client.name} has other bytes`);
}

/** Not complete under the name that stands for completeness, and nowhere a byte of what was withheld. */
function isRefused(client: DownloadClient, outcome: Outcome): void {
  const { succeeded, bytes } = outcome;
  assert.ok(!succeeded, `${client.name} took a refused file for complete`);
  assert.ok(bytes === undefined || bytes.length <= held, `${client.name} has ${bytes?.length} bytes`);
  if (client.keepsApart) assert.equal(bytes, undefined, `${client.name} shows a part under the final name`);
  assert.ok(mostSent(outcome) <= held);
}

function mostSent({ events }: Outcome): number {
  return Math.max(0, ...events.map(({ sentBytes }) => sentBytes));
}
