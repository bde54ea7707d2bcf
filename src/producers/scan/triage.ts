import { createHash } from 'node:crypto';
import { memorySource } from '#artifact/formats/reading.ts';
import { isNotRead, SparseSource, type Allowance, type RangeFetch } from '#artifact/sparse-source.ts';
import { Fault, toFault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { openTurnstile } from '#lib/turnstile.ts';
import { judge, type Judgement } from './finding.ts';
import { isReadForItsPath } from './scan-artifact.ts';
import type { Scanner } from './scanner.ts';
import {
  reportOf,
  type DeclaredFile,
  type TriageAbout,
  type TriagedBlob,
  type TriageReport,
} from './triage-report.ts';

export interface RemoteFile extends DeclaredFile {
  readonly fetch: RangeFetch;
}

export interface TriageProgress {
  readonly files: number;
  readonly filesDone: number;
  readonly bytesFetched: number;
}

export interface TriageOptions {
  readonly scanner: Scanner;
  readonly about: TriageAbout;
  /** Aborts when the time is up: what is unread by then is inconclusive. */
  readonly deadline: AbortSignal;
  /** The caller is gone: nothing is answered any more. */
  readonly signal: AbortSignal;
  /** HTTP requests until now. */
  readonly requests: () => number;
  readonly progress?: (progress: TriageProgress) => void;
}

const lanes = 4;
/** Requests that every file may make, however many came before it. */
const leastRequests = 8;

interface Draft {
  readonly options: TriageOptions;
  readonly total: Allowance;
  readonly kept: { bytes: number };
  readonly pass: ReturnType<typeof openTurnstile>;
  readonly done: Map<RemoteFile, TriagedBlob>;
}

/**
 * An answer before the download: the rules of the full scan over the bytes that a few requests bring. It makes no
 * evidence, and what was not read to its end and checked against its declared digest is inconclusive whatever the
 * readers say of it. A file whose source is away is inconclusive; a source that lies or refuses is thrown
 * (`upstream.lied`, `request.forbidden`).
 */
export async function triage(files: readonly RemoteFile[], options: TriageOptions): Promise<TriageReport> {
  const draft: Draft = {
    options,
    total: { bytes: limits.triageBytes, requests: limits.triageRequests },
    kept: { bytes: limits.triageKeptBytes },
    pass: openTurnstile(limits.triageConcurrentRequests),
    done: new Map(),
  };
  const queue = [...files].sort((a, b) => urgency(a) - urgency(b) || a.sizeBytes - b.sizeBytes);
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    for (let file = queue[next++]; file !== undefined && failure === undefined; file = queue[next++]) {
      try {
        draft.done.set(file, await triageFile(draft, file, queue.length - next));
      } catch (error) {
        failure ??= { error };
      }
      reportProgress(draft, files.length);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  if (failure !== undefined) throw failure.error;
  const blobs = files.flatMap((file) => draft.done.get(file) ?? []);
  const artifact = await judgeArtifact(blobs, options);
  return reportOf(options.about, blobs, {
    artifact,
    requests: options.requests(),
    bytesFetched: limits.triageBytes - draft.total.bytes,
  });
}

/** Names say only what comes first when not everything can be read. */
function urgency({ path, sizeBytes }: RemoteFile): number {
  if (isReadForItsPath(path)) return 0;
  if (/\.(pkl|pickle|bin|pt|pth|ckpt|joblib|npy|npz|keras|h5|zip)$/i.test(path)) return 1;
  return sizeBytes <= limits.triageFileBytes ? 2 : 3;
}

function reportProgress({ options, total, done }: Draft, files: number): void {
  options.progress?.({
    files,
    filesDone: done.size,
    bytesFetched: limits.triageBytes - total.bytes,
  });
}

async function triageFile(draft: Draft, file: RemoteFile, filesLeft: number): Promise<TriagedBlob> {
  const { options, total, kept } = draft;
  options.signal.throwIfAborted();
  const spare = total.requests - filesLeft * leastRequests;
  const requests = Math.min(limits.triageFileRequests, Math.max(leastRequests, spare));
  const own: Allowance = { bytes: limits.triageFileBytes, requests };
  const source = new SparseSource(
    file.sizeBytes,
    (range) =>
      draft.pass(() => {
        options.deadline.throwIfAborted();
        return file.fetch(range);
      }),
    [own, total],
  );
  const judgement = await options.scanner.triageBlob(source, requests, options.signal);
  const unread = unreadReason(source.failure, options);
  const bytes = unread === undefined ? await source.whole() : undefined;
  if (bytes !== undefined) checkDigest(file, bytes);
  const covered = bytes === undefined ? source.readBytes : file.sizeBytes;
  const reasons = [...judgement.incompleteReasons];
  if (unread !== undefined) reasons.push(unread);
  if (bytes === undefined) reasons.push(`not read: ${file.sizeBytes - covered} of ${file.sizeBytes} bytes`);
  const keeps = bytes !== undefined && isReadForItsPath(file.path) && bytes.length <= kept.bytes;
  if (keeps) kept.bytes -= bytes.length;
  return {
    file,
    judgement: judge(judgement.formats, judgement.findings, reasons),
    coveredBytes: covered,
    kept: keeps ? bytes : undefined,
  };
}

/** Why requests for this file failed, where the file alone is the worse for it; throws what ends everything. */
function unreadReason(failure: unknown, { deadline, signal }: TriageOptions): string | undefined {
  if (failure === undefined || isNotRead(failure)) return undefined;
  signal.throwIfAborted();
  if (deadline.aborted) return 'not read: the time of the triage is up';
  const fault = toFault(failure);
  if (fault.code !== 'upstream.unavailable') throw fault;
  return `not read: ${fault.message}`;
}

/** A file in git has the SHA-1 of `blob <size>\0` and its bytes as its id, one in LFS declares its SHA-256. */
function checkDigest({ path, sha256, gitOid }: DeclaredFile, bytes: Uint8Array): void {
  const same =
    sha256 === undefined
      ? createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex') === gitOid
      : `sha256:${createHash('sha256').update(bytes).digest('hex')}` === sha256;
  if (same) return;
  throw new Fault('upstream.lied', `\`${path}\` has other bytes than it declares`, { details: { path } });
}

/** What the paths make of the files that are here; what steers loading and is not here is a reason. */
async function judgeArtifact(
  blobs: readonly TriagedBlob[],
  { scanner, signal }: TriageOptions,
): Promise<Judgement> {
  const judged = await scanner.scanArtifact(
    blobs.map(({ file, judgement, kept }) => ({
      path: file.path,
      sizeBytes: file.sizeBytes,
      formats: judgement.formats,
      source: kept === undefined ? undefined : memorySource(kept),
    })),
    signal,
  );
  const missing = blobs
    .filter(({ file, kept }) => isReadForItsPath(file.path) && kept === undefined)
    .map(({ file }) => `\`${file.path}\` may steer loading and is not read`);
  return judge(judged.formats, judged.findings, [...judged.incompleteReasons, ...missing]);
}
