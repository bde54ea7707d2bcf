import { availableParallelism } from 'node:os';
import { hexOf, type Digest } from '#artifact/digest.ts';
import { predicateTypes, type ScanPredicate, type ScanResult } from '#evidence/predicates.ts';
import { statementType, type Statement } from '#evidence/statement.ts';
import { limits } from '#lib/limits.ts';
import type { TaskSource } from '#lib/worker-pool.ts';
import type { ProducedFile, Producer, ProducerInput } from '../producer.ts';
import type { Judgement } from './finding.ts';
import { scanIdentity } from './rule-set.ts';
import { isReadForItsPath } from './scan-artifact.ts';
import { notFinished, type ScannableFile, type Scanner } from './scanner.ts';

/** A statement stays well below the bound of an envelope, base64 included. */
const resultsBytes = limits.envelopeBytes / 4;

/**
 * The scan of an artifact: name-free results for every blob that is here and was not scanned by this rule set before
 * (up to `limits.statementSubjects` per statement, in order of digest), and one statement about what the artifact's
 * paths make of its bytes. Known results are not repeated. Absent files are not judged.
 */
export function createScanProducer(scanner: Scanner): Producer {
  return {
    identity: scanIdentity,
    predicateType: predicateTypes.scan,
    async produce(input) {
      const blobs = new Map(input.files.filter(({ present }) => present).map((file) => [file.digest, file]));
      const known = await knownFormats(input, [...blobs.keys()]);
      const fresh = [...blobs.values()].filter(({ digest }) => !known.has(hexOf(digest)));
      const results = await inLanes(fresh, (file) => scanOne(scanner, input, file));
      results.sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
      const formats = new Map(known);
      for (const { sha256, formats: found } of results) formats.set(sha256, found);
      const artifact = await scanPaths(scanner, input, formats);
      return [
        ...batches(results).map((batch) => statementOf(input, 'blob', batch)),
        statementOf(input, 'artifact', [artifact]),
      ];
    },
  };
}

/**
 * As many files at once as there are workers; the artifact is their lane, so that another artifact always finds a worker
 * that this one does not take.
 */
async function inLanes<T, R>(items: readonly T[], perform: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.values();
  const lane = async (): Promise<void> => {
    for (const item of queue) results.push(await perform(item));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return results;
}

function toResult(judgement: Judgement, digest: Digest, sizeBytes: number): ScanResult {
  const { formats, verdict, completeness, incompleteReasons, findings } = judgement;
  return { sha256: hexOf(digest), formats, sizeBytes, verdict, completeness, incompleteReasons, findings };
}

async function scanOne(scanner: Scanner, input: ProducerInput, file: ProducedFile): Promise<ScanResult> {
  const source = await input.open(file.digest);
  if (source === undefined) {
    const missing: Judgement = {
      formats: ['unknown'],
      verdict: 'clean',
      completeness: 'inconclusive',
      incompleteReasons: [`${notFinished} the bytes are not in the blob store`],
      findings: [],
    };
    return toResult(missing, file.digest, file.sizeBytes);
  }
  try {
    return toResult(
      await scanner.scanBlob(source, input.signal, input.artifact),
      file.digest,
      file.sizeBytes,
    );
  } finally {
    await source[Symbol.asyncDispose]();
  }
}

async function scanPaths(
  scanner: Scanner,
  input: ProducerInput,
  formats: ReadonlyMap<string, readonly string[]>,
): Promise<ScanResult> {
  const files = input.files.map(({ path, sizeBytes, digest, present }): ScannableFile => ({
    path,
    sizeBytes,
    formats: formats.get(hexOf(digest)) ?? [],
    source: present && isReadForItsPath(path) ? openedPerRead(input, digest, sizeBytes) : undefined,
  }));
  const sizeBytes = input.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  return toResult(await scanner.scanArtifact(files, input.signal, input.artifact), input.artifact, sizeBytes);
}

/** Opens the blob for each read only: an artifact may have more configurations than this process may open files. */
function openedPerRead(input: ProducerInput, digest: Digest, sizeBytes: number): TaskSource {
  return {
    sizeBytes,
    async read(offset, lengthBytes) {
      await using source = await input.open(digest);
      if (source === undefined) throw new Error('the bytes are not in the blob store');
      return await source.read(offset, lengthBytes);
    },
  };
}

/** Formats of the blobs that this rule set has scanned before, from their statements. */
async function knownFormats(
  input: ProducerInput,
  digests: readonly Digest[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const known = new Map<string, readonly string[]>();
  for (const [digest, statement] of await input.known(digests, scanIdentity)) {
    const formats = formatsIn(statement, hexOf(digest));
    if (formats !== undefined) known.set(hexOf(digest), formats);
  }
  return known;
}

function formatsIn(statement: Statement, sha256: string): readonly string[] | undefined {
  const { predicate } = statement;
  if (typeof predicate !== 'object' || predicate === null) return undefined;
  if (!('scope' in predicate) || predicate.scope !== 'blob') return undefined;
  if (!('results' in predicate) || !Array.isArray(predicate.results)) return undefined;
  const results: readonly unknown[] = predicate.results;
  for (const result of results) {
    if (typeof result !== 'object' || result === null) continue;
    if (!('sha256' in result) || result.sha256 !== sha256) continue;
    if (isUnfinished(result)) return undefined;
    if (!('formats' in result) || !Array.isArray(result.formats)) continue;
    return result.formats.filter((format: unknown): format is string => typeof format === 'string');
  }
  return undefined;
}

/** Did the machine and not the bytes end this scan? Then it stands for this arrival only. */
function isUnfinished(result: object): boolean {
  if (!('incompleteReasons' in result) || !Array.isArray(result.incompleteReasons)) return false;
  return result.incompleteReasons.some(
    (reason: unknown) => typeof reason === 'string' && reason.startsWith(notFinished),
  );
}

function batches(results: readonly ScanResult[]): readonly (readonly ScanResult[])[] {
  const all: ScanResult[][] = [];
  let sizeBytes = 0;
  for (const result of results) {
    const bytes = Buffer.byteLength(JSON.stringify(result));
    const batch = all.at(-1);
    if (batch === undefined || batch.length >= limits.statementSubjects || sizeBytes + bytes > resultsBytes) {
      all.push([result]);
      sizeBytes = bytes;
    } else {
      batch.push(result);
      sizeBytes += bytes;
    }
  }
  return all;
}

function statementOf(
  input: ProducerInput,
  scope: ScanPredicate['scope'],
  results: readonly ScanResult[],
): Statement<ScanPredicate> {
  return {
    _type: statementType,
    subject: results.map(({ sha256 }) => ({ digest: { sha256 } })),
    predicateType: predicateTypes.scan,
    predicate: { producer: scanIdentity, scannedAt: input.at, scope, results },
  };
}
