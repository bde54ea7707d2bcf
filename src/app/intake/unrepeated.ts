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
  const single = produced.statements.filter(({ subject }) => subject.length === 1);
  if (single.length === 0) return produced.statements;
  const logged = await ledger.find({
    namespace: produced.namespace,
    subjects: [...new Set(single.map(subjectOf))].map(digestOfHex),
    predicateTypes: [...new Set(single.map(({ predicateType }) => predicateType))],
  });
  return produced.statements.filter((statement) => {
    if (statement.subject.length !== 1) return true;
    const newest = logged.findLast((entry) => isAbout(entry.statement, statement));
    return newest === undefined || !standsFor(newest, statement, clock);
  });
}

function subjectOf({ subject }: Statement): string {
  return subject[0]?.digest.sha256 ?? '';
}

/** The same kind, and among its subjects the one of `statement`. */
function isAbout(logged: Statement, statement: Statement): boolean {
  const wanted = subjectOf(statement);
  return (
    logged.predicateType === statement.predicateType &&
    logged.subject.some(({ digest }) => digest.sha256 === wanted)
  );
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
