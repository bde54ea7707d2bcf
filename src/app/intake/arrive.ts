import { Fault } from '#lib/fault.ts';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import type { BlobStore } from '#artifact/blob-store.ts';
import type { Catalog, Snapshot, SnapshotFile } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import { buildManifest } from '#artifact/manifest.ts';
import { roleOf } from '#artifact/roles.ts';
import type { ListedFile, Listing } from '#gates/pull/ports.ts';
import type { Producer, ProducerInput } from '#producers/producer.ts';
import type { Statement } from '#evidence/statement.ts';
import { forEachBounded } from './pool.ts';
import type { Fills } from './fills.ts';
import type { Upstream } from './upstream.ts';

/** What the work of one arrival needs of the house. */
export interface ArrivalPorts {
  readonly upstream: Upstream;
  readonly fills: Pick<Fills, 'fetch'>;
  readonly blobs: BlobStore;
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** `observe`: needs no bytes and runs before anything is fetched. */
  readonly observe: Producer;
  /** Table 1 without `observe`. */
  readonly inspectors: readonly Producer[];
  readonly known: (namespace: string) => ProducerInput['known'];
  /** Signs with the evidence key and appends. */
  readonly write: (namespace: string, statements: readonly Statement[]) => Promise<void>;
  readonly references: (snapshot: Snapshot) => readonly string[];
  /** Where an intake brought the commit from; undefined for what comes from the hub. */
  readonly sourceUri: (snapshot: Snapshot) => Promise<string | undefined>;
  readonly fetchWidth: number;
}

/** Small files lie in git itself; their SHA-256 is known only from their bytes, so they are fetched for the manifest. */
const smallFilesWidth = 8;

/**
 * Brings the asked-for files of a snapshot and everything that steers loading, and puts all evidence about them into the
 * ledger. May be run again at any time: what is here already is neither fetched nor produced again.
 * If the process stops anywhere in here, the job is claimed again and goes on from what is durable.
 */
export async function bring(
  ports: ArrivalPorts,
  snapshot: Snapshot,
  wanted: {
    readonly paths: readonly string[];
    readonly signal: AbortSignal;
    /** The bytes are here; the producers begin. */
    readonly fetched?: () => void;
  },
): Promise<void> {
  await fetchFiles(ports, snapshot, wantedFiles(snapshot, wanted.paths), wanted.signal);
  wanted.fetched?.();
  await inspect(ports, snapshot, wanted.signal);
}

/** A pull of one file needs that file and every file that steers loading (DESIGN §1a "Lazy snapshots"). */
export function wantedFiles(snapshot: Snapshot, paths: readonly string[]): readonly SnapshotFile[] {
  const asked = new Set(paths);
  return snapshot.files.filter((file) => asked.has(file.path) || roleOf(file.path) === 'steering');
}

/**
 * The snapshot of a listing: as it is stored, or made. Small files lie in git itself, and only their bytes give their
 * SHA-256, so they are fetched for the manifest; large ones count with the SHA-256 that upstream declares.
 */
export async function takeSnapshot(
  ports: ArrivalPorts,
  listing: Listing,
  signal: AbortSignal,
): Promise<Snapshot> {
  const stored = await ports.catalog.findSnapshot(listing.namespace, listing.repository, listing.commit);
  if (stored !== undefined) return stored;
  const digests = new Map<string, Digest>();
  const small = listing.files.filter((file) => file.lfsDigest === undefined);
  await forEachBounded(small, smallFilesWidth, async (file) => {
    const blob = await fetchFile(ports, listing, file, signal);
    digests.set(file.path, blob.digest);
  });
  const files = listing.files.map((file): SnapshotFile => {
    const digest = file.lfsDigest ?? digests.get(file.path);
    if (digest === undefined) throw new Fault('internal.unexpected', `\`${file.path}\` has no digest`);
    return {
      path: file.path,
      digest,
      sizeBytes: file.sizeBytes,
      gitOid: file.gitOid,
      lfs: file.lfsDigest !== undefined,
    };
  });
  const manifest = buildManifest(files);
  await ports.blobs.put(manifest.config.bytes, { digest: manifest.config.digest });
  await ports.blobs.put(manifest.bytes, { digest: manifest.digest });
  await ports.catalog.link(
    listing.namespace,
    files.filter((file) => !file.lfs).map(({ digest, sizeBytes }) => ({ digest, sizeBytes })),
  );
  const snapshot: Snapshot = {
    namespace: listing.namespace,
    repository: listing.repository,
    commit: listing.commit,
    artifact: manifest.digest,
    files,
    provisional: false,
  };
  // Evidence before the row: a snapshot that the catalog shows is always one that the log has seen. If the process stops
  // between the two, the next run appends the observation once more and saves the same row.
  await ports.write(listing.namespace, await ports.observe.produce(await inputOf(ports, snapshot, signal)));
  await ports.catalog.saveSnapshot(snapshot);
  return snapshot;
}

async function fetchFile(ports: ArrivalPorts, listing: Listing, file: ListedFile, signal: AbortSignal) {
  const { repository, commit } = listing;
  return ports.upstream.fetch({ repository, commit, file }, ports.blobs, signal);
}

async function fetchFiles(
  ports: ArrivalPorts,
  snapshot: Snapshot,
  files: readonly SnapshotFile[],
  signal: AbortSignal,
): Promise<void> {
  const { namespace, repository, commit } = snapshot;
  const here = await ports.catalog.linked(
    namespace,
    files.map((file) => file.digest),
  );
  const missing = new Map(files.filter((file) => !here.has(file.digest)).map((file) => [file.digest, file]));
  await forEachBounded([...missing.values()], ports.fetchWidth, async (file) => {
    const { path, sizeBytes, gitOid } = file;
    // Pushing or pulling always needs the bytes: what another namespace stored is fetched again (DESIGN §1a "Tenants").
    if (file.lfs) {
      const large = { path, sizeBytes, gitOid, lfsDigest: file.digest };
      return ports.fills.fetch({ namespace, repository, commit, file: large });
    }
    const listed: ListedFile = { path, sizeBytes, gitOid, lfsDigest: undefined };
    const blob = await ports.upstream.fetch({ repository, commit, file: listed }, ports.blobs, signal);
    if (blob.digest !== file.digest) {
      throw new Fault(
        'upstream.lied',
        `upstream changed the bytes of \`${file.path}\` at commit \`${commit}\``,
        { details: { kind: 'changed-commit', repository: repository.id, commit, path: file.path } },
      );
    }
    await ports.catalog.link(namespace, [blob]);
  });
}

async function inspect(ports: ArrivalPorts, snapshot: Snapshot, signal: AbortSignal): Promise<void> {
  const input = await inputOf(ports, snapshot, signal);
  // Side by side, so that the bytes are read while they are in memory, and one durable append for all of it. What one
  // producer made is kept where another one fails.
  const produced = await Promise.allSettled(ports.inspectors.map((producer) => producer.produce(input)));
  await ports.write(
    snapshot.namespace,
    produced.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : [])),
  );
  for (const outcome of produced) if (outcome.status === 'rejected') throw outcome.reason;
}

/** What producers see of a snapshot now. */
export async function inputOf(
  ports: ArrivalPorts,
  snapshot: Snapshot,
  signal: AbortSignal,
): Promise<ProducerInput> {
  const { namespace, repository, commit, artifact } = snapshot;
  const here = await ports.catalog.linked(
    namespace,
    snapshot.files.map((file) => file.digest),
  );
  return {
    artifact,
    files: snapshot.files.map((file) => ({ ...file, present: here.has(file.digest) })),
    source: {
      uri: (await ports.sourceUri(snapshot)) ?? `hf://${repository.type}/${repository.id}@${commit}`,
      repositoryType: repository.type,
      repository: repository.id,
      commit,
      references: ports.references(snapshot),
    },
    at: formatInstant(ports.clock.now()),
    signal,
    open: (digest) => (here.has(digest) ? ports.blobs.open(digest) : Promise.resolve(undefined)),
    known: ports.known(namespace),
  };
}
