import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '#artifact/digest.ts';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault } from '#lib/fault.ts';
import type { SequenceStore } from '#evidence/log/sequence-store.ts';
import type { Sequencer } from '#evidence/log/sequence.ts';
import { systemNamespace } from '#evidence/statement.ts';
import type { Envelope, LoggedEvidence } from '#evidence/statement.ts';
import {
  entitleOwnKeys,
  keyRoles,
  makeTrustRoot,
  readTrustRoot,
  signTrustRoot,
  trustDigest,
} from '#evidence/trust.ts';
import type { Trust, TrustRoot } from '#evidence/trust.ts';
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

export interface TrustPorts {
  readonly store: SequenceStore;
  readonly sequencer: Sequencer;
  readonly keys: FileKeys;
  readonly clock: Clock;
  readonly trustRoots: () => Promise<readonly LoggedEvidence[]>;
  /** Undefined where another replica holds it. */
  readonly acquire: (name: string) => Promise<{ release(): Promise<void> } | undefined>;
}

/** How long another replica is waited for that is writing the next trust root. */
const renewal = { tries: 50, everyMs: 200 } as const;

/**
 * Trust root v1 is log entry 0. The first start makes it; every later one reads the chain from the log and verifies it. Where
 * an older version of the product made it, the next one lets our own keys assert what this version writes.
 * Faults `trust.invalid` (the chain does not verify, or the keys on disk are not the ones it names).
 */
export async function openTrustRoot(ports: TrustPorts, origin: string): Promise<OpenTrust> {
  const head = await ports.store.readHead();
  const made = head === undefined || head.size === 0;
  if (made) await appendFirst(ports, origin);
  const opened = await readChain(ports);
  if (entitleOwnKeys(opened.trust.root, '2000-01-01T00:00:00Z') === undefined) return { ...opened, made };
  return { ...(await renew(ports)), made };
}

async function readChain(ports: TrustPorts): Promise<Omit<OpenTrust, 'made'>> {
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
  return { trust, chain, fingerprint: trustDigest(readTrustRoot(first)) };
}

/** One replica writes the next version; the others find it. Two of them would break the chain. */
async function renew(ports: TrustPorts): Promise<Omit<OpenTrust, 'made'>> {
  for (let tried = 0; tried < renewal.tries; tried += 1) {
    const lease = await ports.acquire('trust root');
    if (lease === undefined) {
      await sleep(renewal.everyMs);
      continue;
    }
    try {
      const standing = await readChain(ports);
      const next = entitleOwnKeys(standing.trust.root, formatInstant(ports.clock.now()));
      if (next === undefined) return standing;
      await append(ports, next);
      return await readChain(ports);
    } finally {
      await lease.release();
    }
  }
  throw new Fault('trust.invalid', 'another replica is writing the next trust root and does not end', {
    hint: 'start again; if this stays, stop the other replicas first',
  });
}

function appendFirst(ports: TrustPorts, origin: string): Promise<void> {
  return append(
    ports,
    makeTrustRoot({ origin, issuedAt: formatInstant(ports.clock.now()), keys: ports.keys }),
  );
}

async function append({ keys, sequencer }: TrustPorts, root: TrustRoot): Promise<void> {
  const { log, evidence, decisions, release } = keys;
  const { envelope, statement } = await signTrustRoot(root, [log, evidence, decisions, release]);
  const [logged] = await sequencer.append([{ namespace: systemNamespace, statement, envelope }]);
  // Two processes that start on one empty database race for entry 0; the loser finds the winner's chain when it reads.
  if (logged === undefined) throw new Fault('ledger.unavailable', 'the trust root was not sequenced');
}
