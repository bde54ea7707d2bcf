/** The only source of "now". Passed as a parameter, so that tests and replays set the time. */
export interface Clock {
  /** Milliseconds since the Unix epoch, UTC. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** Milliseconds since the process began, never set back: for ages and time-outs, never for instants that are written. */
export const steadyClock: Clock = { now: () => performance.now() };

/** RFC 3339 in UTC with whole seconds, the one spelling used in statements and decisions: `2026-11-21T09:00:00Z`. */
export function formatInstant(epochMs: number): string {
  return new Date(Math.floor(epochMs / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}
