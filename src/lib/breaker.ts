import type { Clock } from './clock.ts';

export interface BreakerSettings {
  /** Failures in a row after which nothing is asked for a while. */
  readonly failures: number;
  /** The first while; doubles with every failed trial up to `longestMs`. */
  readonly restMs: number;
  readonly longestMs: number;
}

export type BreakerState = 'closed' | 'open' | 'trial';

/** Stops asking who does not answer (a circuit breaker): closed, open for a while, then one trial decides. */
export interface Breaker {
  /** May one more request go out? In the trial only one may, until it has said how it went or was taken back. */
  admit(): boolean;
  succeeded(): void;
  /**
   * `about` is what was asked for. Failures about one single thing never open the breaker: whoever knows one broken file could
   * shut everybody out. Undefined says that the host as a whole did not answer.
   */
  failed(about: string | undefined): void;
  /** The admitted request was given up without having shown anything. */
  withdrew(): void;
  readonly state: BreakerState;
  /** Milliseconds until the next trial; 0 where one is due or none is needed. */
  restMs(): number;
}

export function openBreaker(clock: Clock, settings: BreakerSettings): Breaker {
  let consecutive = 0;
  let things = new Set<string | undefined>();
  let openUntilMs: number | undefined;
  let nextRestMs = settings.restMs;
  let trial = false;
  const open = (): void => {
    openUntilMs = clock.now() + nextRestMs;
    nextRestMs = Math.min(nextRestMs * 2, settings.longestMs);
    trial = false;
  };
  return {
    admit: () => {
      if (openUntilMs === undefined) return true;
      if (trial || clock.now() < openUntilMs) return false;
      trial = true;
      return true;
    },
    succeeded: () => {
      consecutive = 0;
      things = new Set();
      openUntilMs = undefined;
      nextRestMs = settings.restMs;
      trial = false;
    },
    failed: (about) => {
      consecutive += 1;
      if (things.size < settings.failures) things.add(about);
      if (trial) return open();
      const whole = things.has(undefined) || things.size > 1;
      // Requests that were under way when it opened fail too; they say nothing new.
      if (openUntilMs === undefined && whole && consecutive >= settings.failures) open();
    },
    withdrew: () => {
      trial = false;
    },
    get state() {
      if (openUntilMs === undefined) return 'closed';
      return trial ? 'trial' : 'open';
    },
    restMs: () => (openUntilMs === undefined ? 0 : Math.max(0, openUntilMs - clock.now())),
  };
}
