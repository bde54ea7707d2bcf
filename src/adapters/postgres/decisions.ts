import { digestOf } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { parseJson } from '#lib/json.ts';
import type { Decision, Question } from '#policy/decision.ts';
import type { DecisionStore, KeptDecision } from '#policy/decision-store.ts';
import type { Database } from './database.ts';
import { bytesOf, digestBytes, digestColumn, type Row, wholeOf } from './rows.ts';

const columns = 'decision, log_index, envelope_digest';

export function openDecisionStore(database: Database): DecisionStore {
  return {
    find: async (question) => {
      const [row] = await database.ask(question.namespace, {
        name: 'decision-find',
        text: `SELECT ${columns} FROM weighbridge.decision WHERE namespace = $1 AND question_digest = $2
          ORDER BY log_index DESC LIMIT 1`,
        values: [question.namespace, questionBytes(question)],
      });
      return row === undefined ? undefined : parseKept(row);
    },
    wasAllowed: async (question) => {
      const rows = await database.ask(question.namespace, {
        name: 'decision-was-allowed',
        text: `SELECT 1 FROM weighbridge.decision WHERE namespace = $1 AND question_digest = $2
          AND verdict <> 'deny' LIMIT 1`,
        values: [question.namespace, questionBytes(question)],
      });
      return rows.length > 0;
    },
    save: async ({ decision, logIndex, envelopeDigest }) => {
      const { question } = decision;
      await database.ask(question.namespace, {
        name: 'decision-save',
        text: `INSERT INTO weighbridge.decision
            (namespace, question_digest, log_index, artifact, verdict, valid_until_ms, envelope_digest, decision)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (namespace, question_digest, log_index) DO NOTHING`,
        values: [
          question.namespace,
          questionBytes(question),
          logIndex,
          digestBytes(question.artifact),
          decision.verdict,
          decision.validUntil === null ? null : Date.parse(decision.validUntil),
          digestBytes(envelopeDigest),
          Buffer.from(encodeJcs(decision)),
        ],
      });
    },
    list: async (namespace, artifact) => {
      const rows = await database.ask(namespace, {
        name: 'decision-list',
        text: `SELECT ${columns} FROM (
            SELECT DISTINCT ON (question_digest) ${columns} FROM weighbridge.decision
            WHERE namespace = $1 AND artifact = $2 ORDER BY question_digest, log_index DESC) AS newest
          ORDER BY log_index`,
        values: [namespace, digestBytes(artifact)],
      });
      return rows.map(parseKept);
    },
    recent: async (namespace, page) => {
      const rows = await database.ask(namespace, {
        name: 'decision-recent',
        text: `SELECT ${columns} FROM weighbridge.decision
          WHERE namespace = $1 AND ($2::bigint IS NULL OR log_index < $2) ORDER BY log_index DESC LIMIT $3`,
        values: [namespace, page.before ?? null, page.limit],
      });
      return rows.map(parseKept);
    },
  };
}

/** SHA-256 of the JCS bytes of the question. */
function questionBytes(question: Question): Buffer {
  return digestBytes(digestOf(encodeJcs(question)));
}

function parseKept(row: Row): KeptDecision {
  return {
    decision: parseDecision(bytesOf(row, 'decision')),
    logIndex: wholeOf(row, 'log_index'),
    envelopeDigest: digestColumn(row, 'envelope_digest'),
  };
}

/** These bytes were encoded from a `Decision` by `save` above; what can differ is the version that wrote them. */
function parseDecision(bytes: Uint8Array): Decision {
  const value: unknown = parseJson(bytes);
  if (isDecision(value)) return value;
  throw new Fault('internal.unexpected', 'a stored decision was written by an unknown version');
}

function isDecision(value: unknown): value is Decision {
  if (!isObject(value)) return false;
  const { version, question, verdict, reasons, evidenceUsed, checkpoint } = value;
  return (
    version === 1 &&
    (verdict === 'allow' || verdict === 'warn' || verdict === 'deny') &&
    isObject(question) &&
    isObject(checkpoint) &&
    Array.isArray(reasons) &&
    Array.isArray(evidenceUsed)
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
