import type { ByteSource } from '#artifact/blob-store.ts';
import { readFormats, type FormatId, type Reading } from '#artifact/formats/formats.ts';
import { finding, judge, type Judgement } from './finding.ts';
import { judgeReading } from './judge-reading.ts';

/** Formats of which a file is meant to be exactly one; text and JSON are not containers of anything. */
const exclusive: ReadonlySet<FormatId> = new Set<FormatId>([
  'executable',
  'faiss',
  'gguf',
  'hnswlib',
  'lance',
  'pickle',
  'pytorch-legacy',
  'pytorch-zip',
  'safetensors',
  'sqlite',
  'zip',
]);

/**
 * The name-free scan of one blob: every reading that its content admits is read and judged, and all of them count.
 * What no reader knows is inconclusive, never clean. Runs in a worker; throws only where the bytes cannot be read.
 */
export async function scanBlob(source: ByteSource): Promise<Judgement> {
  return judgeReadings(await readFormats(source));
}

export function judgeReadings(readings: readonly Reading[]): Judgement {
  if (readings.length === 0) {
    return judge(['unknown'], [], ['the format is unknown, so nothing is known about these bytes']);
  }
  const findings = readings.flatMap(judgeReading);
  const containers = readings.filter(({ format }) => exclusive.has(format)).map(({ format }) => format);
  if (containers.length > 1) {
    findings.push(
      finding('FMT-POLYGLOT', `the bytes are ${containers.join(' and ')} at once`, { offset: 0 }),
    );
  }
  return judge(
    readings.map(({ format }) => format),
    findings,
    [
      ...readings.flatMap(({ facts }) => facts.incompleteReasons),
      ...(findings.some(({ ruleId }) => ruleId === 'TPL-UNREADABLE')
        ? ['a chat template is not read to its end']
        : []),
    ],
  );
}
