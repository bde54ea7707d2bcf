import { systemNamespace } from '#evidence/statement.ts';
import type { LoggedEvidence } from '#evidence/statement.ts';
import type { Database } from './database.ts';
import { evidenceColumns, parseEvidenceRow } from './evidence-row.ts';
import { asLedger } from './sequence-store.ts';

/** Statements about the whole installation (trust roots, policies) of one predicate, in log order. Fault `ledger.unavailable`. */
export async function findSystemEntries(
  database: Database,
  predicateType: string,
): Promise<readonly LoggedEvidence[]> {
  const rows = await asLedger(
    database.askAsLog({
      name: 'ledger-system',
      text: `SELECT ${evidenceColumns} FROM weighbridge.log_entry WHERE namespace = $1 AND predicate_type = $2 ORDER BY log_index`,
      values: [systemNamespace, predicateType],
    }),
  );
  return rows.map(parseEvidenceRow);
}
