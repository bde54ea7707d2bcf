import { createBomProducer } from './bom/bom-producer.ts';
import { createObserveProducer } from './observe/observe-producer.ts';
import type { Producer } from './producer.ts';
import { createSandboxProducer, type SandboxSettings } from './sandbox/sandbox-producer.ts';
import { createScanProducer } from './scan/scan-producer.ts';
import { openScanner } from './scan/scanner.ts';

/**
 * Table 1 of the product: everything that makes evidence, in the order it runs at an intake. A producer is one folder
 * and one row here; nothing else needs to know that it exists. Dispose of it to end the worker threads.
 */
export interface ProducerTable extends AsyncDisposable {
  readonly producers: readonly Producer[];
  /** Runs only when somebody asks for it; undefined where it is switched off. */
  readonly sandbox: Producer | undefined;
  /** Starts the workers now instead of with the first file, which then waits for them. */
  warm(): void;
}

export function openProducers(settings: { readonly sandbox?: SandboxSettings } = {}): ProducerTable {
  const scanner = openScanner();
  const bom = createBomProducer();
  return {
    producers: [createObserveProducer(), createScanProducer(scanner), bom],
    sandbox: settings.sandbox === undefined ? undefined : createSandboxProducer(settings.sandbox),
    warm: () => {
      scanner.warm();
      bom.warm();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([scanner.close(), bom[Symbol.asyncDispose]()]);
    },
  };
}
