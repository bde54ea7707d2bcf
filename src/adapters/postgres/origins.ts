import type { RepositoryName } from '#artifact/catalog.ts';
import type { Database } from './database.ts';
import { textOf } from './rows.ts';

/** Where a commit of a taken name came from, and under which reference. */
export interface OriginCommit {
  readonly commit: string;
  readonly reference: string;
  /** As the `observed` statement names it. */
  readonly sourceUri: string;
}

/**
 * Repository names that intakes took in a namespace, and their commits. Names are compared without case. What stands here
 * is never asked for at the upstream hub. Fault `database.unavailable`.
 */
export interface Origins {
  /** The spelling under which the name was taken; undefined where it was not. */
  taken(namespace: string, repository: RepositoryName): Promise<string | undefined>;
  /**
   * Takes the name where nobody has it: gives its spelling, also where it was taken before, or `known` where the namespace
   * has seen it at the upstream hub.
   */
  take(
    namespace: string,
    repository: RepositoryName,
  ): Promise<{ readonly spelling: string } | { readonly known: true }>;
  /** Adds a commit, or makes it the newest of its reference again. Takes the name as well (reindex comes this way). */
  save(namespace: string, repository: RepositoryName, commit: OriginCommit): Promise<void>;
  /** Newest first; one row per commit and reference. */
  commits(namespace: string, repository: RepositoryName): Promise<readonly OriginCommit[]>;
  /** One commit, by its id or as the newest of a reference. */
  find(
    namespace: string,
    repository: RepositoryName,
    wanted: { readonly commit: string } | { readonly reference: string },
  ): Promise<OriginCommit | undefined>;
}

const keyed = 'namespace = $1::text AND repository_type = $2::text AND name_key = lower($3::text)';

/** Origins in PostgreSQL. */
export function openOrigins(database: Database): Origins {
  const taken: Origins['taken'] = async (namespace, { type, id }) => {
    const [row] = await database.ask(namespace, {
      name: 'origin-taken',
      text: `SELECT repository FROM weighbridge.origin WHERE ${keyed}`,
      values: [namespace, type, id],
    });
    return row === undefined ? undefined : textOf(row, 'repository');
  };
  return {
    taken,
    take: async (namespace, repository) => {
      await database.ask(namespace, {
        text: `INSERT INTO weighbridge.origin (namespace, repository_type, name_key, repository)
          SELECT $1::text, $2::text, lower($3::text), $3::text
          WHERE NOT EXISTS (SELECT FROM weighbridge.snapshot
              WHERE namespace = $1::text AND repository_type = $2::text AND lower(repository) = lower($3::text))
            AND NOT EXISTS (SELECT FROM weighbridge.reference
              WHERE namespace = $1::text AND repository_type = $2::text AND lower(repository) = lower($3::text))
          ON CONFLICT DO NOTHING`,
        values: [namespace, repository.type, repository.id],
      });
      const spelling = await taken(namespace, repository);
      return spelling === undefined ? { known: true } : { spelling };
    },
    save: async (namespace, { type, id }, { commit, reference, sourceUri }) => {
      await database.inNamespace(namespace, async (session) => {
        await session.query({
          text: `INSERT INTO weighbridge.origin (namespace, repository_type, name_key, repository)
            VALUES ($1::text, $2::text, lower($3::text), $3::text) ON CONFLICT DO NOTHING`,
          values: [namespace, type, id],
        });
        await session.query({
          text: `INSERT INTO weighbridge.origin_commit
              (namespace, repository_type, name_key, commit_id, reference, source_uri)
            VALUES ($1::text, $2::text, lower($3::text), $4::text, $5::text, $6::text)
            ON CONFLICT (namespace, repository_type, name_key, commit_id, reference) DO UPDATE
              SET source_uri = excluded.source_uri, arrival = DEFAULT`,
          values: [namespace, type, id, commit, reference, sourceUri],
        });
      });
    },
    commits: async (namespace, { type, id }) => {
      const rows = await database.ask(namespace, {
        name: 'origin-commits',
        text: `SELECT commit_id, reference, source_uri FROM weighbridge.origin_commit
          WHERE ${keyed} ORDER BY arrival DESC LIMIT 10000`,
        values: [namespace, type, id],
      });
      return rows.map(parseCommit);
    },
    find: async (namespace, { type, id }, wanted) => {
      const [column, value] =
        'commit' in wanted ? ['commit_id', wanted.commit] : ['reference', wanted.reference];
      const [row] = await database.ask(namespace, {
        name: `origin-by-${column}`,
        text: `SELECT commit_id, reference, source_uri FROM weighbridge.origin_commit
          WHERE ${keyed} AND ${column} = $4 ORDER BY arrival DESC LIMIT 1`,
        values: [namespace, type, id, value],
      });
      return row === undefined ? undefined : parseCommit(row);
    },
  };
}

function parseCommit(row: Readonly<Record<string, unknown>>): OriginCommit {
  return {
    commit: textOf(row, 'commit_id'),
    reference: textOf(row, 'reference'),
    sourceUri: textOf(row, 'source_uri'),
  };
}
