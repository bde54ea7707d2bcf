import type { Digest } from '#artifact/digest.ts';
import { digestOfHex } from '#artifact/digest.ts';
import type { Ledger } from '#evidence/ledger.ts';
import type { ProducerIdentity } from '#evidence/predicates.ts';
import type { Statement } from '#evidence/statement.ts';
import type { Clock } from '#lib/clock.ts';
import type { ProducerInput } from '#producers/producer.ts';

/** Evidence older than this is made again when its artifact is asked for, so that rules about age can be met. */
export const renewedAfterMs = 7 * 24 * 3600 * 1000;

/** Earlier statements of one producer identity that are young enough to stand for a new run. */
export function knownStatements(ledger: Ledger, clock: Clock, namespace: string): ProducerInput['known'] {
  return async (subjects: readonly Digest[], identity: ProducerIdentity) => {
    const found = new Map<Digest, Statement>();
    for (const { statement } of await ledger.find({ namespace, subjects })) {
      if (!isBy(statement, identity) || clock.now() - producedAtMs(statement) > renewedAfterMs) continue;
      for (const { digest } of statement.subject) found.set(digestOfHex(digest.sha256), statement);
    }
    return found;
  };
}

function isBy({ predicate }: Statement, identity: ProducerIdentity): boolean {
  const producer = memberOf(predicate, 'producer');
  return (
    memberOf(producer, 'name') === identity.name &&
    memberOf(producer, 'version') === identity.version &&
    memberOf(producer, 'ruleSetDigest') === identity.ruleSetDigest
  );
}

/** The instant that a producer wrote into its statement, milliseconds; 0 where there is none. */
export function producedAtMs({ predicate }: Statement): number {
  for (const name of ['scannedAt', 'observedAt']) {
    const instant = memberOf(predicate, name);
    if (typeof instant === 'string' && !Number.isNaN(Date.parse(instant))) return Date.parse(instant);
  }
  return 0;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined;
}
