import assert from 'node:assert/strict';
import test from 'node:test';
import { openSequencer } from '#evidence/log/sequence.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { systemNamespace } from '#evidence/statement.ts';
import type { LoggedEvidence } from '#evidence/statement.ts';
import {
  entitleOwnKeys,
  makeTrustRoot,
  parseTrustRoot,
  signTrustRoot,
  trustDigest,
} from '#evidence/trust.ts';
import type { JsonValue } from '#lib/json.ts';
import { openMemorySequenceStore } from '../../test/support/memory-sequence-store.ts';
import { ecdsaSigner, ed25519Signer } from '../../test/support/signing.ts';
import { openTrustRoot } from './trust.ts';

const origin = 'test.example/log';
const clock = { now: () => 1_800_000_000_000 };

/** A log whose trust root was made when the product did not write some predicates yet. */
async function olderHouse(lacking: readonly string[]) {
  const keys = {
    log: ed25519Signer(),
    evidence: ecdsaSigner(),
    decisions: ecdsaSigner(),
    release: ecdsaSigner(),
  };
  const store = openMemorySequenceStore();
  const sequencer = await openSequencer({ store, signer: keys.log, origin, clock });
  const whole = makeTrustRoot({ origin, issuedAt: '2026-11-21T09:00:00Z', keys });
  const root = parseTrustRoot({
    ...whole,
    assertions: whole.assertions.map((assertion) => ({
      ...assertion,
      predicateTypes: assertion.predicateTypes.filter((type) => !lacking.includes(type)),
    })),
  } as unknown as JsonValue);
  const signed = await signTrustRoot(root, [keys.log, keys.evidence, keys.decisions, keys.release]);
  const appended: LoggedEvidence[] = [];
  const append: typeof sequencer.append = async (entries) => {
    const logged = await sequencer.append(entries);
    appended.push(...logged);
    return logged;
  };
  await append([{ namespace: systemNamespace, ...signed }]);
  let held = false;
  const open = () =>
    openTrustRoot(
      {
        store,
        sequencer: { ...sequencer, append },
        keys,
        clock,
        trustRoots: async () => [...appended],
        acquire: async () => {
          if (held) return undefined;
          held = true;
          return { release: async () => void (held = false) };
        },
      },
      origin,
    );
  return { open, appended, root };
}

test('what this version writes is entitled in the next trust root, once, whoever starts; the pinned first one stays', async () => {
  const lacking = [predicateTypes.sandbox, predicateTypes.upstreamIncident];
  const { open, appended, root } = await olderHouse(lacking);
  const opened = await Promise.all([open(), open(), open()]);
  assert.equal(appended.length, 2, 'one new version');
  for (const { trust, fingerprint, made, chain } of opened) {
    assert.equal(trust.root.version, 2);
    assert.equal(fingerprint, trustDigest(root));
    assert.equal(made, false);
    assert.equal(chain.length, 2);
    const allowed = trust.root.assertions.flatMap((assertion) => assertion.predicateTypes);
    for (const type of lacking) assert.ok(allowed.includes(type), type);
    assert.equal(entitleOwnKeys(trust.root, '2026-11-21T10:00:00Z'), undefined);
  }
  assert.equal((await open()).trust.root.version, 2);
  assert.equal(appended.length, 2);
});

test('a trust root of this version is left as it is', async () => {
  const { open, appended, root } = await olderHouse([]);
  assert.equal((await open()).trust.digest, trustDigest(root));
  assert.equal(appended.length, 1);
});
