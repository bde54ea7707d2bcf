import { setTimeout as pause } from 'node:timers/promises';
import type { RepositoryName } from '#artifact/catalog.ts';
import type { IncidentKind } from '#evidence/predicates.ts';
import type { Lane, Turn } from '#lib/courtesy.ts';
import { Fault } from '#lib/fault.ts';
import { httpGet, readBounded, type HttpResponse } from '#lib/http-client.ts';
import { parseJson, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { readRateLimit, readRetryAfter } from '#lib/rate-limit.ts';
import type { HubAccess } from './hub-values.ts';
import { lie } from './lie.ts';

/** Tries of one request, the first included. */
const attempts = 4;
const longestPauseMs = 60_000;
const longestMetadataPauseMs = 1_000;

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
    const answer = await get(access, url, {
      signal,
      headers: { accept: 'application/json' },
      lane: 'metadata',
    });
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
  /** `body` where absent. */
  readonly lane?: Lane;
}

/**
 * One GET with our own headers only, when it is its turn. `identity`: sizes and digests are of the bytes as they are. The
 * turn ends with the body: it must be read to its end or discarded. Fault `upstream.unavailable` with
 * `details.refusedHere` where nothing was sent, because the host does not answer or asked for a pause.
 */
export async function get(access: HubAccess, url: URL, options: GetOptions): Promise<HttpResponse> {
  const { signal, lane = 'body' } = options;
  const token = access.token?.reveal();
  const ours = url.origin === access.upstream.origin && token !== undefined;
  const turn = await access.courtesy.enter({ host: url.host, lane, about: subjectOf(access, url) }, signal);
  let host = url.host;
  try {
    const answer = await httpGet({
      url,
      headers: {
        'user-agent': 'weighbridge',
        'accept-encoding': 'identity',
        ...(ours ? { authorization: `Bearer ${token}` } : {}),
        ...options.headers,
      },
      timeouts: access.timeouts,
      signal,
      allowRedirect: (from, to) => {
        if (!access.allowRedirect(from, to)) return false;
        turn.follow(to.host);
        host = to.host;
        return true;
      },
      publicOnly: access.publicOnly,
    });
    turn.answered({ host, status: answer.status, header: answer.header });
    return duringTurn(answer, turn, signal);
  } catch (error) {
    noteFailure(turn, { host, error, signal });
    turn.leave();
    throw error;
  }
}

/** The repository that a URL is about. */
function subjectOf(access: HubAccess, url: URL): string {
  const path = url.pathname.slice(access.upstream.pathname.replace(/\/$/, '').length);
  return path
    .replace(/^\/api(?=\/)/, '')
    .replace(/^\/(?:models|datasets|spaces)(?=\/)/, '')
    .split('/', 3)
    .join('/');
}

function duringTurn(answer: HttpResponse, turn: Turn, signal: AbortSignal): HttpResponse {
  const body = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* answer.body;
    } catch (error) {
      // What we gave up ourselves is no failure of theirs.
      noteFailure(turn, { host: answer.url.host, error, signal });
      throw error;
    } finally {
      turn.leave();
    }
  };
  return {
    ...answer,
    body: body(),
    discard: () => {
      answer.discard();
      turn.leave();
    },
  };
}

/** Errors of the system that mean that the host, and not one answer of it, is missing. */
const wholeHost = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
]);

function noteFailure(
  turn: Turn,
  failure: { readonly host: string; readonly error: unknown; readonly signal?: AbortSignal },
): void {
  const { host, error, signal } = failure;
  if (signal?.aborted === true || !(error instanceof Fault) || error.code !== 'upstream.unavailable') return;
  const { errno, refusedHere } = error.details;
  if (refusedHere === true) return;
  turn.failed({ host, words: error.message, whole: typeof errno === 'string' && wholeHost.has(errno) });
}

/** Any other status as a Fault: 429 and 5xx may pass, 401 and 403 need a token, the rest is not the protocol. */
export async function expectStatus(answer: HttpResponse, wanted: readonly number[]): Promise<void> {
  const { status } = answer;
  if (wanted.includes(status)) return;
  answer.discard();
  if (status === 401 || status === 403) {
    throw new Fault('request.forbidden', `upstream refuses with ${status}`, {
      hint: 'the repository may be gated there: configure `upstream-token`',
    });
  }
  if (status === 429 || status >= 500) {
    const kind: IncidentKind = status === 429 ? 'rate-limited' : 'server-error';
    const asked =
      readRetryAfter(answer.header('retry-after'), Date.now()) ??
      readRateLimit((name) => answer.header(name))?.resetSeconds;
    throw new Fault('upstream.unavailable', `upstream answered ${status}`, {
      details: { kind, status, ...(asked === undefined ? {} : { retryAfterSeconds: asked }) },
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
      // Somebody waits for this answer, and may have an older one to go on with.
      if (askedPauseMs(error) > longestMetadataPauseMs) throw error;
      await pauseBefore(access, { tried, error, signal });
    }
  }
}

/** May the same request be sent again soon? Not where it was refused here: that holds for a while. */
export function mayRetry(error: unknown, signal: AbortSignal): error is Fault {
  return (
    error instanceof Fault &&
    error.code === 'upstream.unavailable' &&
    error.details['refusedHere'] !== true &&
    !signal.aborted
  );
}

function askedPauseMs({ details: { retryAfterSeconds } }: Fault): number {
  return typeof retryAfterSeconds === 'number' ? retryAfterSeconds * 1000 : 0;
}

/**
 * The pause before the next try: ours, which doubles and has up to half of itself cut off by chance so that many do not come
 * back in step, or what upstream asked for where that is longer.
 */
export async function pauseBefore(
  access: HubAccess,
  { tried, error, signal }: { readonly tried: number; readonly error: Fault; readonly signal: AbortSignal },
): Promise<void> {
  const ownMs = access.retryMs * 2 ** (tried - 1) * (1 - Math.random() / 2);
  const pauseMs = Math.min(longestPauseMs, Math.max(askedPauseMs(error), ownMs));
  try {
    await pause(pauseMs, undefined, { signal });
  } catch {
    throw error;
  }
}
