import type { Clock } from '#lib/clock.ts';
import { openLedgerReader } from '#adapters/postgres/ledger-reader.ts';
import { openLogDirectory } from '#adapters/filesystem/log-files.ts';
import type { Ledger, LogHead } from '#evidence/ledger.ts';
import { openProjector } from '#evidence/log/project.ts';
import type { Projector } from '#evidence/log/project.ts';
import { openSequencer } from '#evidence/log/sequence.ts';
import type { Sequencer } from '#evidence/log/sequence.ts';
import type { LogFiles } from '#evidence/log/log-files.ts';
import type { Stores } from './stores.ts';

export interface OpenLedger {
  readonly ledger: Ledger;
  readonly sequencer: Sequencer;
  readonly files: LogFiles;
  /** Publishes what is committed; resolves when the published checkpoint covers everything committed before the call. */
  readonly projector: Projector;
  close(): Promise<void>;
}

/** Delay before a projection that failed is tried again. */
const retryMs = 1_000;

/**
 * Opens the log: published files are brought up to the database first, so that a database that is older than what was
 * published is found (`ledger.diverged`) before anything new is signed.
 */
export async function openLedger(
  stores: Stores,
  options: {
    readonly origin: string;
    readonly clock: Clock;
    readonly committed: (head: LogHead) => void;
    readonly failed: (error: unknown) => void;
  },
): Promise<OpenLedger> {
  const files = openLogDirectory(stores.logDirectory);
  let projector: Projector | undefined;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;
  const project = (): void => {
    projector?.project().catch((error: unknown) => {
      options.failed(error);
      if (!closed) retry ??= setTimeout(() => ((retry = undefined), project()), retryMs);
    });
  };
  const sequencer = await openSequencer({
    store: stores.sequence,
    signer: stores.keys.log,
    origin: options.origin,
    clock: options.clock,
    committed: (head) => {
      options.committed(head);
      project();
    },
  });
  projector = await openProjector({ store: stores.sequence, files, blobs: stores.blobs, log: sequencer.log });
  const reader = openLedgerReader(stores.postgres.database);
  return {
    ledger: {
      append: (entries) => sequencer.append(entries),
      find: (query) => reader.find(query),
      head: () => sequencer.head(),
    },
    sequencer,
    files,
    projector,
    close: async () => {
      closed = true;
      clearTimeout(retry);
      await sequencer.close();
      await projector?.project().catch(options.failed);
    },
  };
}
