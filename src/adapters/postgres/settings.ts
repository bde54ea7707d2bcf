import type { RepositoryName } from '#artifact/catalog.ts';
import type { Environment, Tier } from '#evidence/predicates.ts';
import type { Database } from './database.ts';
import { textOf, wordOf } from './rows.ts';

/** What an organisation sets: the tier of a repository, the environment of a namespace. */
export interface Settings {
  /** Undefined where none was set. */
  tierOf(namespace: string, repository: RepositoryName): Promise<Tier | undefined>;
  setTier(namespace: string, repository: RepositoryName, tier: Tier): Promise<void>;
  /** The environment of pulls without a token; undefined where the namespace was never set up. */
  environmentOf(namespace: string): Promise<Environment | undefined>;
  setEnvironment(namespace: string, environment: Environment): Promise<void>;
  /** Every namespace that was set up, by name. For the operator, not for tenants. */
  namespaces(): Promise<readonly string[]>;
}

const tiers = ['low', 'medium', 'high'] as const;
const environments = ['development', 'staging', 'production'] as const;

export function openSettings(database: Database): Settings {
  return {
    tierOf: async (namespace, { type, id }) => {
      const [row] = await database.ask(namespace, {
        name: 'setting-tier',
        text: `SELECT tier FROM weighbridge.repository_setting
          WHERE namespace = $1 AND repository_type = $2 AND repository = $3`,
        values: [namespace, type, id],
      });
      return row === undefined ? undefined : wordOf(row, 'tier', tiers);
    },
    setTier: async (namespace, { type, id }, tier) => {
      await database.ask(namespace, {
        text: `INSERT INTO weighbridge.repository_setting (namespace, repository_type, repository, tier) VALUES ($1, $2, $3, $4)
          ON CONFLICT (namespace, repository_type, repository) DO UPDATE SET tier = excluded.tier`,
        values: [namespace, type, id, tier],
      });
    },
    environmentOf: async (namespace) => {
      const [row] = await database.ask(namespace, {
        name: 'setting-environment',
        text: 'SELECT default_environment FROM weighbridge.namespace WHERE namespace = $1',
        values: [namespace],
      });
      return row === undefined ? undefined : wordOf(row, 'default_environment', environments);
    },
    setEnvironment: async (namespace, environment) => {
      await database.ask(namespace, {
        text: `INSERT INTO weighbridge.namespace (namespace, default_environment) VALUES ($1, $2)
          ON CONFLICT (namespace) DO UPDATE SET default_environment = excluded.default_environment`,
        values: [namespace, environment],
      });
    },
    namespaces: async () =>
      (
        await database.askAsLog({ text: 'SELECT namespace FROM weighbridge.namespace ORDER BY namespace' })
      ).map((row) => textOf(row, 'namespace')),
  };
}
