import { systemNamespace } from '#evidence/statement.ts';
import type { LoggedEvidence } from '#evidence/statement.ts';
import type { Database } from './database.ts';
import type { Digest } from '#artifact/digest.ts';
import { evidenceColumns, parseEvidenceRow } from './evidence-row.ts';
import { digestColumn } from './rows.ts';
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

/** Statements of one predicate in a namespace, newest first, from before a log index on. Fault `ledger.unavailable`. */
export async function findNewestEntries(
  database: Database,
  namespace: string,
  asked: { readonly predicateType: string; readonly limit: number; readonly before?: number | undefined },
): Promise<readonly LoggedEvidence[]> {
  const rows = await asLedger(
    database.ask(namespace, {
      name: 'ledger-newest-entries',
      text: `SELECT ${evidenceColumns} FROM weighbridge.log_entry
        WHERE namespace = $1 AND predicate_type = $2 AND log_index < $3 ORDER BY log_index DESC LIMIT $4`,
      values: [namespace, asked.predicateType, asked.before ?? Number.MAX_SAFE_INTEGER, asked.limit],
    }),
  );
  return rows.map(parseEvidenceRow);
}

/** Envelope digest of the newest entry of a predicate in a namespace. Fault `ledger.unavailable`. */
export async function findNewestEntry(
  database: Database,
  namespace: string,
  predicateType: string,
): Promise<Digest | undefined> {
  const [row] = await asLedger(
    database.askAsLog({
      name: 'ledger-newest',
      text: `SELECT envelope_digest FROM weighbridge.log_entry WHERE namespace = $1 AND predicate_type = $2
        ORDER BY log_index DESC LIMIT 1`,
      values: [namespace, predicateType],
    }),
  );
  return row === undefined ? undefined : digestColumn(row, 'envelope_digest');
}
