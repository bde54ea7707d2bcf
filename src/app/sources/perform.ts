import type { Intakes, IntakeProgress } from '#adapters/postgres/intakes.ts';
import type { RepositoryName, Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import type { CollectSource } from '#artifact/source.ts';
import type { Intake, Listing } from '#gates/pull/ports.ts';
import { Fault } from '#lib/fault.ts';
import { depositFiles } from './deposit.ts';
import type { DepositPorts } from './deposit.ts';
import { matchesGlob, parseIntake } from './request.ts';
import type { IntakeBody, IntakeOrder } from './request.ts';
import { openSink } from './sink.ts';

export interface PerformPorts extends DepositPorts {
  readonly collect: CollectSource;
  readonly intakes: Intakes;
  readonly intake: Intake;
  /** The transfers of large files now, of every namespace. */
  readonly transfers: () => readonly Transfer[];
  /** Evidence about every file of a snapshot. */
  readonly complete: (snapshot: Snapshot, signal: AbortSignal) => Promise<void>;
  readonly mostBytes: number;
  readonly failed: (error: unknown) => void;
}

/** One transfer of a large file from upstream; bytes that this process has received. */
export interface Transfer {
  readonly source: {
    readonly namespace: string;
    readonly repository: RepositoryName;
    readonly commit: string;
    readonly file: { readonly path: string };
  };
  readonly receivedBytes: number;
}

interface Arrived {
  readonly commit: string;
  readonly artifact: Digest;
  readonly paths: readonly string[] | null;
}

interface Work {
  readonly namespace: string;
  readonly id: string;
  readonly order: IntakeOrder;
  readonly signal: AbortSignal;
}

const progressEveryMs = 500;
/** Between two looks at what has come from the hub. */
const waitMs = 2_000;

/** One intake from its row to its end. May be run again after any stop. Faults are for the caller to settle. */
export async function performIntake(
  ports: PerformPorts,
  { namespace, id, signal }: Omit<Work, 'order'>,
): Promise<void> {
  if (!(await ports.intakes.move(namespace, id, ['waiting', 'running'], 'running'))) return;
  const body = await ports.intakes.requestOf(namespace, id);
  const work: Work = { namespace, id, order: parseIntake(parseStored(body)), signal };
  const arrived = work.order.task.kind === 'hub' ? await wantFromHub(ports, work) : await takeIn(ports, work);
  await ports.intakes.finish(namespace, id, arrived);
}

/** The body as this house wrote it; whoever could write another could as well ask for it. */
function parseStored(value: unknown): IntakeBody {
  const source: unknown =
    typeof value === 'object' && value !== null && 'source' in value ? value.source : undefined;
  if (typeof source !== 'string' && !Array.isArray(source))
    throw new Fault('internal.unexpected', 'a stored intake is not readable');
  return value as IntakeBody;
}

async function takeIn(ports: PerformPorts, work: Work): Promise<Arrived> {
  const { namespace, id, order, signal } = work;
  const report = throttled((progress) => ports.intakes.progress(namespace, id, progress), ports.failed);
  const open = openSink({
    blobs: ports.blobs,
    catalog: ports.catalog,
    namespace,
    mostBytes: ports.mostBytes,
    signal,
    progress: report.note,
  });
  const { task, repository, reference } = order;
  try {
    const collected =
      task.kind === 'foreign'
        ? await ports.collect(task.request, open.sink)
        : await collectUpload(ports, work, open.sink);
    const deposit = { namespace, repository, reference, collected, files: open.files(), signal };
    const snapshot = await depositFiles(ports, deposit);
    await report.flush();
    await ports.complete(snapshot, signal);
    return { commit: snapshot.commit, artifact: snapshot.artifact, paths: null };
  } finally {
    await report.flush();
  }
}

/** Files that were uploaded are in the store and linked already: `put` opens nothing. */
async function collectUpload(
  ports: PerformPorts,
  { namespace, id, order }: Work,
  sink: Parameters<CollectSource>[1],
) {
  const files = await ports.intakes.files(namespace, id);
  sink.expect({ files: files.length, bytes: files.reduce((sum, file) => sum + file.sizeBytes, 0) });
  for (const file of files) {
    await sink.put(file, () => {
      throw new Fault('blob.missing', `the uploaded bytes of \`${file.path}\` are gone`, {
        hint: 'upload again',
      });
    });
  }
  return { uri: `upload://${order.repository.type}/${order.repository.id}` };
}

async function wantFromHub(ports: PerformPorts, { namespace, id, order, signal }: Work): Promise<Arrived> {
  const { task, repository } = order;
  const { revision, include } = task.kind === 'hub' ? task : { revision: 'main', include: undefined };
  if (await ports.owned.isTaken(namespace, repository)) throw takenName(repository.id);
  const resolution = await ports.intake.resolve(namespace, repository, revision);
  if (resolution.kind === 'absent') {
    throw new Fault('source.absent', `the hub has no ${resolution.what} \`${repository.id}@${revision}\``);
  }
  const { listing } = resolution;
  const files = listing.files.filter(({ path }) => include === undefined || matchesGlob(include, path));
  if (files.length === 0) throw new Fault('source.absent', 'no file of the repository is meant');
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const totals = { totalFiles: files.length, totalBytes: bytes };
  await ports.intakes.progress(namespace, id, { files: 0, bytes: 0, ...totals });
  const paths = files.map(({ path }) => path);
  const seen = new Map<string, number>();
  for (;;) {
    const arrival = await ports.intake.want(listing, paths, { waitMs, signal });
    signal.throwIfAborted();
    if (arrival.kind === 'pending') {
      const received = noteTransfers(seen, listing, ports.transfers());
      await ports.intakes.progress(namespace, id, { files: 0, bytes: received, ...totals });
    }
    if (arrival.kind === 'failed') throw arrival.fault;
    if (arrival.kind === 'pending') continue;
    await ports.intakes.progress(namespace, id, { files: files.length, bytes, ...totals });
    return {
      commit: listing.commit,
      artifact: arrival.artifact,
      paths: include === undefined ? null : paths,
    };
  }
}

/** Bytes of the large files of a listing so far: what was seen on its way and is no longer has arrived. */
export function noteTransfers(
  seen: Map<string, number>,
  listing: Pick<Listing, 'namespace' | 'repository' | 'commit' | 'files'>,
  transfers: readonly Transfer[],
): number {
  const sizes = new Map(listing.files.map(({ path, sizeBytes }) => [path, sizeBytes]));
  for (const path of seen.keys()) seen.set(path, sizes.get(path) ?? 0);
  for (const { source, receivedBytes } of transfers) {
    const { namespace, repository, commit, file } = source;
    const mine =
      namespace === listing.namespace &&
      commit === listing.commit &&
      repository.type === listing.repository.type &&
      repository.id === listing.repository.id;
    if (mine) seen.set(file.path, Math.min(receivedBytes, sizes.get(file.path) ?? 0));
  }
  return [...seen.values()].reduce((sum, bytes) => sum + bytes, 0);
}

export function takenName(id: string): Fault {
  return new Fault('name.taken', `\`${id}\` was taken by an intake and is not asked for at the hub`, {
    hint: 'pull it, or take the repository of the hub from a namespace in which the name is free',
  });
}

/** Writes the newest progress at most every half second; what fails is reported and does not stop the work. */
function throttled(write: (progress: IntakeProgress) => Promise<void>, failed: (error: unknown) => void) {
  let newest: IntakeProgress | undefined;
  let writing: Promise<void> = Promise.resolve();
  let lastMs = 0;
  const flush = async (): Promise<void> => {
    const progress = newest;
    newest = undefined;
    if (progress !== undefined) writing = writing.then(() => write(progress)).catch(failed);
    await writing;
  };
  return {
    flush,
    note: (progress: IntakeProgress): void => {
      newest = progress;
      const nowMs = performance.now();
      if (nowMs - lastMs < progressEveryMs) return;
      lastMs = nowMs;
      void flush();
    },
  };
}
