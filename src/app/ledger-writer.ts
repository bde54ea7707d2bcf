import type { Ledger, PendingEntry } from '#evidence/ledger.ts';
import { placeStatement } from '#evidence/statement.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import { signStatement } from '#evidence/envelope.ts';
import { mapInSlices } from '#lib/slices.ts';
import type { Signer } from '#evidence/signer.ts';

/** Signs statements and puts them into the ledger; the only way in for producers, people and decisions. */
export interface LedgerWriter {
  /** Durable and sequenced when it resolves; listeners of the ledger have been told. */
  write(
    namespace: string,
    statements: readonly Statement[],
    signer: Signer,
  ): Promise<readonly LoggedEvidence[]>;
}

/** `told` hears of every batch after it is durable, in order, before the writer's caller does. */
export function openLedgerWriter(
  ledger: Ledger,
  told: (entries: readonly LoggedEvidence[]) => void,
): LedgerWriter {
  return {
    write: async (namespace, statements, signer) => {
      if (statements.length === 0) return [];
      const pending = await Promise.all(
        await mapInSlices(statements, async (unplaced): Promise<PendingEntry> => {
          const statement = placeStatement(unplaced, namespace);
          const { envelope } = await signStatement(statement, signer);
          return { namespace, statement, envelope };
        }),
      );
      const logged = await ledger.append(pending);
      told(logged);
      return logged;
    },
  };
}
