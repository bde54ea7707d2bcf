import { Fault } from '#lib/fault.ts';
import { openTurnstile } from '#lib/turnstile.ts';
import type { Configuration } from '../config.ts';
import type { Triage } from '../routes/triage.ts';
import { hubReference } from './hub-reference.ts';
import { triageRepository } from './triage-repository.ts';

/** Each holds threads and up to 160 MiB; the others wait, and who waits behind them is sent away. */
const atOnce = 2;
const waiting = 8;

/** Triages for people. Faults of `triageRepository`, and `server.busy`. */
export function openTriageDesk(
  configuration: Pick<Configuration, 'upstream' | 'upstream-token'>,
  run: typeof triageRepository = triageRepository,
): Triage {
  const pass = openTurnstile(atOnce);
  let asked = 0;
  return async ({ type, repository, revision }, signal) => {
    const reference = hubReference(type, repository, revision ?? 'HEAD');
    if (asked >= atOnce + waiting) {
      throw new Fault('server.busy', 'too many triages are under way', { hint: 'ask again in a minute' });
    }
    asked += 1;
    try {
      return await pass(() => {
        signal.throwIfAborted();
        return run(configuration, reference, { signal });
      });
    } finally {
      asked -= 1;
    }
  };
}
