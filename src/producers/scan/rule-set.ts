import { digestOf } from '#artifact/digest.ts';
import { formats } from '#artifact/formats/formats.ts';
import type { ProducerIdentity } from '#evidence/predicates.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { ruleOfFlaw } from './judge-reading.ts';
import { formatRules, type Rule } from './rules.ts';

/** Every rule by id, the pickle machine's included: what docs/reference/rules.md lists. */
export const rules: Readonly<Record<string, Rule>> = { ...formatRules };

/**
 * Who scans. The rule-set digest covers every table that decides a verdict; the version is raised by hand whenever
 * code changes what the same bytes answer. Either change makes older scans stale, and they are produced again.
 */
export const scanIdentity: ProducerIdentity = {
  name: 'weighbridge-scan',
  version: '1',
  ruleSetDigest: digestOf(encodeJcs({ formats: formats.map(({ id }) => id), ruleOfFlaw, rules })),
};
