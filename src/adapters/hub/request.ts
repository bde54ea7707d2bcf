import { setTimeout as pause } from 'node:timers/promises';
import type { RepositoryName } from '#artifact/catalog.ts';
import type { IncidentKind } from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';
import { httpGet, readBounded, type HttpResponse } from '#lib/http-client.ts';
import { parseJson, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import type { HubAccess } from './hub-values.ts';
import { lie } from './lie.ts';

/** Tries of one request, the first included. */
const attempts = 4;
const longestPauseMs = 60_000;

export type JsonAnswer =
  | { readonly kind: 'found'; readonly value: JsonValue; readonly link: string | undefined }
  | { readonly kind: 'absent'; readonly what: 'repository' | 'revision' };

/** `/api/{type}/{id}{tail}`. */
export function apiPath({ type, id }: RepositoryName, tail: string): string {
  return `/api/${type}/${id}${tail}`;
}

/** Path and query under the upstream's base URL, which may have a path of its own. */
export function upstreamUrl(access: HubAccess, path: string): URL {
  return new URL(access.upstream.href.replace(/\/$/, '') + path);
}

/** One JSON answer, bounded, retried while upstream asks for patience. */
export async function getJson(
  access: HubAccess,
  path: string | URL,
  signal: AbortSignal,
): Promise<JsonAnswer> {
  const url = typeof path === 'string' ? upstreamUrl(access, path) : path;
  return patiently(access, signal, async () => {
    const answer = await get(access, url, { signal, headers: { accept: 'application/json' } });
    if (answer.status === 404 || answer.status === 401) return absent(answer);
    await expectStatus(answer, [200]);
    const bytes = await readBounded(answer, limits.hubAnswerBytes);
    try {
      const value = parseJson(bytes, { bytes: limits.hubAnswerBytes, duplicateKeys: 'last' });
      return { kind: 'found', value, link: answer.header('link') };
    } catch (cause) {
      throw lie('malformed-answer', 'upstream answered with something that is not JSON', cause);
    }
  });
}

/** A missing repository is 401 or 404, a missing revision 404 with its code; both are values. */
function absent(answer: HttpResponse): JsonAnswer {
  const code = answer.header('x-error-code');
  answer.discard();
  return { kind: 'absent', what: code === 'RevisionNotFound' ? 'revision' : 'repository' };
}

export interface GetOptions {
  readonly signal: AbortSignal;
  readonly headers: Readonly<Record<string, string>>;
}

/** One GET with our own headers only. `identity`: sizes and digests are of the bytes as they are. */
export function get(access: HubAccess, url: URL, options: GetOptions): Promise<HttpResponse> {
  const token = access.token?.reveal();
  const ours = url.origin === access.upstream.origin && token !== undefined;
  return httpGet({
    url,
    headers: {
      'user-agent': 'weighbridge',
      'accept-encoding': 'identity',
      ...(ours ? { authorization: `Bearer ${token}` } : {}),
      ...options.headers,
    },
    timeouts: access.timeouts,
    signal: options.signal,
    allowRedirect: access.allowRedirect,
    publicOnly: access.publicOnly,
  });
}

/** Any other status as a Fault: 429 and 5xx may pass, 401 and 403 need a token, the rest is not the protocol. */
export async function expectStatus(answer: HttpResponse, wanted: readonly number[]): Promise<void> {
  const { status } = answer;
  if (wanted.includes(status)) return;
  const retryAfter = answer.header('retry-after');
  answer.discard();
  if (status === 401 || status === 403) {
    throw new Fault('request.forbidden', `upstream refuses with ${status}`, {
      hint: 'the repository may be gated there: configure `upstream-token`',
    });
  }
  if (status === 429 || status >= 500) {
    const seconds = /^\d{1,6}$/.test(retryAfter ?? '') ? Number(retryAfter) : undefined;
    const kind: IncidentKind = status === 429 ? 'rate-limited' : 'server-error';
    throw new Fault('upstream.unavailable', `upstream answered ${status}`, {
      details: { kind, status, ...(seconds === undefined ? {} : { retryAfterSeconds: seconds }) },
    });
  }
  throw lie('malformed-answer', `upstream answered ${status}, which the protocol does not know here`);
}

/** Runs `attempt` again after `upstream.unavailable`, with growing pauses; the last Fault stands. */
export async function patiently<T>(
  access: HubAccess,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!mayRetry(error, signal) || tried === attempts) throw error;
      await pauseBefore(access, { tried, error, signal });
    }
  }
}

export function mayRetry(error: unknown, signal: AbortSignal): error is Fault {
  return error instanceof Fault && error.code === 'upstream.unavailable' && !signal.aborted;
}

/** The pause before the next try: ours, or what upstream asked for where that is longer. */
export async function pauseBefore(
  access: HubAccess,
  { tried, error, signal }: { readonly tried: number; readonly error: Fault; readonly signal: AbortSignal },
): Promise<void> {
  const asked = error.details['retryAfterSeconds'];
  const askedMs = typeof asked === 'number' ? asked * 1000 : 0;
  const pauseMs = Math.min(longestPauseMs, Math.max(askedMs, access.retryMs * 2 ** (tried - 1)));
  try {
    await pause(pauseMs, undefined, { signal });
  } catch {
    throw error;
  }
}
