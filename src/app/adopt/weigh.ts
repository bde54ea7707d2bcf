import type { Digest } from '#artifact/digest.ts';
import { buildManifest } from '#artifact/manifest.ts';
import { roleOf } from '#artifact/roles.ts';
import type { Finding } from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';
import { closeSync, fstatSync } from 'node:fs';
import type { Judgement } from '#producers/scan/finding.ts';
import { isReadForItsPath } from '#producers/scan/scan-artifact.ts';
import type { Scanner } from '#producers/scan/scanner.ts';
import type { TaskSource } from '#lib/worker-pool.ts';
import { hexOf } from '#artifact/digest.ts';
import { identityOf, keyOf } from './found.ts';
import type { FoundFile, FoundModel } from './found.ts';
import { descriptorSource } from './measure.ts';
import type { Measured, Measurement } from './measure.ts';
import { openBelow } from './open-folder.ts';
import type { MeasuredFile, OriginAnswer, OriginDesk } from './origin.ts';
import type { AdoptionState } from './state.ts';

/** One file with everything that is known of it. */
export interface WeighedFile {
  readonly found: FoundFile;
  readonly measured: Measured;
  /** The scan of its bytes; undefined where they could not be read. */
  readonly scan: Judgement | undefined;
}

export interface WeighedModel {
  readonly found: FoundModel;
  readonly files: readonly WeighedFile[];
  readonly artifact: Digest | undefined;
  /** Why there is no artifact digest. */
  readonly unnamed: string | undefined;
  /** What the paths make of the bytes. */
  readonly scan: Judgement | undefined;
  readonly origin: OriginAnswer;
}

export interface WeighTools {
  readonly measurement: Measurement;
  readonly scanner: Scanner;
  readonly state: AdoptionState;
  readonly origins: OriginDesk;
  readonly signal: AbortSignal;
}

/** As many files at once as this many workers and reads keep busy. */
const lanes = 4;

/** Reads, scans, names and proves one model. Throws only where the signal aborts. */
export async function weighModel(tools: WeighTools, found: FoundModel): Promise<WeighedModel> {
  const files = await inLanes(found.files, async (file): Promise<WeighedFile> => {
    const measured = await tools.measurement.measure(found.root, file);
    if (measured.kind === 'unread') return { found: file, measured, scan: undefined };
    return { found: file, measured, scan: await tools.measurement.scanOf(measured.digest) };
  });
  const read = files.flatMap(({ found: { path }, measured }): MeasuredFile[] =>
    measured.kind === 'unread' ? [] : [{ path, ...measured }],
  );
  const { artifact, unnamed } = nameOf(found, read);
  const scan = await scanPaths(tools, { found, files, artifact });
  return { found, files, artifact, unnamed, scan, origin: await tools.origins.prove(found, read) };
}

function nameOf(
  found: FoundModel,
  files: readonly MeasuredFile[],
): { readonly artifact: Digest | undefined; readonly unnamed: string | undefined } {
  if (files.length < found.files.length)
    return { artifact: undefined, unnamed: 'not every file can be read' };
  try {
    return { artifact: buildManifest(files).digest, unnamed: undefined };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { artifact: undefined, unnamed: error.message };
  }
}

/** The artifact's digest covers paths and bytes, so a scan of it stands as long as the rules do. */
async function scanPaths(
  { scanner, state, signal }: WeighTools,
  { found, files, artifact }: Pick<WeighedModel, 'found' | 'files' | 'artifact'>,
): Promise<Judgement> {
  const known = artifact === undefined ? undefined : state.scanOf('artifact', artifact);
  if (known !== undefined) return known;
  const judgement = await scanner.scanArtifact(
    files.map(({ found: file, measured, scan }) => ({
      path: file.path,
      sizeBytes: file.identity.sizeBytes,
      formats: scan?.formats ?? [],
      source:
        measured.kind === 'measured' && isReadForItsPath(file.path)
          ? openedPerRead(found.root, file, measured.sizeBytes)
          : undefined,
    })),
    signal,
  );
  if (artifact !== undefined) state.saveScan('artifact', artifact, judgement);
  return judgement;
}

/** Opens the file for each read, and refuses one that is no longer what was hashed. */
function openedPerRead(root: string, file: FoundFile, sizeBytes: number): TaskSource {
  return {
    sizeBytes,
    async read(offset, lengthBytes) {
      const descriptor = openBelow(root, file.location);
      try {
        if (keyOf(identityOf(fstatSync(descriptor, { bigint: true }))) !== keyOf(file.identity)) {
          throw new Fault('file.changed', `\`${file.path}\` changed while it was read`);
        }
        return await descriptorSource(descriptor, sizeBytes).read(offset, lengthBytes);
      } finally {
        closeSync(descriptor);
      }
    },
  };
}

/** `items.map(perform)` with a few at a time; waits for those under way before a failure is thrown. */
export async function inLanes<T, R>(items: readonly T[], perform: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await perform(item);
  };
  const settled = await Promise.allSettled(Array.from({ length: Math.min(lanes, items.length) }, lane));
  const failed = settled.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return results;
}

/** Files whose bytes are not what their layout declares. */
export function alteredFiles({ files }: WeighedModel): readonly WeighedFile[] {
  return files.filter(({ found: { declared }, measured }) => {
    if (declared === undefined || measured.kind === 'unread') return false;
    return declared.kind === 'sha256'
      ? hexOf(measured.digest) !== declared.hex
      : measured.gitOid !== declared.hex;
  });
}

/** Does a file hold what `torch.load` and its kin would run, whatever it is called? */
export function isPickle({ found: { path }, scan }: WeighedFile): boolean {
  const formats = scan?.formats ?? [];
  return roleOf(path) === 'weights' && formats.some((format) => /^(?:pickle|pytorch)/.test(format));
}

/** Every finding about the model, with the file it is about. */
export function findingsOf({ files, scan, found }: WeighedModel): readonly {
  readonly finding: Finding;
  readonly path: string;
}[] {
  return [
    ...files.flatMap(({ found: { path }, scan: own }) =>
      (own?.findings ?? []).map((finding) => ({ finding, path })),
    ),
    ...(scan?.findings ?? []).map((finding) => ({ finding, path: finding.location.path ?? found.name })),
  ];
}
