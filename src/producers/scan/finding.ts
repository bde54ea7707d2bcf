import type { Finding, ScanVerdict, Completeness } from '#evidence/predicates.ts';
import { limits } from '#lib/limits.ts';
import { formatRules, type FormatRuleId } from './rules.ts';

/** A finding of one of our own rules; severity and remedy come from the table. */
export function finding(ruleId: FormatRuleId, message: string, location: Finding['location'] = {}): Finding {
  const { severity, remedy } = formatRules[ruleId];
  return { ruleId, severity, message: message.toWellFormed(), location, remedy };
}

/** What a scan says about one subject, without who said it. */
export interface Judgement {
  readonly formats: readonly string[];
  readonly verdict: ScanVerdict;
  readonly completeness: Completeness;
  readonly incompleteReasons: readonly string[];
  readonly findings: readonly Finding[];
}

/**
 * Verdict and completeness, two independent answers: the worst finding decides the first (critical is malicious, high
 * and medium suspicious, low stays clean), any reason why bytes are not accounted for the second. Sorted and without
 * repetition, so that the same bytes always give the same evidence; above `limits.findingsPerFile` the worst are kept.
 */
export function judge(
  formats: readonly string[],
  findings: readonly Finding[],
  reasons: readonly string[],
): Judgement {
  const unique = new Map(findings.map((one) => [JSON.stringify(one, locationKeys), one]));
  const sorted = [...unique.values()].sort(compareFindings);
  const incompleteReasons = new Set(reasons);
  if (sorted.length > limits.findingsPerFile) {
    incompleteReasons.add(`too many findings: ${limits.findingsPerFile} of ${sorted.length} are kept`);
  }
  const worst = sorted[0]?.severity;
  return {
    formats,
    verdict:
      worst === 'critical' ? 'malicious' : worst === undefined || worst === 'low' ? 'clean' : 'suspicious',
    completeness: incompleteReasons.size === 0 ? 'complete' : 'inconclusive',
    incompleteReasons: [...incompleteReasons].sort(),
    findings: sorted.slice(0, limits.findingsPerFile),
  };
}

const locationKeys = [
  'ruleId',
  'severity',
  'message',
  'location',
  'path',
  'member',
  'pointer',
  'offset',
  'opcode',
  'remedy',
];

const severityOrder = { critical: 0, high: 1, medium: 2, low: 3 } as const;

function compareFindings(a: Finding, b: Finding): number {
  return (
    severityOrder[a.severity] - severityOrder[b.severity] ||
    compareText(a.ruleId, b.ruleId) ||
    compareText(a.location.path, b.location.path) ||
    compareText(a.location.member, b.location.member) ||
    compareText(a.location.pointer, b.location.pointer) ||
    (a.location.offset ?? -1) - (b.location.offset ?? -1) ||
    (a.location.opcode ?? -1) - (b.location.opcode ?? -1) ||
    compareText(a.message, b.message)
  );
}

function compareText(a = '', b = ''): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
