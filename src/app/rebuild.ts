import { openCatalog } from '#adapters/postgres/catalog.ts';
import { openDecisionStore } from '#adapters/postgres/decisions.ts';
import { digestOfHex } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Snapshot, SnapshotFile } from '#artifact/catalog.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { SequencedEntry } from '#evidence/log/sequence-store.ts';
import { parseDecisionStatement } from '#policy/vsa.ts';
import { Type } from 'typebox';
import { Check } from 'typebox/value';
import type { Stores } from './stores.ts';

const hex = Type.String({ pattern: '^[0-9a-f]{64}$' });
const observedSchema = Type.Object({
  source: Type.Object({
    repositoryType: Type.Union([Type.Literal('models'), Type.Literal('datasets'), Type.Literal('spaces')]),
    repository: Type.String(),
    commit: Type.String({ pattern: '^[0-9a-f]{40}$' }),
    references: Type.Array(Type.String()),
  }),
  files: Type.Array(
    Type.Object({
      path: Type.String(),
      sizeBytes: Type.Integer({ minimum: 0 }),
      sha256: hex,
      gitOid: Type.String(),
      lfs: Type.Boolean(),
    }),
  ),
  provisional: Type.Boolean(),
});
const scannedSchema = Type.Object({
  scope: Type.Literal('blob'),
  results: Type.Array(Type.Object({ sha256: hex, sizeBytes: Type.Integer({ minimum: 0 }) })),
});

export interface Rebuilt {
  readonly entries: number;
  readonly snapshots: number;
  readonly decisions: number;
}

const chunk = 1_000;

/**
 * Fills the tables that decisions read from the log that `reindex` has put back: snapshots and references from `observed`
 * statements, decisions from their VSAs. A blob is linked in a namespace only where the log shows that its bytes had
 * arrived there: it lies in git itself and was fetched for the manifest, or it was scanned in that namespace.
 */
export async function rebuildTables(stores: Stores, progress: (entries: number) => void): Promise<Rebuilt> {
  const catalog = openCatalog(stores.postgres.database);
  const decisions = openDecisionStore(stores.postgres.database);
  const counts = { entries: 0, snapshots: 0, decisions: 0 };
  const size = (await stores.sequence.readHead())?.size ?? 0;

  const link = async (
    namespace: string,
    blobs: readonly { readonly digest: Digest; readonly sizeBytes: number }[],
  ): Promise<void> => {
    const here: { readonly digest: Digest; readonly sizeBytes: number }[] = [];
    for (const blob of blobs)
      if ((await stores.blobs.stat(blob.digest))?.sizeBytes === blob.sizeBytes) here.push(blob);
    if (here.length > 0) await catalog.link(namespace, here);
  };
  const rebuildEntry = async (entry: SequencedEntry): Promise<void> => {
    const { namespace, statement, logIndex, envelopeDigest } = entry;
    if (statement.predicateType === predicateTypes.observed && Check(observedSchema, statement.predicate)) {
      const [subject] = statement.subject;
      if (subject === undefined) return;
      const { source, files, provisional } = statement.predicate;
      const snapshot: Snapshot = {
        namespace,
        repository: { type: source.repositoryType, id: source.repository },
        commit: source.commit,
        artifact: digestOfHex(subject.digest.sha256),
        files: files.map((file): SnapshotFile => ({
          path: file.path,
          digest: digestOfHex(file.sha256),
          sizeBytes: file.sizeBytes,
          gitOid: file.gitOid,
          lfs: file.lfs,
        })),
        provisional,
      };
      await catalog.saveSnapshot(snapshot);
      await link(
        namespace,
        snapshot.files.filter((file) => !file.lfs),
      );
      for (const name of source.references) {
        await catalog.saveReference({
          namespace,
          repository: snapshot.repository,
          name,
          commit: source.commit,
          checkedAtMs: 0,
        });
      }
      counts.snapshots += 1;
    } else if (statement.predicateType === predicateTypes.scan && Check(scannedSchema, statement.predicate)) {
      await link(
        namespace,
        statement.predicate.results.map(({ sha256, sizeBytes }) => ({
          digest: digestOfHex(sha256),
          sizeBytes,
        })),
      );
    } else if (statement.predicateType === predicateTypes.decision) {
      await decisions.save({ decision: parseDecisionStatement(statement), logIndex, envelopeDigest });
      counts.decisions += 1;
    }
  };
  for (let start = 0; start < size; start += chunk) {
    for (const entry of await stores.sequence.readEntries(start, Math.min(size, start + chunk))) {
      await rebuildEntry(entry);
      counts.entries += 1;
    }
    progress(counts.entries);
  }
  return counts;
}
