import { digestOf } from '#artifact/digest.ts';
import { formats } from '#artifact/formats/formats.ts';
import type { ProducerIdentity, Severity } from '#evidence/predicates.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { ruleOfFlaw } from './judge-reading.ts';
import { containerRuleId, torchRules, zipRules } from './pickle/judge-pytorch.ts';
import { reviewed } from './pickle/reviewed.ts';
import { pickleRules } from './pickle/rules.ts';
import { formatRules, type Rule } from './rules.ts';

interface ReasonedRule {
  readonly severity: Severity;
  readonly why: string;
  readonly remedy: string;
}

function blobRules(
  table: Readonly<Record<string, ReasonedRule>>,
  idOf: (key: string) => string,
): Readonly<Record<string, Rule>> {
  return Object.fromEntries(
    Object.entries(table).map(([key, { severity, why, remedy }]) => [
      idOf(key),
      { severity, scope: 'blob', title: why, remedy },
    ]),
  );
}

/** Every rule by id, those of pickles and archives included: what docs/reference/rules.md lists. */
export const rules: Readonly<Record<string, Rule>> = {
  ...formatRules,
  ...blobRules(pickleRules, (id) => id),
  ...blobRules(torchRules, (kind) => containerRuleId('PT', kind)),
  ...blobRules(zipRules, (kind) => containerRuleId('ZIP', kind)),
};

/** The reviewed imports and calls of pickles, without members that are not set. */
const reviewedCalls: unknown = JSON.parse(JSON.stringify([...reviewed]));

/**
 * Who scans. The rule-set digest covers every table that decides a verdict; the version is raised by hand whenever
 * code changes what the same bytes answer. Either change makes older scans stale, and they are produced again.
 */
export const scanIdentity: ProducerIdentity = {
  name: 'weighbridge-scan',
  version: '2',
  ruleSetDigest: digestOf(
    encodeJcs({ formats: formats.map(({ id }) => id), reviewedCalls, ruleOfFlaw, rules }),
  ),
};
