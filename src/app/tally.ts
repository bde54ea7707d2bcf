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

/** What of the house the tally uses. */
export interface TallyPorts {
  readonly clock: House['clock'];
  readonly writer: House['writer'];
  readonly newestOf: House['newestOf'];
  readonly trust: { readonly fingerprint: Digest };
  readonly stores: { readonly keys: Pick<House['stores']['keys'], 'evidence'> };
  readonly metrics: Pick<House['metrics'], 'faults'>;
}

/**
 * Once a minute what the gates did becomes one entry per namespace. Each statement's subject is the tally before it (the
 * trust root for the first, the newest one in the log after a restart), so that the counts form a chain inside the log
 * and none can be left out unseen. What cannot be appended now is counted on and appended later.
 */
export function openTally(
  house: TallyPorts,
  counted: PullJournal & { drain(): readonly TallyBatch[]; restore(batch: TallyBatch): void },
): { readonly journal: PullJournal; close(): Promise<void> } {
  const last = new Map<string, Digest>();
  const openedMs = house.clock.now();
  /** Up to when each namespace is counted; the minutes of a failed append are part of the next one. */
  const countedTo = new Map<string, number>();

  const append = async ({ namespace, lines }: TallyBatch): Promise<void> => {
    const toMs = house.clock.now();
    const from = formatInstant(countedTo.get(namespace) ?? openedMs);
    const previous =
      last.get(namespace) ??
      (await house.newestOf(namespace, predicateTypes.tally)) ??
      house.trust.fingerprint;
    const statement = makeStatement({
      namespace,
      subject: [{ name: 'previous', digest: { sha256: hexOf(previous) } }],
      predicateType: predicateTypes.tally,
      predicate: { from, to: formatInstant(toMs), lines },
    });
    const [logged] = await house.writer.write(namespace, [statement], house.stores.keys.evidence);
    if (logged !== undefined) last.set(namespace, logged.envelopeDigest);
    countedTo.set(namespace, toMs);
  };
  const appendAll = async (): Promise<void> => {
    for (const batch of counted.drain()) {
      try {
        await append(batch);
      } catch (error) {
        counted.restore(batch);
        house.metrics.faults.inc({ code: toFault(error).code });
      }
    }
  };
  let turn: Promise<void> = Promise.resolve();
  const next = (): Promise<void> => {
    turn = turn.then(appendAll);
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
