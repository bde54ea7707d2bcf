import type { Digest } from '#artifact/digest.ts';
import type { PendingEntry } from '#evidence/ledger.ts';
import { openProjector, type Projection, type Projector } from '#evidence/log/project.ts';
import { openSequencer, type Sequencer } from '#evidence/log/sequence.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { Signer } from '#evidence/signer.ts';
import { systemNamespace } from '#evidence/statement.ts';
import { makeTrustRoot, signTrustRoot, trustDigest, type KeyRole } from '#evidence/trust.ts';
import { memoryBlobs } from './memory-blobs.ts';
import { openMemoryLogFiles, type MemoryLogFiles } from './memory-log-files.ts';
import { openMemorySequenceStore, type MemorySequenceStore } from './memory-sequence-store.ts';
import { ecdsaSigner, ed25519Signer, pendingEntry } from './signing.ts';

export const testOrigin = 'test.example/log';

/** A whole installation's log: keys, trust root as entry 0, sequencer and projector. */
export interface TestLog extends Projection {
  readonly store: MemorySequenceStore;
  readonly files: MemoryLogFiles;
  readonly blobs: ReturnType<typeof memoryBlobs>;
  readonly keys: Readonly<Record<KeyRole, Signer>>;
  readonly fingerprint: Digest;
  readonly sequencer: Sequencer;
  readonly projector: Projector;
  /** Appends `count` fresh scan statements and publishes. */
  grow(count: number): Promise<void>;
}

export async function openTestLog(): Promise<TestLog> {
  // Ed25519 for all, because hundreds of entries are signed in these tests.
  const keys = {
    log: ed25519Signer(),
    evidence: ed25519Signer(),
    decisions: ecdsaSigner(),
    release: ecdsaSigner(),
  };
  const store = openMemorySequenceStore();
  const clock = { now: () => 1_800_000_000_000 };
  const sequencer = await openSequencer({ store, signer: keys.log, origin: testOrigin, clock });
  const root = makeTrustRoot({ origin: testOrigin, issuedAt: '2026-11-21T09:00:00Z', keys });
  const all = [keys.log, keys.evidence, keys.decisions, keys.release] as const;
  const { statement, envelope } = await signTrustRoot(root, [...all]);
  await sequencer.append([{ namespace: systemNamespace, statement, envelope }]);
  const files = openMemoryLogFiles();
  const blobs = memoryBlobs();
  const projector = await openProjector({ store, files, blobs, log: sequencer.log });
  let made = 0;
  const grow = async (count: number): Promise<void> => {
    const entries: PendingEntry[] = [];
    for (let index = 0; index < count; index += 1) {
      made += 1;
      entries.push(await pendingEntry(keys.evidence, `entry ${made}`, 'default', predicateTypes.scan));
    }
    await sequencer.append(entries);
    await projector.project();
  };
  const { log } = sequencer;
  return { store, files, blobs, keys, fingerprint: trustDigest(root), sequencer, projector, log, grow };
}
