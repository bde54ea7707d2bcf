const durationPattern = /^(?:\d{1,9}(?:h|m|s|ms))+$/;
const instantPattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** How far evidence may lie after the instant of the decision: clocks of two machines are never equal. */
export const futureToleranceMs = 300_000;

/** RFC 3339 in UTC to milliseconds (fractions rounded up); undefined for anything else, also for 30 February. */
export function parseInstant(text: unknown): number | undefined {
  if (typeof text !== 'string' || !instantPattern.test(text)) return undefined;
  const seconds = text.slice(0, 19);
  const epochMs = Date.parse(`${seconds}Z`);
  if (Number.isNaN(epochMs) || new Date(epochMs).toISOString().slice(0, 19) !== seconds) return undefined;
  const fraction = /\.(\d+)Z$/.exec(text)?.[1];
  return fraction === undefined ? epochMs : epochMs + Math.ceil(Number(`0.${fraction}`) * 1000);
}

/** A CEL duration literal (`720h`, `1h30m`, `90s`, `250ms`) in milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  const unitMs = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
  let totalMs = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|h|m|s)/g)) {
    totalMs += Number(count) * unitMs[unit as keyof typeof unitMs];
  }
  return Number.isSafeInteger(totalMs) ? totalMs : undefined;
}

/**
 * The only way in which rules see time: the instant of the decision, and a note of the first later instant at which
 * something that was asked about it could be answered differently. Decisions count in whole seconds, so a crossing is
 * the first whole second on the other side.
 */
export class DecisionTime {
  readonly atMs: number;
  #crossingMs: number | undefined;

  constructor(atMs: number) {
    this.atMs = atMs;
  }

  /** The earliest recorded crossing; undefined when no answer depends on time. */
  get crossingMs(): number | undefined {
    return this.#crossingMs;
  }

  /** Is it `instantMs` or later? */
  reached(instantMs: number): boolean {
    this.#cross(Math.ceil(instantMs / 1000) * 1000);
    return this.atMs >= instantMs;
  }

  /** Is it later than `instantMs`? */
  passed(instantMs: number): boolean {
    this.#cross(Math.floor(instantMs / 1000) * 1000 + 1000);
    return this.atMs > instantMs;
  }

  #cross(instantMs: number): void {
    if (instantMs <= this.atMs) return;
    if (this.#crossingMs === undefined || instantMs < this.#crossingMs) this.#crossingMs = instantMs;
  }
}
