import { Type } from 'typebox';
import { Check } from 'typebox/value';
import type { Static } from 'typebox';
import { digestOfHex } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import type { Dossier } from '../decisions/dossiers.ts';
import { findingSchema } from '../routes/schemas.ts';

const scanResultSchema = Type.Object({
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  formats: Type.Array(Type.String()),
  verdict: Type.Union([Type.Literal('clean'), Type.Literal('suspicious'), Type.Literal('malicious')]),
  completeness: Type.Union([Type.Literal('complete'), Type.Literal('inconclusive')]),
  incompleteReasons: Type.Array(Type.String()),
  findings: Type.Array(findingSchema),
});
const scanSchema = Type.Object({ results: Type.Array(scanResultSchema) });
export type ScanView = Static<typeof scanResultSchema>;

/** Newest scan result per subject digest. What does not read as a scan is left out: it is no good news about anything. */
export function newestScans(evidence: readonly VerifiedEvidence[]): ReadonlyMap<Digest, ScanView> {
  const newest = new Map<Digest, ScanView>();
  for (const { statement } of evidence) {
    if (statement.predicateType !== predicateTypes.scan || !Check(scanSchema, statement.predicate)) continue;
    for (const result of statement.predicate.results) newest.set(digestOfHex(result.sha256), result);
  }
  return newest;
}

export interface ScanSummary {
  readonly verdict: 'clean' | 'suspicious' | 'malicious' | 'unknown';
  readonly completeness: 'complete' | 'inconclusive';
}

const order = ['clean', 'suspicious', 'malicious'] as const;

/** The worst verdict over what is here; `unknown` before the artifact itself was scanned. */
export function summariseScans(dossier: Dossier): ScanSummary {
  const scans = newestScans(dossier.evidence);
  const own = scans.get(dossier.subject.artifact);
  if (own === undefined) return { verdict: 'unknown', completeness: 'inconclusive' };
  let worst = order.indexOf(own.verdict);
  let complete = own.completeness === 'complete';
  for (const file of dossier.subject.files) {
    if (!file.present) continue;
    const scan = scans.get(file.digest);
    if (scan !== undefined) worst = Math.max(worst, order.indexOf(scan.verdict));
    complete &&= scan?.completeness === 'complete';
  }
  return { verdict: order[worst] ?? 'malicious', completeness: complete ? 'complete' : 'inconclusive' };
}

const namedFiles = 3;

/** What a scan statement found, in words with the paths of the dossier; undefined for other evidence. */
export function scanSummary(entry: VerifiedEvidence, { subject }: Dossier): string | undefined {
  const found = [...newestScans([entry])];
  if (found.length === 0) return undefined;
  const words = found.flatMap(([digest, { verdict, completeness }]) => {
    const paths = subject.files.filter((file) => file.digest === digest).map(({ path }) => `\`${path}\``);
    const what = digest === subject.artifact ? 'the files together' : paths[0];
    const more = paths.length > 1 ? ` and ${paths.length - 1} more with the same bytes` : '';
    if (what === undefined) return [];
    return [`${what}${more}: ${verdict}${completeness === 'complete' ? '' : ', inconclusive'}`];
  });
  const rest = words.length > namedFiles ? `; and ${words.length - namedFiles} more` : '';
  return words.length === 0 ? undefined : `${words.slice(0, namedFiles).join('; ')}${rest}`;
}
