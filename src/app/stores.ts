import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#lib/fault.ts';
import type { Clock } from '#lib/clock.ts';
import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
import { openFilesystemPartialStore } from '#adapters/filesystem/partial-store.ts';
import { openKeysFile } from '#adapters/keys-file/keys-file.ts';
import type { FileKeys } from '#adapters/keys-file/keys-file.ts';
import { externalEndpoints } from '#adapters/postgres/endpoint.ts';
import { openEmbeddedPostgres, openExternalPostgres } from '#adapters/postgres/open.ts';
import type { OpenPostgres } from '#adapters/postgres/open.ts';
import { openLeases } from '#adapters/postgres/leases.ts';
import type { Leases } from '#adapters/postgres/leases.ts';
import { openSequenceStore } from '#adapters/postgres/sequence-store.ts';
import type { BlobStore } from '#artifact/blob-store.ts';
import type { PartialStore } from '#artifact/partial-store.ts';
import type { SequenceStore } from '#evidence/log/sequence-store.ts';
import type { Configuration } from './config.ts';

/** What lies in and behind the data directory, opened but not yet serving. */
export interface Stores {
  readonly data: string;
  readonly blobs: BlobStore;
  /** Transfers that are not complete; beside the blobs, so that replicas on one store share them. */
  readonly partials: PartialStore;
  readonly leases: Leases;
  readonly keys: FileKeys;
  readonly postgres: OpenPostgres;
  readonly sequence: SequenceStore;
  /** Where the projections of the log lie: `checkpoint`, `tile/…`. */
  readonly logDirectory: string;
  close(): Promise<void>;
}

/** Opens blobs, keys and the database. The caller closes what it got. Faults say what the operator can do. */
export async function openStores(configuration: Configuration): Promise<Stores> {
  const { data } = configuration;
  await mkdir(data, { recursive: true, mode: 0o700 });
  await mkdir(join(data, 'run'), { recursive: true, mode: 0o700 });
  const blobsDirectory = blobDirectory(configuration);
  const blobs = await openFilesystemBlobStore(blobsDirectory);
  const partials = await openFilesystemPartialStore(blobsDirectory);
  const keys = await openKeysFile(join(data, 'keys'));
  const postgres = await openPostgres(configuration);
  const leases = openLeases(postgres.database);
  return {
    data,
    blobs,
    partials,
    leases,
    keys,
    postgres,
    sequence: openSequenceStore(postgres.database),
    logDirectory: join(data, 'log'),
    close: async () => {
      await leases.close();
      await postgres.close();
    },
  };
}

function openPostgres(configuration: Configuration): Promise<OpenPostgres> {
  const { database, 'database-owner': owner, data } = configuration;
  if (database !== undefined)
    return openExternalPostgres(externalEndpoints({ application: database, owner }));
  if (owner !== undefined) {
    throw new Fault('config.invalid', '`database-owner` is set without `database`', {
      hint: 'set both, or none for the embedded PostgreSQL',
    });
  }
  return openEmbeddedPostgres(data);
}

/** `at` may never be before the last checkpoint; a system clock that is behind it is reported and not believed. */
export function clockBehind(clock: Clock, signedAtMs: number): number {
  return Math.max(0, signedAtMs - clock.now());
}

/** Where the blob store lies: configured, or inside the data directory. */
export function blobDirectory({ blobs, data }: Configuration): string {
  return blobs ?? join(data, 'blobs');
}

/** The file of delivery rules: configured, or inside the data directory. */
export function deliveryFile(configuration: Configuration): string {
  return configuration.delivery ?? join(configuration.data, 'delivery.yaml');
}

/** Where policy files are: configured, or inside the data directory. */
export function policiesDirectory(configuration: Configuration): string {
  return configuration.policies ?? join(configuration.data, 'policies');
}
