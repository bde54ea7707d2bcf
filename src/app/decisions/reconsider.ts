import type { Catalog } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import type { DecisionStore } from '#policy/decision-store.ts';
import type { DecisionBook } from './decisions.ts';

/** Takes kept decisions again in the background, one artifact at a time. */
export interface Reconsideration {
  /** What these artifacts rest on has changed. */
  about(artifacts: readonly { readonly namespace: string; readonly artifact: Digest }[]): void;
  /** Policy or trust has changed: every artifact, newest first. */
  everything(): void;
  close(): Promise<void>;
}

const pageSize = 200;

export function openReconsideration(ports: {
  readonly decisions: DecisionBook;
  readonly store: DecisionStore;
  readonly settings: { namespaces(): Promise<readonly string[]> };
  readonly catalog: Catalog;
  readonly failed: (error: unknown) => void;
}): Reconsideration {
  const waiting = new Map<string, { readonly namespace: string; readonly artifact: Digest }>();
  let sweep = false;
  let running: Promise<void> | undefined;
  const stop = new AbortController();

  const sweepAll = async (): Promise<void> => {
    for (const namespace of await ports.settings.namespaces()) {
      let before: string | undefined;
      do {
        const page = await ports.catalog.listSnapshots(namespace, {
          limit: pageSize,
          ...(before === undefined ? {} : { before }),
        });
        for (const { artifact } of page.snapshots)
          waiting.set(`${namespace} ${artifact}`, { namespace, artifact });
        before = page.next;
      } while (before !== undefined && !stop.signal.aborted);
    }
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted && (sweep || waiting.size > 0)) {
      if (sweep) {
        sweep = false;
        await sweepAll();
        continue;
      }
      const [next] = waiting;
      if (next === undefined) return;
      waiting.delete(next[0]);
      await ports.decisions.reconsider(next[1].namespace, next[1].artifact).catch(ports.failed);
    }
  };
  const start = (): void => {
    if (stop.signal.aborted) return;
    running ??= run()
      .catch(ports.failed)
      .finally(() => {
        running = undefined;
        if (sweep || waiting.size > 0) start();
      });
  };
  return {
    about: (artifacts) => {
      for (const one of artifacts) waiting.set(`${one.namespace} ${one.artifact}`, one);
      if (artifacts.length > 0) start();
    },
    everything: () => {
      sweep = true;
      start();
    },
    close: async () => {
      stop.abort();
      await running;
    },
  };
}
