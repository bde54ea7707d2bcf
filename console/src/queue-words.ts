import type { ListIntakesAnswer, ShowUpstreamsAnswer, TriageRepositoryAnswer } from './api/client.ts';
import type { Arriving, Transfer } from './arrivals.ts';
import type { Tone } from './words.ts';

interface Words {
  readonly tone: Tone;
  readonly word: string;
}

export const phaseWords: Readonly<Record<Arriving['phase'], string>> = {
  listing: 'Listing',
  fetching: 'Fetching',
  inspecting: 'Inspecting',
};

export const transferWords: Readonly<Record<Transfer['state'], string>> = {
  waiting: 'waits for its turn',
  fetching: 'on its way',
  following: 'fetched by another replica',
  verifying: 'digest is checked',
};

export const intakeWords: Readonly<Record<ListIntakesAnswer['items'][number]['state'], Words>> = {
  uploading: { tone: 'quiet', word: 'Being uploaded' },
  waiting: { tone: 'quiet', word: 'Waiting' },
  running: { tone: 'quiet', word: 'Under way' },
  done: { tone: 'good', word: 'Arrived' },
  failed: { tone: 'bad', word: 'Failed' },
};

type Upstream = ShowUpstreamsAnswer['upstreams'][number];

export const healthWords: Readonly<Record<Upstream['state'], Words & { readonly meaning: string }>> = {
  well: { tone: 'good', word: 'Well', meaning: 'It answers.' },
  limited: { tone: 'caution', word: 'Limited', meaning: 'It asked for a pause; requests wait for it.' },
  away: {
    tone: 'bad',
    word: 'Away',
    meaning:
      'It does not answer, and is asked for nothing for a while. What is here already is still served.',
  },
};

export const roleOfHost: Readonly<Record<Upstream['role'], string>> = {
  upstream: 'configured upstream',
  redirect: 'where the upstream redirects to',
};

const incidents: Readonly<Record<string, Words>> = {
  'wrong-digest': { tone: 'bad', word: 'Other bytes than declared' },
  'wrong-size': { tone: 'bad', word: 'Other size than declared' },
  short: { tone: 'bad', word: 'Too few bytes' },
  long: { tone: 'bad', word: 'Too many bytes' },
  encoded: { tone: 'bad', word: 'Encoded against our wish' },
  'wrong-range': { tone: 'bad', word: 'Another range than asked for' },
  'changed-commit': { tone: 'bad', word: 'Same commit, other files' },
  omitted: { tone: 'bad', word: 'Tree leaves files out' },
  'redirect-refused': { tone: 'bad', word: 'Redirect refused' },
  'malformed-tree': { tone: 'bad', word: 'Malformed tree' },
  'malformed-answer': { tone: 'bad', word: 'Malformed answer' },
  stall: { tone: 'caution', word: 'Stalled' },
  'rate-limited': { tone: 'caution', word: 'Asked for a pause' },
  'server-error': { tone: 'caution', word: 'Server error' },
  unreachable: { tone: 'caution', word: 'Unreachable' },
};

/** The everyday name of an incident; of an unknown kind, the kind itself. */
export function incidentWords(kind: string): Words {
  return incidents[kind] ?? { tone: 'caution', word: kind };
}

/** A triage is never green: nothing found is not clean. */
export const triageWords: Readonly<Record<TriageRepositoryAnswer['verdict'], Words>> = {
  malicious: { tone: 'bad', word: 'Malicious' },
  suspicious: { tone: 'caution', word: 'Suspicious' },
  'nothing found': { tone: 'quiet', word: 'Nothing found' },
};

/** `0.04 %`, never rounded up to the whole nor down to nothing. */
export function formatShare(part: number, whole: number): string {
  if (whole <= 0 || part >= whole) return '100 %';
  if (part <= 0) return '0 %';
  const percent = (100 * part) / whole;
  if (percent < 0.01) return 'less than 0.01 %';
  if (percent >= 10) return `${Math.floor(percent)} %`;
  return `${Number(percent.toPrecision(2))} %`;
}
