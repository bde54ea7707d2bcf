import type { ShowAdoptionAnswer } from './api/client.ts';
import type { Tone } from './words.ts';

type Report = ShowAdoptionAnswer['report'];

export const riskWords: Readonly<Record<Report['risks'][number]['kind'], string>> = {
  malicious: 'Would run something',
  suspicious: 'Finding of the scan',
  altered: 'Altered on disk',
  unlisted: 'Not in upstream’s list',
  'outside-link': 'Link out of the cache',
  'unknown-origin': 'Origin not proved',
  unread: 'Could not be read',
  inconclusive: 'Inconclusive scan',
  'pickle-beside-safetensors': 'Pickle beside safetensors',
  'remote-code': 'Code that comes with the model',
  'moved-reference': 'Reference has moved',
  duplicate: 'Stored more than once',
  unreferenced: 'Used by nothing',
  partial: 'Partial download',
  'world-writable': 'Writable by everybody',
};

export const layoutWords: Readonly<Record<Report['models'][number]['layout'], string>> = {
  'hub-cache': 'hub cache',
  'hub-folder': 'hub download',
  ollama: 'Ollama store',
  folder: 'folder',
};

export const originWords: Readonly<
  Record<Report['models'][number]['origin']['state'], { readonly tone: Tone; readonly word: string }>
> = {
  proved: { tone: 'good', word: 'Origin proved' },
  claimed: { tone: 'quiet', word: 'Origin claimed' },
  contradicted: { tone: 'bad', word: 'Origin contradicted' },
  unknown: { tone: 'caution', word: 'Origin unknown' },
};
