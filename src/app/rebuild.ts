import { openCatalog } from '#adapters/postgres/catalog.ts';
import { openOrigins } from '#adapters/postgres/origins.ts';
import type { Origins } from '#adapters/postgres/origins.ts';
import { openDecisionStore } from '#adapters/postgres/decisions.ts';
import type { DecisionStore } from '#policy/decision-store.ts';
import { digestOfHex } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { BlobDescriptor, BlobStore } from '#artifact/blob-store.ts';
import type { Catalog } from '#artifact/catalog.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { SequencedEntry } from '#evidence/log/sequence-store.ts';
import { parseDecisionStatement } from '#policy/vsa.ts';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Check } from 'typebox/value';
import type { Stores } from './stores.ts';

const hex = Type.String({ pattern: '^[0-9a-f]{64}$' });
const observedSchema = Type.Object({
  source: Type.Object({
    uri: Type.String(),
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

const adoptedSchema = Type.Object({
  report: Type.Object({ sha256: hex, sizeBytes: Type.Integer({ minimum: 0 }) }),
});

export interface Rebuilt {
  readonly entries: number;
  readonly snapshots: number;
  readonly decisions: number;
}

/** Fills tables from entries in log order. What was filled in before stays as it is. */
export interface TableRebuild {
  add(entries: readonly SequencedEntry[]): Promise<void>;
  counts(): Rebuilt;
}

/**
 * The tables that decisions read, from the log that `reindex` puts back: snapshots and references from `observed`
 * statements, names that intakes took from the scheme of `source.uri`, decisions from their VSAs. A blob is linked in a
 * namespace only where the log shows that its bytes had arrived there: it lies in git itself and was fetched for the
 * manifest, or it was scanned in that namespace.
 */
export function openTableRebuild(stores: Stores): TableRebuild {
  const tables: Tables = {
    blobs: stores.blobs,
    catalog: openCatalog(stores.postgres.database),
    decisions: openDecisionStore(stores.postgres.database),
    origins: openOrigins(stores.postgres.database),
  };
  const counts = { entries: 0, snapshots: 0, decisions: 0 };
  return {
    add: async (entries) => {
      for (const entry of entries) {
        const made = await rebuildEntry(tables, entry);
        counts.entries += 1;
        if (made !== undefined) counts[made] += 1;
      }
    },
    counts: () => ({ ...counts }),
  };
}

interface Tables {
  readonly blobs: BlobStore;
  readonly catalog: Catalog;
  readonly decisions: DecisionStore;
  readonly origins: Origins;
}

async function rebuildEntry(
  tables: Tables,
  entry: SequencedEntry,
): Promise<'snapshots' | 'decisions' | undefined> {
  const { namespace, statement, logIndex, envelopeDigest } = entry;
  const { predicateType, predicate } = statement;
  if (predicateType === predicateTypes.decision) {
    await tables.decisions.save({ decision: parseDecisionStatement(statement), logIndex, envelopeDigest });
    return 'decisions';
  }
  if (predicateType === predicateTypes.scan && Check(scannedSchema, predicate)) {
    const blobs = predicate.results.map(({ sha256, sizeBytes }) => ({
      digest: digestOfHex(sha256),
      sizeBytes,
    }));
    await link(tables, namespace, blobs);
    return undefined;
  }
  if (predicateType === predicateTypes.adoption && Check(adoptedSchema, predicate)) {
    const { sha256, sizeBytes } = predicate.report;
    await link(tables, namespace, [{ digest: digestOfHex(sha256), sizeBytes }]);
    return undefined;
  }
  if (predicateType !== predicateTypes.observed || !Check(observedSchema, predicate)) return undefined;
  const [subject] = statement.subject;
  if (subject === undefined) return undefined;
  await rebuildSnapshot(tables, namespace, {
    artifact: digestOfHex(subject.digest.sha256),
    observed: predicate,
  });
  return 'snapshots';
}

async function rebuildSnapshot(
  tables: Tables,
  namespace: string,
  { artifact, observed }: { readonly artifact: Digest; readonly observed: Static<typeof observedSchema> },
): Promise<void> {
  const { source, provisional } = observed;
  const repository = { type: source.repositoryType, id: source.repository };
  const files = observed.files.map(({ path, sha256, sizeBytes, gitOid, lfs }) => ({
    path,
    digest: digestOfHex(sha256),
    sizeBytes,
    gitOid,
    lfs,
  }));
  const { commit } = source;
  await tables.catalog.saveSnapshot({ namespace, repository, commit, artifact, files, provisional });
  await link(
    tables,
    namespace,
    files.filter((file) => !file.lfs),
  );
  // What did not come from the hub was brought by an intake, and its name stays taken.
  const taken = !source.uri.startsWith('hf://');
  for (const name of source.references) {
    if (taken) {
      await tables.origins.save(namespace, repository, { commit, reference: name, sourceUri: source.uri });
      continue;
    }
    await tables.catalog.saveReference({ namespace, repository, name, commit, checkedAtMs: 0 });
  }
}

async function link(
  { blobs, catalog }: Tables,
  namespace: string,
  wanted: readonly BlobDescriptor[],
): Promise<void> {
  const here: BlobDescriptor[] = [];
  for (const { digest, sizeBytes } of wanted) {
    if ((await blobs.stat(digest))?.sizeBytes === sizeBytes) here.push({ digest, sizeBytes });
  }
  if (here.length > 0) await catalog.link(namespace, here);
}
