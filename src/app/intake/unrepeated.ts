import { encodeJcsText } from '#lib/jcs.ts';
import type { Clock } from '#lib/clock.ts';
import { digestOfHex } from '#artifact/digest.ts';
import type { Ledger } from '#evidence/ledger.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import { producedAtMs, renewedAfterMs } from './known.ts';

/**
 * Leaves out statements that the ledger has already: same kind, same subjects, same content but for the instant, and
 * young enough. An arrival that runs again after a restart, or brings one more file, so adds only what is new.
 */
export async function unrepeated(
  ledger: Ledger,
  clock: Clock,
  produced: { readonly namespace: string; readonly statements: readonly Statement[] },
): Promise<readonly Statement[]> {
  const fresh: Statement[] = [];
  for (const statement of produced.statements) {
    const [subject, ...others] = statement.subject;
    if (subject === undefined || others.length > 0) {
      fresh.push(statement);
      continue;
    }
    const logged = await ledger.find({
      namespace: produced.namespace,
      subjects: [digestOfHex(subject.digest.sha256)],
      predicateTypes: [statement.predicateType],
    });
    const newest = logged.at(-1);
    if (newest === undefined || !standsFor(newest, statement, clock)) fresh.push(statement);
  }
  return fresh;
}

function standsFor(entry: LoggedEvidence, statement: Statement, clock: Clock): boolean {
  const madeMs = producedAtMs(entry.statement);
  if (madeMs > 0 && clock.now() - madeMs > renewedAfterMs) return false;
  return timeless(entry.statement) === timeless(statement);
}

function timeless({ predicateType, predicate }: Statement): string {
  const members = typeof predicate === 'object' && predicate !== null ? Object.entries(predicate) : [];
  const kept = members.filter(([name]) => name !== 'scannedAt' && name !== 'observedAt');
  return encodeJcsText({ predicateType, predicate: Object.fromEntries(kept) });
}
