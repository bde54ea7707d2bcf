/** What a server said about how much it will still answer. */
export interface RateLimit {
  /** Requests left in the window; undefined where it did not say. */
  readonly remaining: number | undefined;
  /** Seconds until there are more. */
  readonly resetSeconds: number | undefined;
}

/** Longer pauses are not believed: after this time asking once more hurts nobody. */
const longestSeconds = 900;

/**
 * `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10 §4, §5: a list of quoted names with `r` remaining and
 * `t` seconds to reset; a policy has `q` quota and `w` window). Of several limits the one with the least left counts. Undefined
 * where nothing readable is there: a limit that cannot be read is no limit.
 */
export function readRateLimit(header: (name: string) => string | undefined): RateLimit | undefined {
  const limits = itemsOf(header('ratelimit')).map((item) => ({
    remaining: parameterOf(item, 'r'),
    resetSeconds: bounded(parameterOf(item, 't')),
  }));
  const [least] = limits
    .filter(({ remaining }) => remaining !== undefined)
    .sort((left, right) => (left.remaining ?? 0) - (right.remaining ?? 0));
  if (least === undefined) return undefined;
  if (least.resetSeconds !== undefined) return least;
  const windows = itemsOf(header('ratelimit-policy')).map((item) => parameterOf(item, 'w') ?? 0);
  return { ...least, resetSeconds: bounded(windows.length === 0 ? undefined : Math.max(...windows)) };
}

/** `Retry-After` (RFC 9110 §10.2.3) in seconds from now: a number, or a date. Undefined where it is neither. */
export function readRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return bounded(Number(text));
  if (!/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(text)) return undefined;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : bounded(Math.max(0, Math.ceil((atMs - nowMs) / 1000)));
}

/** Items of a structured list (RFC 9651 §3.1); commas inside quotes do not part them. */
function itemsOf(text: string | undefined): readonly string[] {
  if (text === undefined || (text.split('"').length - 1) % 2 !== 0) return [];
  return text.match(/(?:"[^"]*"|[^",])+/g) ?? [];
}

/** An integer parameter outside the quoted name. */
function parameterOf(item: string, name: string): number | undefined {
  const bare = item.replaceAll(/"[^"]*"/g, '');
  const found = new RegExp(`;\\s*${name}=(\\d{1,15})(?=\\s*(?:;|$))`).exec(bare)?.[1];
  return found === undefined ? undefined : Number(found);
}

function bounded(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.min(seconds, longestSeconds);
}
