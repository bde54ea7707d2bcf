import type { Ledger } from '#evidence/ledger.ts';
import { mapInSlices } from '#lib/slices.ts';
import type { Database } from './database.ts';
import { evidenceColumns, parseEvidenceRow } from './evidence-row.ts';
import { digestBytes } from './rows.ts';
import { asLedger } from './sequence-store.ts';

/**
 * The asking half of the `Ledger`, in one round trip: evidence of the namespace and of the shared `system` namespace
 * about any of the subjects, in log order. An empty list of subjects finds nothing. Fault `ledger.unavailable`.
 */
export function openLedgerReader(database: Database): Pick<Ledger, 'find'> {
  return {
    find: async ({ namespace, subjects, predicateTypes, beforeIndex }) => {
      if (subjects.length === 0 || predicateTypes?.length === 0) return [];
      const rows = await asLedger(
        database.ask(namespace, {
          name: 'ledger-find',
          text: `SELECT ${evidenceColumns} FROM weighbridge.log_entry
            WHERE log_index IN (SELECT log_index FROM weighbridge.log_subject
                WHERE namespace = ANY (ARRAY[$1, 'system']) AND subject = ANY ($2::bytea[]))
              AND ($3::text[] IS NULL OR predicate_type = ANY ($3))
              AND ($4::bigint IS NULL OR log_index < $4)
            ORDER BY log_index`,
          values: [namespace, subjects.map(digestBytes), predicateTypes ?? null, beforeIndex ?? null],
        }),
      );
      return mapInSlices(rows, parseEvidenceRow);
    },
  };
}
