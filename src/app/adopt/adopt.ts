import { roleOf } from '#artifact/roles.ts';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { judge } from '#producers/scan/finding.ts';
import { scanIdentity } from '#producers/scan/rule-set.ts';
import type { Scanner } from '#producers/scan/scanner.ts';
import type { FoundModel, Inventory } from './found.ts';
import { Holdings } from './holdings.ts';
import { takeInventory } from './inventory.ts';
import { Measurement } from './measure.ts';
import type { MeasuredWork } from './measure.ts';
import { OriginDesk } from './origin.ts';
import type { Upstream } from './origin.ts';
import { reportBounds, reportText } from '../routes/adoption-report.ts';
import type { AdoptedFile, AdoptedModel, AdoptionReport, AdoptionRisk } from '../routes/adoption-report.ts';
import { addNotice, addRisks, noDigest, RiskBook } from './risks.ts';
import type { AdoptionState } from './state.ts';
import { inLanes, weighModel } from './weigh.ts';
import type { WeighedFile, WeighedModel } from './weigh.ts';

/** What a run tells while it runs. */
export interface AdoptionProgress {
  /** Names met so far, before sizes are known. */
  searched(entries: number, path: string): void;
  /** The inventory is done. */
  found(inventory: Inventory): void;
  /** Bytes that are done since the last call. */
  read(bytes: number, path: string): void;
}

export interface AdoptionTools {
  readonly state: AdoptionState;
  readonly scanner: Scanner;
  /** Who is asked about origins; undefined for nobody. */
  readonly upstream: Upstream | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly progress?: AdoptionProgress | undefined;
}

/**
 * Looks at everything below the given directories and says what is there, where it is from and what is wrong with it.
 * Nothing below them is written, moved or enforced. Throws the reason of the signal where it aborts; what was found out
 * until then is in the state, and the next run goes on from there.
 */
export async function adopt(paths: readonly string[], tools: AdoptionTools): Promise<AdoptionReport> {
  const { progress, signal, state, scanner } = tools;
  const inventory = await takeInventory(paths, { signal, onFolder: progress?.searched.bind(progress) });
  progress?.found(inventory);
  const origins = new OriginDesk(tools.upstream, state, signal);
  await using measurement = new Measurement(
    { state, scanner, signal, onBytes: progress?.read.bind(progress) },
    bytesOf(inventory.models),
  );
  const end = (): void => void measurement[Symbol.asyncDispose]();
  signal.addEventListener('abort', end, { once: true });
  try {
    const book = new RiskBook();
    const holdings = new Holdings();
    const models: AdoptedModel[] = [];
    const weigh = async ([index, found]: readonly [number, FoundModel]): Promise<void> => {
      const weighed = await weighModel({ measurement, scanner, state, origins, signal }, found);
      addRisks(book, index, weighed);
      holdings.add(weighed);
      models[index] = modelRow(weighed);
    };
    // What upstream lists for the caches tells afterwards what the other directories hold.
    const indexed = [...inventory.models.entries()];
    await inLanes(
      indexed.filter(([, { source }]) => source !== null),
      weigh,
    );
    await inLanes(
      indexed.filter(([, { source }]) => source === null),
      weigh,
    );
    for (const notice of inventory.notices) addNotice(book, null, notice, notice.root);
    holdings.addDuplicates(book);
    return makeReport({
      inventory,
      models,
      risks: book.rows(),
      holdings,
      at: tools.clock,
      work: measurement.work,
    });
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function bytesOf(models: readonly FoundModel[]): number {
  return models.reduce(
    (sum, { files }) => sum + files.reduce((bytes, { identity }) => bytes + identity.sizeBytes, 0),
    0,
  );
}

interface Parts {
  readonly inventory: Inventory;
  readonly models: readonly AdoptedModel[];
  readonly risks: readonly AdoptionRisk[];
  readonly holdings: Holdings;
  readonly at: Clock;
  readonly work: MeasuredWork;
}

function makeReport({ inventory, models, risks, holdings, at, work }: Parts): AdoptionReport {
  const { name, version, ruleSetDigest } = scanIdentity;
  const reasons = new Set(inventory.incompleteReasons);
  if (risks.some(({ kind, message }) => kind === 'unread' && !message.startsWith(noDigest)))
    reasons.add('something could not be read; the risks of kind `unread` name it');
  if (models.length > reportBounds.models)
    reasons.add(`only ${reportBounds.models} of ${models.length} models are listed`);
  if (risks.length > reportBounds.risks)
    reasons.add(`only the ${reportBounds.risks} gravest of ${risks.length} risks are listed`);
  const listed = risks
    .filter(({ model }) => model === null || model < reportBounds.models)
    .slice(0, reportBounds.risks);
  const byModel = Map.groupBy(risks, ({ model }) => model);
  const filesListed = holdings.files <= reportBounds.files;
  return {
    version: 1,
    at: formatInstant(at.now()),
    scanner: { name, version, ruleSetDigest },
    roots: inventory.roots.map((root) => reportText(root, 4_100)),
    complete: reasons.size === 0,
    incompleteReasons: [...reasons].slice(0, 100),
    filesListed,
    totals: {
      models: models.length,
      files: holdings.files,
      sizeBytes: holdings.sizeBytes,
      distinctBytes: holdings.distinctBytes,
      duplicateBytes: holdings.duplicateBytes,
      partialBytes: inventory.partialBytes,
      unreferencedBytes: inventory.unreferencedBytes,
      origins: countBy(
        ['proved', 'claimed', 'contradicted', 'unknown'],
        models.map(({ origin }) => origin.state),
      ),
      risks: countRisks(risks),
    },
    work: { ...work },
    models: models.slice(0, reportBounds.models).map((model, index) => ({
      ...model,
      files: filesListed ? model.files : [],
      risks: countRisks(byModel.get(index) ?? []),
    })),
    risks: listed,
  };
}

function countBy<const T extends string>(words: readonly T[], found: readonly T[]): Record<T, number> {
  const counts = Object.fromEntries(words.map((word) => [word, 0])) as Record<T, number>;
  for (const word of found) counts[word] += 1;
  return counts;
}

function countRisks(risks: readonly AdoptionRisk[]): AdoptionReport['totals']['risks'] {
  return countBy(
    ['critical', 'high', 'medium', 'low'],
    risks.map(({ severity }) => severity),
  );
}

function modelRow(weighed: WeighedModel): AdoptedModel {
  const { found, files, artifact, scan, origin } = weighed;
  const all = [...files.map((file) => file.scan), scan];
  const unread = files.some(({ measured }) => measured.kind === 'unread');
  const whole = judge(
    [],
    all.flatMap((one) => one?.findings ?? []),
    [...all.flatMap((one) => one?.incompleteReasons ?? []), ...(unread ? ['a file cannot be read'] : [])],
  );
  const formats = new Set(files.flatMap((file) => file.scan?.formats ?? []));
  return {
    name: reportText(found.name, 900),
    layout: found.layout,
    location: reportText(found.location === '' ? found.root : `${found.root}/${found.location}`, 8_100),
    source:
      found.source === null
        ? null
        : {
            ...found.source,
            id: reportText(found.source.id, 300),
            references: found.source.references.map((reference) => reportText(reference, 300)),
          },
    artifact: artifact ?? null,
    fileCount: files.length,
    sizeBytes: files.reduce((sum, { found: { identity } }) => sum + identity.sizeBytes, 0),
    origin: { state: origin.origin.state, detail: reportText(origin.origin.detail, 900) },
    verdict: whole.verdict,
    completeness: whole.completeness,
    formats: [...formats].sort().slice(0, 50),
    risks: { critical: 0, high: 0, medium: 0, low: 0 },
    files: files.map((file) => fileRow(file, scan?.findings ?? [])),
  };
}

function fileRow(
  { found, measured, scan }: WeighedFile,
  about: NonNullable<WeighedFile['scan']>['findings'],
): AdoptedFile {
  const own = about.filter(({ location }) => location.path === found.path);
  const judged = judge(
    scan?.formats ?? ['unknown'],
    [...(scan?.findings ?? []), ...own],
    scan?.incompleteReasons ?? ['it cannot be read'],
  );
  return {
    path: reportText(found.path, 4_100),
    sizeBytes: found.identity.sizeBytes,
    digest: measured.kind === 'measured' ? measured.digest : null,
    role: roleOf(found.path),
    formats: judged.formats.slice(0, 20),
    verdict: judged.verdict,
    completeness: judged.completeness,
  };
}
