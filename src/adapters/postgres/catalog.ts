import type { Catalog, Reference, RepositoryName, Snapshot } from '#artifact/catalog.ts';
import { Fault } from '#lib/fault.ts';
import type { Database, Session } from './database.ts';
import { digestBytes, digestColumn, oneRow, type Row, wholeOf } from './rows.ts';
import { encodeFiles, parseReference, parseSnapshot, sameSnapshot } from './snapshot-row.ts';

const snapshotColumns =
  'namespace, repository_type, repository, commit_id, artifact, provisional, files, snapshot_id';

/** The catalog in PostgreSQL. Errors beyond the contract: `database.unavailable`. */
export function openCatalog(database: Database): Catalog {
  return {
    saveSnapshot: (snapshot) =>
      database.inNamespace(snapshot.namespace, (session) => saveSnapshot(session, snapshot)),
    findSnapshot: async (namespace, repository, commit) => {
      const [row] = await database.ask(namespace, {
        name: 'catalog-snapshot',
        text: `SELECT ${snapshotColumns} FROM weighbridge.snapshot
          WHERE namespace = $1 AND repository_type = $2 AND repository = $3 AND commit_id = $4`,
        values: [namespace, repository.type, repository.id, commit],
      });
      return row === undefined ? undefined : parseSnapshot(row);
    },
    findArtifact: async (namespace, artifact) => {
      const rows = await database.ask(namespace, {
        name: 'catalog-artifact',
        text: `SELECT ${snapshotColumns} FROM weighbridge.snapshot WHERE namespace = $1 AND artifact = $2 ORDER BY snapshot_id`,
        values: [namespace, digestBytes(artifact)],
      });
      return rows.map(parseSnapshot);
    },
    listSnapshots: (namespace, page) => listSnapshots(database, namespace, page),
    saveReference: (reference) => saveReference(database, reference),
    findReference: (namespace, repository, name) => findReference(database, namespace, repository, name),
    link: async (namespace, blobs) => {
      if (blobs.length === 0) return;
      await database.ask(namespace, {
        name: 'catalog-link',
        text: `INSERT INTO weighbridge.blob_link (namespace, digest, size_bytes)
          SELECT $1, digest, size_bytes FROM unnest($2::bytea[], $3::bigint[]) AS blob (digest, size_bytes)
          ON CONFLICT (namespace, digest) DO NOTHING`,
        values: [
          namespace,
          blobs.map(({ digest }) => digestBytes(digest)),
          blobs.map(({ sizeBytes }) => sizeBytes),
        ],
      });
    },
    linked: async (namespace, digests) => {
      if (digests.length === 0) return new Set();
      const rows = await database.ask(namespace, {
        name: 'catalog-linked',
        text: 'SELECT digest FROM weighbridge.blob_link WHERE namespace = $1 AND digest = ANY ($2::bytea[])',
        values: [namespace, digests.map(digestBytes)],
      });
      return new Set(rows.map((row) => digestColumn(row, 'digest')));
    },
  };
}

/**
 * Inserts, or holds what is stored against what is said now: a commit is immutable. Only a provisional snapshot may be
 * completed, and only by one that repeats every file it had.
 */
async function saveSnapshot(session: Session, snapshot: Snapshot): Promise<void> {
  const { namespace, repository, commit } = snapshot;
  const values = [
    namespace,
    repository.type,
    repository.id,
    commit,
    digestBytes(snapshot.artifact),
    snapshot.provisional,
    encodeFiles(snapshot.files),
  ];
  const inserted = await session.query({
    name: 'catalog-save-snapshot',
    text: `INSERT INTO weighbridge.snapshot (namespace, repository_type, repository, commit_id, artifact, provisional, files)
      VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING snapshot_id`,
    values,
  });
  if (inserted.length === 1) return;
  const stored = parseSnapshot(
    oneRow(
      await session.query({
        name: 'catalog-lock-snapshot',
        text: `SELECT ${snapshotColumns} FROM weighbridge.snapshot
          WHERE namespace = $1 AND repository_type = $2 AND repository = $3 AND commit_id = $4 FOR UPDATE`,
        values: values.slice(0, 4),
      }),
    ),
  );
  if (!sameSnapshot(stored, snapshot)) {
    throw new Fault(
      'upstream.lied',
      `commit \`${commit}\` of \`${repository.id}\` is stored with other files`,
      {
        hint: 'a commit never changes: find out which of the two answers was forged',
        details: { stored: stored.artifact, offered: snapshot.artifact },
      },
    );
  }
  if (!stored.provisional || stored.files.length > snapshot.files.length) return;
  await session.query({
    name: 'catalog-complete-snapshot',
    text: `UPDATE weighbridge.snapshot SET artifact = $5, provisional = $6, files = $7
      WHERE namespace = $1 AND repository_type = $2 AND repository = $3 AND commit_id = $4`,
    values,
  });
}

async function listSnapshots(
  database: Database,
  namespace: string,
  page: { readonly limit: number; readonly before?: string; readonly search?: string },
): Promise<{ readonly snapshots: readonly Snapshot[]; readonly next: string | undefined }> {
  const search =
    page.search === undefined || page.search === ''
      ? null
      : `%${page.search.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
  const rows = await database.ask(namespace, {
    name: 'catalog-list',
    text: `SELECT ${snapshotColumns} FROM weighbridge.snapshot
      WHERE namespace = $1 AND ($2::bigint IS NULL OR snapshot_id < $2) AND ($3::text IS NULL OR repository ILIKE $3)
      ORDER BY snapshot_id DESC LIMIT $4`,
    values: [namespace, parseCursor(page.before), search, page.limit + 1],
  });
  const shown = rows.slice(0, page.limit);
  const last: Row | undefined = rows.length > page.limit ? shown.at(-1) : undefined;
  return {
    snapshots: shown.map(parseSnapshot),
    next: last === undefined ? undefined : String(wholeOf(last, 'snapshot_id')),
  };
}

/** A cursor is the number of the last row shown; people send it, so it is parsed. */
function parseCursor(before: string | undefined): number | null {
  if (before === undefined) return null;
  if (/^[0-9]{1,15}$/.test(before)) return Number(before);
  throw new Fault('request.invalid', `\`${before.slice(0, 100)}\` is not a cursor`, {
    hint: 'pass the `next` of the page before, unchanged',
  });
}

/** The newest check wins: an answer that was slow never takes a reference back. */
async function saveReference(database: Database, reference: Reference): Promise<void> {
  const { namespace, repository, name, commit, checkedAtMs } = reference;
  await database.ask(namespace, {
    name: 'catalog-save-reference',
    text: `INSERT INTO weighbridge.reference (namespace, repository_type, repository, name, commit_id, checked_at_ms)
      VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT (namespace, repository_type, repository, name) DO UPDATE
        SET commit_id = excluded.commit_id, checked_at_ms = excluded.checked_at_ms
        WHERE weighbridge.reference.checked_at_ms <= excluded.checked_at_ms`,
    values: [namespace, repository.type, repository.id, name, commit, checkedAtMs],
  });
}

async function findReference(
  database: Database,
  namespace: string,
  repository: RepositoryName,
  name: string,
): Promise<Reference | undefined> {
  const [row] = await database.ask(namespace, {
    name: 'catalog-reference',
    text: `SELECT namespace, repository_type, repository, name, commit_id, checked_at_ms FROM weighbridge.reference
      WHERE namespace = $1 AND repository_type = $2 AND repository = $3 AND name = $4`,
    values: [namespace, repository.type, repository.id, name],
  });
  return row === undefined ? undefined : parseReference(row);
}
