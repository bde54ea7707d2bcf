import assert from 'node:assert/strict';
import test from 'node:test';
import { recheckBundle } from '#gates/offline/recheck.ts';
import { exportDecision } from '../support/offline-case.ts';

test('any altered byte of an offline bundle changes the result', async () => {
  const { archive, fingerprint } = await exportDecision();
  const copy = Uint8Array.from(archive);
  const survivors: number[] = [];
  // Every byte would take minutes: one of each 37 bytes (so every place of a header, envelope and proof occurs), another
  // bit each time.
  for (let offset = 0; offset < copy.length; offset += 37) {
    const original = copy[offset] ?? 0;
    copy[offset] = original ^ (1 << (offset % 8));
    if (recheckBundle(copy, fingerprint).reproduced) survivors.push(offset);
    copy[offset] = original;
  }
  assert.deepEqual(survivors, []);
  assert.equal(recheckBundle(copy, fingerprint).reproduced, true);
});
