import type { AdoptedModel, RiskKind } from '../routes/adoption-report.ts';

/** What people read for the words of a report; the console has its own. */
export const riskWords: Readonly<Record<RiskKind, string>> = {
  malicious: 'would run a command',
  suspicious: 'finding of the scan',
  altered: 'altered on disk',
  unlisted: 'not in upstream’s list',
  'outside-link': 'link out of the cache',
  'unknown-origin': 'origin not proved',
  unread: 'could not be read',
  inconclusive: 'inconclusive scan',
  'pickle-beside-safetensors': 'pickle beside safetensors',
  'remote-code': 'code that comes with the model',
  'moved-reference': 'reference has moved',
  duplicate: 'stored more than once',
  unreferenced: 'used by nothing',
  partial: 'partial download',
  'world-writable': 'writable by everybody',
};

export const originWords: Readonly<Record<AdoptedModel['origin']['state'], string>> = {
  proved: 'proved',
  claimed: 'claimed',
  contradicted: 'contradicted',
  unknown: 'unknown',
};

export const layoutWords: Readonly<Record<AdoptedModel['layout'], string>> = {
  'hub-cache': 'hub cache',
  'hub-folder': 'hub download',
  ollama: 'Ollama store',
  folder: 'folder',
};

/** `90.9 MB`, in powers of ten, as disks and hubs count. */
export function sizeWords(sizeBytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const power = sizeBytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(sizeBytes) / 3), units.length - 1);
  const value = sizeBytes / 1000 ** power;
  const digits = power === 0 ? String(value) : value >= 999.5 ? '999' : String(Number(value.toPrecision(3)));
  return `${digits} ${units[power] ?? ''}`;
}

/** `1 file`, `3 files`. */
export function countWords(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** What a scan came to; an incomplete one is never called clean. */
export function scanWords({ verdict, completeness }: Pick<AdoptedModel, 'verdict' | 'completeness'>): string {
  if (verdict !== 'clean') return verdict;
  return completeness === 'complete' ? 'clean' : 'inconclusive';
}

/** The model as people call it: `org/name@0123456789ab`. */
export function modelWords({ name, source }: Pick<AdoptedModel, 'name' | 'source'>): string {
  return source?.commit == null ? name : `${name}@${source.commit.slice(0, 12)}`;
}
