import assert from 'node:assert/strict';
import { test } from 'node:test';
import { downloadFile } from '@huggingface/hub';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { openPullHouse } from '../support/pull-house.ts';
import { javaScriptCases } from './hf-js-cases.ts';

javaScriptCases('javascript', async (t) => {
  const hub = await openLoopbackHub();
  const house = await openPullHouse(hub.url);
  t.after(async () => {
    await house[Symbol.asyncDispose]();
    await hub.close();
  });
  return {
    hubUrl: house.url,
    commit: (id, files) => hub.commit(id, files),
    refuse: async (path, reason) => void house.verdicts.denied.set(path, reason),
    revoke: async (_id, commit) => void house.verdicts.withdrawn.add(commit),
  };
});

test('javascript: the probe waits as long as the verdict takes', async () => {
  await using hub = await openLoopbackHub();
  await using house = await openPullHouse(hub.url, { holdMs: 200 });
  await hub.commit('org/slow', { 'model.bin': 'slow' });
  house.setIntakeDelay(2_000);
  const blob = await downloadFile({ repo: 'org/slow', path: 'model.bin', hubUrl: house.url });
  assert.equal(await blob?.text(), 'slow');
});
