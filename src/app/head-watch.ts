import type { Clock } from '#lib/clock.ts';
import type { SequenceStore } from '#evidence/log/sequence-store.ts';
import type { LoggedEvidence } from '#evidence/statement.ts';
import { mapInSlices } from '#lib/slices.ts';

/** A replica that has not read the ledger's head for this long stops allowing (DESIGN §1a). */
const staleAfterMs = 10_000;
/** Revocations of other replicas are enforced within 2 s even where every notification is lost. */
const readEveryMs = 1_000;
const readAtOnce = 1_000;

export interface HeadWatch {
  /** Reads the head now, e.g. after a notification. Never rejects. */
  wake(): void;
  /** `signedAtMs` is the time of the newest checkpoint that was read; 0 before the first. */
  ledgerAge(): { readonly stale: boolean; readonly ageMs: number; readonly signedAtMs: number };
  close(): Promise<void>;
}

/**
 * Follows the ledger's head, whoever moved it, and tells of every entry once, in log order. Reading it is what keeps the
 * right to allow: while the database does not answer, the age grows and the gates close. Having read means that every
 * entry below the head was told: a head whose entries cannot be read keeps nothing open. The age is taken from a clock
 * that cannot be set back.
 */
export function watchHead(ports: {
  readonly store: SequenceStore;
  /** For ages only; the system's steady clock in the house. */
  readonly steady: Clock;
  readonly startSize: number;
  readonly grown: (entries: readonly LoggedEvidence[], size: number) => void;
  readonly failed: (error: unknown) => void;
}): HeadWatch {
  let toldSize = ports.startSize;
  let readMs = ports.steady.now();
  let signedAtMs = 0;
  let turn: Promise<void> | undefined;
  let again = false;

  const look = async (): Promise<void> => {
    const begunMs = ports.steady.now();
    const head = await ports.store.readHead();
    signedAtMs = Math.max(signedAtMs, head?.signedAtMs ?? 0);
    const size = head?.size ?? 0;
    while (toldSize < size) {
      const entries = await ports.store.readEntries(toldSize, Math.min(size, toldSize + readAtOnce));
      if (entries.length === 0) return;
      const told = await mapInSlices(
        entries,
        ({ logIndex, namespace, statement, envelopeDigest, envelope }): LoggedEvidence => ({
          logIndex,
          namespace,
          statement,
          envelopeDigest,
          envelope,
        }),
      );
      ports.grown(told, toldSize + entries.length);
      toldSize += entries.length;
    }
    readMs = begunMs;
  };
  const wake = (): void => {
    if (turn !== undefined) {
      again = true;
      return;
    }
    turn = look()
      .catch(ports.failed)
      .finally(() => {
        turn = undefined;
        if (!again) return;
        again = false;
        wake();
      });
  };
  const timer = setInterval(wake, readEveryMs);
  return {
    wake,
    ledgerAge: () => {
      const ageMs = ports.steady.now() - readMs;
      return { stale: ageMs > staleAfterMs, ageMs, signedAtMs };
    },
    close: async () => {
      clearInterval(timer);
      again = false;
      await turn;
    },
  };
}
