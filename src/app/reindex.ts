import { openLogDirectory } from '#adapters/filesystem/log-files.ts';
import { makeLogIdentity } from '#evidence/log/checkpoint.ts';
import { reindex as reindexLog } from '#evidence/log/reindex.ts';
import type { Configuration } from './config.ts';
import { openTableRebuild } from './rebuild.ts';
import { openStores } from './stores.ts';

/** What was made again, and the root hash of the log that it came from. */
export type Reindexed = ReturnType<ReturnType<typeof openTableRebuild>['counts']> & {
  readonly rootHash: string;
};

/**
 * Fills an empty database from the published log and the blobs of the data directory. `progress` is told in words what
 * is done. Faults `ledger.diverged` where the database is not empty or the log does not hold, and those of `openStores`.
 */
export async function reindexStores(
  configuration: Configuration,
  progress: (text: string) => void,
): Promise<Reindexed> {
  const stores = await openStores(configuration);
  try {
    const log = makeLogIdentity(configuration.origin, stores.keys.log.publicKeyPem);
    const published = { files: openLogDirectory(stores.logDirectory), blobs: stores.blobs, log };
    const tables = openTableRebuild(stores);
    const { rootHash } = await reindexLog(published, stores.sequence, {
      derive: tables.add,
      progress: (entries, size) => progress(`log entries ${entries} of ${size}`),
    });
    return { ...tables.counts(), rootHash };
  } finally {
    await stores.close();
  }
}
