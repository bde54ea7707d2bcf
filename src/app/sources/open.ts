import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { openCollect } from '#adapters/sources/collect.ts';
import type { Credential } from '#adapters/sources/site.ts';
import type { Intakes } from '#adapters/postgres/intakes.ts';
import type { Jobs } from '#adapters/postgres/jobs.ts';
import type { Catalog } from '#artifact/catalog.ts';
import { openEgress } from '#lib/egress.ts';
import type { Clock } from '#lib/clock.ts';
import type { ProducerTable } from '#producers/producers.ts';
import type { Configuration } from '../config.ts';
import type { Arrivals } from '../intake/arrivals.ts';
import type { LedgerWriter } from '../ledger-writer.ts';
import type { Stores } from '../stores.ts';
import type { OwnedNames } from '../intake/owned-names.ts';
import { openSources } from './sources.ts';
import type { Sources } from './sources.ts';

interface Place {
  readonly stores: Stores;
  readonly configuration: Configuration;
  readonly clock: Clock;
  readonly failed: (what: string) => (error: unknown) => void;
}

const GiB = 1024 ** 3;

/** The sources of this house: its rules about addresses, its stores. */
export function openSourcesOf(
  { stores, configuration, clock, failed }: Place,
  tables: { readonly catalog: Catalog; readonly jobs: Jobs; readonly intakes: Intakes },
  rooms: {
    readonly owned: OwnedNames;
    readonly producers: ProducerTable;
    readonly arrivals: Arrivals;
    readonly writer: LedgerWriter;
    readonly credentials: readonly Credential[];
  },
): Sources {
  const { owned, producers, arrivals, writer, credentials } = rooms;
  const [observe] = producers.producers;
  if (observe === undefined) throw new Error('table 1 is empty');
  const mostBytes = configuration['intake-limit'] * GiB;
  const scratch = join(configuration.data, 'scratch');
  // What a killed process left there is of no use to anybody.
  rmSync(scratch, { recursive: true, force: true });
  const egress = openEgress(configuration['intake-hosts']);
  return openSources({
    ...tables,
    blobs: stores.blobs,
    clock,
    owned,
    observe,
    egress,
    collect: openCollect({ egress, credentials, scratch, mostBytes }),
    intake: arrivals.intake,
    transfers: () => arrivals.underWay().fills,
    complete: arrivals.complete,
    write: async (namespace, statements) =>
      void (await writer.write(namespace, statements, stores.keys.evidence)),
    mostBytes,
    failed: failed('an intake of a source failed'),
  });
}
