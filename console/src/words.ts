import type { ListArtifactsAnswer, ShowArtifactAnswer } from './api/client.ts';

export type ArtifactRow = ListArtifactsAnswer['items'][number];
export type Artifact = ShowArtifactAnswer;
export type ArtifactFile = Artifact['files'][number];
export type Finding = Artifact['findings'][number];
export type EvidenceRow = Artifact['evidence'][number];
export type ExplainedDecision = Artifact['decisions'][number];
export type Reason = ExplainedDecision['decision']['reasons'][number];
export type Verdict = ExplainedDecision['decision']['verdict'];
export type Environment = ExplainedDecision['environment'];
export type ScanVerdict = ArtifactRow['verdict'];
export type RootName = keyof Artifact['roots'];

export type Tone = 'good' | 'caution' | 'bad' | 'quiet';

export const environments: readonly Environment[] = ['development', 'staging', 'production'];

export const verdictWords: Readonly<Record<Verdict, { readonly tone: Tone; readonly word: string }>> = {
  allow: { tone: 'good', word: 'Allowed' },
  warn: { tone: 'caution', word: 'Allowed with a warning' },
  deny: { tone: 'bad', word: 'Denied' },
};

/** What a scan came to; an incomplete one is never called clean. */
export function scanWords(
  verdict: ScanVerdict,
  completeness: 'complete' | 'inconclusive',
): { readonly tone: Tone; readonly word: string } {
  if (verdict === 'malicious') return { tone: 'bad', word: 'Malicious' };
  if (verdict === 'suspicious') return { tone: 'caution', word: 'Suspicious' };
  if (verdict === 'unknown') return { tone: 'quiet', word: 'Not scanned' };
  return completeness === 'complete'
    ? { tone: 'good', word: 'Clean' }
    : { tone: 'caution', word: 'Inconclusive' };
}

export const severityTones: Readonly<Record<Finding['severity'], Tone>> = {
  critical: 'bad',
  high: 'bad',
  medium: 'caution',
  low: 'quiet',
};
export const severityWords: Readonly<Record<Finding['severity'], string>> = {
  critical: 'Critical',
  high: 'High',
  medium: 'Medium',
  low: 'Low',
};
export const severityOrder: readonly Finding['severity'][] = ['critical', 'high', 'medium', 'low'];

export const roleWords: Readonly<Record<ArtifactFile['role'], string>> = {
  weights: 'weights',
  steering: 'steers loading',
  documentation: 'documentation',
};

export const rootWords: Readonly<Record<RootName, { readonly name: string; readonly meaning: string }>> = {
  all: { name: 'Every file', meaning: 'Any change, even to a README, needs a new approval.' },
  loading: {
    name: 'Weights and what steers loading',
    meaning: 'Holds while only documentation changes.',
  },
  weights: { name: 'Weights only', meaning: 'Holds while configuration and code change. The widest.' },
};

const predicates: readonly (readonly [pattern: RegExp, name: string, tone: Tone])[] = [
  [/\/evidence\/revocation\//, 'Refusal', 'bad'],
  [/\/evidence\/approval\//, 'Approval', 'good'],
  [/\/evidence\/waiver\//, 'Waiver', 'caution'],
  [/\/evidence\/sandbox\//, 'Sandbox run', 'quiet'],
  [/\/evidence\/upstream-incident\//, 'Upstream incident', 'caution'],
  [/\/evidence\/scan\//, 'Scan', 'quiet'],
  [/\/evidence\/observed\//, 'Arrival', 'quiet'],
  [/\/evidence\/trust-root\//, 'Trust root', 'quiet'],
  [/\/evidence\/policy\//, 'Policy', 'quiet'],
  [/\/evidence\/adoption\//, 'Adoption', 'quiet'],
  [/\/evidence\/tally\//, 'Tally', 'quiet'],
  [/verification_summary/, 'Decision', 'quiet'],
  [/model_signing/, 'Release signature', 'good'],
  [/cyclonedx/, 'Bill of materials', 'quiet'],
  [/slsa\.dev\/provenance/, 'Provenance', 'quiet'],
];

/** The everyday name of a predicate type; of an unknown one, the type itself. */
export function predicateWords(predicateType: string): { readonly name: string; readonly tone: Tone } {
  const row = predicates.find(([pattern]) => pattern.test(predicateType));
  return row === undefined ? { name: predicateType, tone: 'quiet' } : { name: row[1], tone: row[2] };
}

/** Where a finding is, in words: `archive/data.pkl, byte 1 204, step 17`. */
export function placeWords(location: Finding['location']): string {
  return [
    location.path,
    location.member === undefined ? undefined : `member ${location.member}`,
    location.pointer === undefined
      ? undefined
      : `at ${location.pointer === '' ? '(root)' : location.pointer}`,
    location.offset === undefined ? undefined : `byte ${location.offset}`,
    location.opcode === undefined ? undefined : `step ${location.opcode}`,
  ]
    .filter((part) => part !== undefined)
    .join(', ');
}

/** First letter in capitals and a full stop: the server's sentences as people write them. */
export function sentence(text: string): string {
  if (text === '') return '';
  const first = /^[a-z]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?…:]$/.test(first) ? first : `${first}.`;
}
