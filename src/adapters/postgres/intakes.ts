import type { RepositoryName } from '#artifact/catalog.ts';
import type { BlobDescriptor } from '#artifact/blob-store.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Environment } from '#evidence/predicates.ts';
import type { Database } from './database.ts';
import {
  digestBytes,
  digestColumn,
  type Row,
  textOf,
  textOrNull,
  wholeOf,
  wholeOrNull,
  wordOf,
} from './rows.ts';
import { parseRepository } from './snapshot-row.ts';

export type IntakeState = 'uploading' | 'waiting' | 'running' | 'done' | 'failed';

export interface IntakeProgress {
  readonly files: number;
  readonly bytes: number;
  /** Null until the source has said how much there is. */
  readonly totalFiles: number | null;
  readonly totalBytes: number | null;
}

/** One asked-for intake. */
export interface IntakeRow {
  readonly id: string;
  readonly state: IntakeState;
  /** For people: without queries, credentials or local paths. */
  readonly source: string;
  readonly repository: RepositoryName;
  readonly reference: string;
  readonly environment: Environment;
  readonly progress: IntakeProgress;
  readonly commit: string | null;
  readonly artifact: Digest | null;
  /** Only these paths were wanted; null for all. */
  readonly paths: readonly string[] | null;
  /** JSON of the Fault that ended it. */
  readonly fault: unknown;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | null;
}

export type NewIntake = Pick<IntakeRow, 'id' | 'source' | 'repository' | 'reference' | 'environment'> & {
  readonly state: 'uploading' | 'waiting';
  /** JSON that the work needs; forgotten when it is finished. */
  readonly request: unknown;
};

export interface UploadedFile extends BlobDescriptor {
  readonly path: string;
}

/** Intakes and the files that were uploaded for them, per namespace. Fault `database.unavailable`. */
export interface Intakes {
  add(namespace: string, intake: NewIntake): Promise<void>;
  find(namespace: string, id: string): Promise<IntakeRow | undefined>;
  requestOf(namespace: string, id: string): Promise<unknown>;
  /** Newest first. */
  list(namespace: string, limit: number): Promise<readonly IntakeRow[]>;
  /** True where the intake was in one of the states `from` and now is in `to`. */
  move(
    namespace: string,
    id: string,
    from: readonly IntakeState[],
    to: 'waiting' | 'running',
  ): Promise<boolean>;
  progress(namespace: string, id: string, progress: IntakeProgress): Promise<void>;
  finish(
    namespace: string,
    id: string,
    end:
      | { readonly commit: string; readonly artifact: Digest; readonly paths: readonly string[] | null }
      | { readonly fault: unknown },
  ): Promise<void>;
  /** Uploads that were never completed end as failed; their number. */
  expire(namespace: string, olderThanMs: number, fault: unknown): Promise<number>;
  /** Only while the intake is uploading; false where it is not. The last upload of a path counts. */
  saveFile(namespace: string, id: string, file: UploadedFile): Promise<boolean>;
  /** What is there without `path`, for limits. */
  measure(
    namespace: string,
    id: string,
    path: string,
  ): Promise<{ readonly files: number; readonly bytes: number }>;
  files(namespace: string, id: string): Promise<readonly UploadedFile[]>;
  /** Intakes of the namespace that wait for files. */
  uploading(namespace: string): Promise<number>;
}

const columns = `intake_id, state, source, repository_type, repository, reference, environment, files_done, bytes_done,
  files_total, bytes_total, commit_id, artifact, paths, fault, created_at_ms, finished_at_ms`;
const states = ['uploading', 'waiting', 'running', 'done', 'failed'] as const;
const environments = ['development', 'staging', 'production'] as const;
const own = 'namespace = $1::text AND intake_id = $2::uuid';

/** Intakes in PostgreSQL. */
export function openIntakes(database: Database): Intakes {
  return {
    ...openRows(database),
    ...openFiles(database),
    move: async (namespace, id, from, to) => {
      const rows = await database.ask(namespace, {
        text: `UPDATE weighbridge.intake SET state = $3 WHERE ${own} AND state = ANY ($4) RETURNING intake_id`,
        values: [namespace, id, to, from],
      });
      return rows.length === 1;
    },
    progress: async (namespace, id, { files, bytes, totalFiles, totalBytes }) => {
      await database.ask(namespace, {
        name: 'intake-progress',
        text: `UPDATE weighbridge.intake SET files_done = $3, bytes_done = $4, files_total = $5, bytes_total = $6
          WHERE ${own} AND state = 'running'`,
        values: [namespace, id, files, bytes, totalFiles, totalBytes],
      });
    },
    finish: async (namespace, id, end) => {
      const failed = 'fault' in end;
      await database.ask(namespace, {
        text: `UPDATE weighbridge.intake SET state = $3, commit_id = $4, artifact = $5, paths = $6, fault = $7,
            request = NULL, finished_at_ms = weighbridge.now_ms()
          WHERE ${own} AND state NOT IN ('done', 'failed')`,
        values: [
          namespace,
          id,
          failed ? 'failed' : 'done',
          failed ? null : end.commit,
          failed ? null : digestBytes(end.artifact),
          failed || end.paths === null ? null : JSON.stringify(end.paths),
          failed ? JSON.stringify(end.fault) : null,
        ],
      });
    },
  };
}

function openRows(
  database: Database,
): Pick<Intakes, 'add' | 'find' | 'requestOf' | 'list' | 'expire' | 'uploading'> {
  return {
    add: async (namespace, { id, state, source, request, repository, reference, environment }) => {
      await database.ask(namespace, {
        text: `INSERT INTO weighbridge.intake
            (namespace, intake_id, state, source, request, repository_type, repository, reference, environment)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
        values: [
          namespace,
          id,
          state,
          source,
          JSON.stringify(request),
          repository.type,
          repository.id,
          reference,
          environment,
        ],
      });
    },
    find: async (namespace, id) => {
      const [row] = await database.ask(namespace, {
        text: `SELECT ${columns} FROM weighbridge.intake WHERE ${own}`,
        values: [namespace, id],
      });
      return row === undefined ? undefined : parseIntake(row);
    },
    requestOf: async (namespace, id) => {
      const [row] = await database.ask(namespace, {
        text: `SELECT request FROM weighbridge.intake WHERE ${own}`,
        values: [namespace, id],
      });
      return row?.['request'] ?? undefined;
    },
    list: async (namespace, limit) => {
      const rows = await database.ask(namespace, {
        text: `SELECT ${columns} FROM weighbridge.intake WHERE namespace = $1
          ORDER BY created_at_ms DESC, intake_id LIMIT $2`,
        values: [namespace, limit],
      });
      return rows.map(parseIntake);
    },
    expire: async (namespace, olderThanMs, fault) => {
      const rows = await database.ask(namespace, {
        text: `UPDATE weighbridge.intake SET state = 'failed', request = NULL, fault = $3,
            finished_at_ms = weighbridge.now_ms()
          WHERE namespace = $1 AND state = 'uploading' AND created_at_ms < weighbridge.now_ms() - $2::bigint
          RETURNING intake_id`,
        values: [namespace, olderThanMs, JSON.stringify(fault)],
      });
      return rows.length;
    },
    uploading: async (namespace) => {
      const [row] = await database.ask(namespace, {
        text: `SELECT count(*) AS open FROM weighbridge.intake WHERE namespace = $1 AND state = 'uploading'`,
        values: [namespace],
      });
      return row === undefined ? 0 : wholeOf(row, 'open');
    },
  };
}

function openFiles(database: Database): Pick<Intakes, 'saveFile' | 'measure' | 'files'> {
  return {
    saveFile: async (namespace, id, { path, digest, sizeBytes }) => {
      const rows = await database.ask(namespace, {
        text: `INSERT INTO weighbridge.upload_file (namespace, intake_id, path, digest, size_bytes)
          SELECT $1::text, $2::uuid, $3::text, $4::bytea, $5::bigint
          WHERE EXISTS (SELECT FROM weighbridge.intake WHERE ${own} AND state = 'uploading')
          ON CONFLICT (namespace, intake_id, path) DO UPDATE
            SET digest = excluded.digest, size_bytes = excluded.size_bytes RETURNING path`,
        values: [namespace, id, path, digestBytes(digest), sizeBytes],
      });
      return rows.length === 1;
    },
    measure: async (namespace, id, path) => {
      const [row] = await database.ask(namespace, {
        name: 'upload-measure',
        text: `SELECT count(*) AS files, coalesce(sum(size_bytes), 0)::bigint AS bytes FROM weighbridge.upload_file
          WHERE ${own} AND path <> $3`,
        values: [namespace, id, path],
      });
      return row === undefined
        ? { files: 0, bytes: 0 }
        : { files: wholeOf(row, 'files'), bytes: wholeOf(row, 'bytes') };
    },
    files: async (namespace, id) => {
      const rows = await database.ask(namespace, {
        text: `SELECT path, digest, size_bytes FROM weighbridge.upload_file WHERE ${own} ORDER BY path COLLATE "C"`,
        values: [namespace, id],
      });
      return rows.map((row) => ({
        path: textOf(row, 'path'),
        digest: digestColumn(row, 'digest'),
        sizeBytes: wholeOf(row, 'size_bytes'),
      }));
    },
  };
}

function parseIntake(row: Row): IntakeRow {
  const paths: unknown = row['paths'];
  return {
    id: textOf(row, 'intake_id'),
    state: wordOf(row, 'state', states),
    source: textOf(row, 'source'),
    repository: parseRepository(row),
    reference: textOf(row, 'reference'),
    environment: wordOf(row, 'environment', environments),
    progress: {
      files: wholeOf(row, 'files_done'),
      bytes: wholeOf(row, 'bytes_done'),
      totalFiles: wholeOrNull(row, 'files_total'),
      totalBytes: wholeOrNull(row, 'bytes_total'),
    },
    commit: textOrNull(row, 'commit_id'),
    artifact: row['artifact'] === null ? null : digestColumn(row, 'artifact'),
    paths: Array.isArray(paths) ? paths.filter((path) => typeof path === 'string') : null,
    fault: row['fault'] ?? null,
    createdAtMs: wholeOf(row, 'created_at_ms'),
    finishedAtMs: wholeOrNull(row, 'finished_at_ms'),
  };
}
