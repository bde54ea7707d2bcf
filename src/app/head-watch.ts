import type { Clock } from '#lib/clock.ts';
import type { SequenceStore } from '#evidence/log/sequence-store.ts';
import type { LoggedEvidence } from '#evidence/statement.ts';
import { parseEnvelope } from '#evidence/envelope.ts';

/** A replica that has not read the ledger's head for this long stops allowing (DESIGN §1a). */
const staleAfterMs = 10_000;
/** Revocations of other replicas are enforced within 2 s even where every notification is lost. */
const readEveryMs = 1_000;
const readAtOnce = 1_000;

export interface HeadWatch {
  /** Reads the head now, e.g. after a notification. Never rejects. */
  wake(): void;
  ledgerAge(): { readonly stale: boolean; readonly readMs: number };
  close(): Promise<void>;
}

/**
 * Follows the ledger's head, whoever moved it, and tells of every entry once, in log order. Reading it is what keeps the
 * right to allow: while the database does not answer, the age grows and the gates close.
 */
export function watchHead(ports: {
  readonly store: SequenceStore;
  readonly clock: Clock;
  readonly startSize: number;
  readonly grown: (entries: readonly LoggedEvidence[], size: number) => void;
  readonly failed: (error: unknown) => void;
}): HeadWatch {
  let toldSize = ports.startSize;
  let readMs = ports.clock.now();
  let turn: Promise<void> | undefined;
  let again = false;

  const look = async (): Promise<void> => {
    const begun = ports.clock.now();
    const head = await ports.store.readHead();
    readMs = begun;
    const size = head?.size ?? 0;
    while (toldSize < size) {
      const entries = await ports.store.readEntries(toldSize, Math.min(size, toldSize + readAtOnce));
      if (entries.length === 0) return;
      toldSize += entries.length;
      ports.grown(
        entries.map(({ logIndex, namespace, statement, envelopeDigest, envelopeBytes }) => ({
          logIndex,
          namespace,
          statement,
          envelopeDigest,
          envelope: parseEnvelope(envelopeBytes),
        })),
        toldSize,
      );
    }
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
    ledgerAge: () => ({ stale: ports.clock.now() - readMs > staleAfterMs, readMs }),
    close: async () => {
      clearInterval(timer);
      again = false;
      await turn;
    },
  };
}
