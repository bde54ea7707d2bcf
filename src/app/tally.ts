import { formatInstant } from '#lib/clock.ts';
import { hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { makeStatement } from '#evidence/statement.ts';
import type { PullJournal } from '#gates/pull/ports.ts';
import { toFault } from '#lib/fault.ts';
import type { TallyBatch } from './journal.ts';
import type { House } from './wire.ts';

const everyMs = 60_000;

/**
 * Once a minute what the gates did becomes one entry per namespace. Each statement's subject is the tally before it (the
 * trust root for the first), so that the counts form a chain inside the log and none can be left out unseen.
 */
export function openTally(
  house: House,
  counted: PullJournal & { drain(): readonly TallyBatch[] },
): { readonly journal: PullJournal; close(): Promise<void> } {
  const last = new Map<string, Digest>();
  let fromMs = house.clock.now();

  const append = async (): Promise<void> => {
    const batches = counted.drain();
    const from = formatInstant(fromMs);
    fromMs = house.clock.now();
    for (const { namespace, lines } of batches) {
      const previous =
        last.get(namespace) ?? (await newestTally(house, namespace)) ?? house.trust.fingerprint;
      const statement = makeStatement({
        namespace,
        subject: [{ name: 'previous', digest: { sha256: hexOf(previous) } }],
        predicateType: predicateTypes.tally,
        predicate: { from, to: formatInstant(fromMs), lines },
      });
      const [logged] = await house.writer.write(namespace, [statement], house.stores.keys.evidence);
      if (logged !== undefined) last.set(namespace, logged.envelopeDigest);
    }
  };
  let turn: Promise<void> = Promise.resolve();
  const next = (): Promise<void> => {
    turn = turn.then(append).catch((error: unknown) => {
      house.metrics.faults.inc({ code: toFault(error).code });
    });
    return turn;
  };
  const timer = setInterval(() => void next(), everyMs);
  return {
    journal: counted,
    close: async () => {
      clearInterval(timer);
      await next();
    },
  };
}

/** After a restart the chain goes on from the newest tally of the namespace: follow it from the trust root. */
async function newestTally(house: House, namespace: string): Promise<Digest | undefined> {
  return house.newestOf(namespace, predicateTypes.tally);
}
