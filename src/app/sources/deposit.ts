import type { BlobStore } from '#artifact/blob-store.ts';
import type { Catalog, RepositoryName, Snapshot, SnapshotFile } from '#artifact/catalog.ts';
import { hexOf } from '#artifact/digest.ts';
import { buildManifest } from '#artifact/manifest.ts';
import type { Collected } from '#artifact/source.ts';
import type { Statement } from '#evidence/statement.ts';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import type { Producer } from '#producers/producer.ts';
import type { OwnedNames } from '../intake/owned-names.ts';

export interface DepositPorts {
  readonly blobs: BlobStore;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly owned: OwnedNames;
  readonly observe: Producer;
  /** Signs with the evidence key and appends. */
  readonly write: (namespace: string, statements: readonly Statement[]) => Promise<void>;
}

export interface Deposit {
  readonly namespace: string;
  readonly repository: RepositoryName;
  readonly reference: string;
  readonly collected: Collected;
  /** All of them stored and linked in the namespace. */
  readonly files: readonly SnapshotFile[];
  readonly signal: AbortSignal;
}

/**
 * Makes collected files a commit of a taken name: the real commit where the source is git, else the first 40 hex digits of
 * the artifact's digest, so that the same files are the same commit wherever they come from. Evidence is written before
 * the row that shows it, and the reference moves last: if the process stops in between, the intake runs again.
 */
export async function depositFiles(ports: DepositPorts, deposit: Deposit): Promise<Snapshot> {
  const { namespace, repository, reference, collected, signal } = deposit;
  const manifest = buildManifest(deposit.files);
  await ports.blobs.put(manifest.config.bytes, { digest: manifest.config.digest });
  await ports.blobs.put(manifest.bytes, { digest: manifest.digest });
  const byPath = new Map(deposit.files.map((file) => [file.path, file]));
  const snapshot: Snapshot = {
    namespace,
    repository,
    commit: collected.commit ?? hexOf(manifest.digest).slice(0, 40),
    artifact: manifest.digest,
    files: manifest.files.flatMap(({ path }) => byPath.get(path) ?? []),
    provisional: false,
  };
  // Every intake is an event of its own and is logged, also where the same files came before: the log's order is what
  // `reindex` learns from which commit a reference means.
  const statements = await ports.observe.produce({
    artifact: snapshot.artifact,
    files: snapshot.files.map((file) => ({ ...file, present: true })),
    source: {
      uri: collected.uri,
      repositoryType: repository.type,
      repository: repository.id,
      commit: snapshot.commit,
      references: [reference],
    },
    at: formatInstant(ports.clock.now()),
    signal,
    open: (digest) => ports.blobs.open(digest),
    known: () => Promise.resolve(new Map()),
  });
  await ports.write(namespace, statements);
  await ports.catalog.saveSnapshot(snapshot);
  await ports.owned.save(snapshot, reference, collected.uri);
  return snapshot;
}
