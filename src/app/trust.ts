import type { Digest } from '#artifact/digest.ts';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault } from '#lib/fault.ts';
import type { SequenceStore } from '#evidence/log/sequence-store.ts';
import type { Sequencer } from '#evidence/log/sequence.ts';
import { systemNamespace } from '#evidence/statement.ts';
import type { Envelope, LoggedEvidence } from '#evidence/statement.ts';
import { keyRoles, makeTrustRoot, readTrustRoot, signTrustRoot, trustDigest } from '#evidence/trust.ts';
import type { Trust } from '#evidence/trust.ts';
import { verifyTrustRootChain } from '#evidence/verify.ts';
import type { FileKeys } from '#adapters/keys-file/keys-file.ts';

export interface OpenTrust {
  readonly trust: Trust;
  /** Envelopes of every version, oldest first: what an offline re-check starts from. */
  readonly chain: readonly Envelope[];
  /** Digest of version 1: what people and gates pin. */
  readonly fingerprint: Digest;
  /** True when this start made trust root v1. */
  readonly made: boolean;
}

/**
 * Trust root v1 is log entry 0. The first start makes it; every later one reads the chain from the log and verifies it.
 * Faults `trust.invalid` (the chain does not verify, or the keys on disk are not the ones it names).
 */
export async function openTrustRoot(
  ports: {
    readonly store: SequenceStore;
    readonly sequencer: Sequencer;
    readonly keys: FileKeys;
    readonly clock: Clock;
    readonly trustRoots: () => Promise<readonly LoggedEvidence[]>;
  },
  origin: string,
): Promise<OpenTrust> {
  const head = await ports.store.readHead();
  const made = head === undefined || head.size === 0;
  if (made) await appendFirst(ports, origin);
  const chain = (await ports.trustRoots()).map(({ envelope }) => envelope);
  const verified = verifyTrustRootChain(chain);
  if (!verified.ok) {
    throw new Fault(
      'trust.invalid',
      `the trust root in the log does not verify: ${verified.reasons[0]?.message ?? 'no reason'}`,
      {
        hint: 'run `weighbridge doctor`; the database is not the one that belongs to this data directory, or it was altered',
      },
    );
  }
  const { trust } = verified;
  const strange = keyRoles.find((role) => !trust.root.roles[role].keyIds.includes(ports.keys[role].keyId));
  if (strange !== undefined) {
    throw new Fault(
      'trust.invalid',
      `the ${strange} key in the data directory is not the one that the trust root names`,
      {
        hint: 'restore the `keys` directory that belongs to this log',
      },
    );
  }
  const [first] = chain;
  if (first === undefined) throw new Fault('trust.invalid', 'there is no trust root in the log');
  return { trust, chain, fingerprint: trustDigest(readTrustRoot(first)), made };
}

async function appendFirst(ports: Parameters<typeof openTrustRoot>[0], origin: string): Promise<void> {
  const { log, evidence, decisions, release } = ports.keys;
  const root = makeTrustRoot({ origin, issuedAt: formatInstant(ports.clock.now()), keys: ports.keys });
  const { envelope, statement } = await signTrustRoot(root, [log, evidence, decisions, release]);
  const [logged] = await ports.sequencer.append([{ namespace: systemNamespace, statement, envelope }]);
  // Two processes that start on one empty database race for entry 0; the loser finds the winner's chain when it reads.
  if (logged === undefined) throw new Fault('ledger.unavailable', 'the trust root was not sequenced');
}
