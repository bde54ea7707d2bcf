import type { LoggedEvidence } from '#evidence/statement.ts';
import { parseStatement } from '#evidence/statement.ts';
import { decodePayload, parseEnvelope } from '#evidence/envelope.ts';
import type { SequencedEntry } from '#evidence/log/sequence-store.ts';
import { bytesOf, digestColumn, type Row, textOf, wholeOf } from './rows.ts';

/** The columns that both parsers below read. */
export const evidenceColumns = 'log_index, namespace, envelope_digest, envelope';

/** A row of `log_entry` as evidence: the exact bytes are the truth, statement and envelope are read from them. */
export function parseEvidenceRow(row: Row): LoggedEvidence {
  const envelope = parseEnvelope(bytesOf(row, 'envelope'));
  return {
    logIndex: wholeOf(row, 'log_index'),
    namespace: textOf(row, 'namespace'),
    envelopeDigest: digestColumn(row, 'envelope_digest'),
    envelope,
    statement: parseStatement(decodePayload(envelope)),
  };
}

/**
 * The same with what the projections write: leaf and envelope bytes. Envelope and statement are parsed when
 * somebody looks at them: who only projects never pays for a statement of megabytes.
 */
export function parseSequencedRow(row: Row): SequencedEntry {
  let evidence: LoggedEvidence | undefined;
  const read = (): LoggedEvidence => (evidence ??= parseEvidenceRow(row));
  return {
    logIndex: wholeOf(row, 'log_index'),
    namespace: textOf(row, 'namespace'),
    envelopeDigest: digestColumn(row, 'envelope_digest'),
    leaf: bytesOf(row, 'leaf'),
    envelopeBytes: bytesOf(row, 'envelope'),
    get envelope() {
      return read().envelope;
    },
    get statement() {
      return read().statement;
    },
  };
}
