import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { openRawDownload } from '../support/raw-download.ts';
import { removeFolder, startTestServer } from '../support/server.ts';

/** Attacks on what comes in, each against the real server. */
const MiB = 1024 * 1024;
const dataBytes = 22 * MiB;
const weights = Buffer.from(safetensors({ w: tensor(0, dataBytes) }, dataBytes));
const path = 'model.safetensors';
const hf = { 'user-agent': 'unknown/None; hf_hub/1.33.0; python/3.11' };

test('what was streamed of a lie is never completed by the rest of the truth, not even after a restart', async (t) => {
  const hub = await openLoopbackHub();
  t.after(() => hub.close());
  const data = await mkdtemp(join(tmpdir(), 'weighbridge-'));
  t.after(() => removeFolder(data));
  await hub.commit('org/mixed', { 'config.json': '{}', [path]: weights });
  hub.lie('org/mixed', 'wrong-bytes', { path, times: 1 });
  const url = `/org/mixed/resolve/main/${path}`;

  const first = await startTestServer({ upstream: hub.url, data });
  const lied = await openRawDownload(first.clients, url, hf);
  await lied.until((answer) => answer.ended() !== undefined, 120_000);
  const kept = lied.body();
  assert.ok(kept.length > weights.length / 2 && kept.length < weights.length, `${kept.length}`);
  assert.ok(!kept.equals(weights.subarray(0, kept.length)), 'the lie was streamed');
  await first.kill();

  const second = await startTestServer({ upstream: hub.url, data });
  t.after(() => second.stop());
  for (const warm of [false, true]) {
    const rest = await openRawDownload(second.clients, url, { ...hf, range: `bytes=${kept.length}-` });
    await rest.until((answer) => answer.ended() !== undefined || complete(answer), 120_000);
    assert.equal(rest.status(), 200, `${warm ? 'warm' : 'cold'}: a part would be joined to other bytes`);
    assert.ok(rest.body().equals(weights));
    rest.close();
  }
});

function complete(answer: { header(name: string): string | undefined; received(): number }): boolean {
  return answer.received() === Number(answer.header('content-length') ?? -1);
}
