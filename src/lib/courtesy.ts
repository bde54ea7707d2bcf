import type { BreakerSettings, BreakerState } from './breaker.ts';
import type { Clock } from './clock.ts';
import {
  doesNotAnswer,
  givenUp,
  heed,
  lanes,
  newHost,
  refuseWherePointless,
  release,
  waitForTurn,
  type HostState,
  type Lane,
} from './courtesy-host.ts';

export type { Lane } from './courtesy-host.ts';

export interface CourtesyOptions {
  readonly clock: Clock;
  /** Requests at once to one host, at least 2; a quarter, and at least one, is kept free of bodies. */
  readonly concurrency: number;
  readonly breaker?: BreakerSettings | undefined;
}

/** What an answer says by its header; `host` is the one that redirects led to. */
export interface Answered {
  readonly host: string;
  readonly status: number;
  header(name: string): string | undefined;
}

/** Leave to send one request. `leave` must be called once it is over, body included; more calls do nothing. */
export interface Turn {
  answered(answer: Answered): void;
  /** There was no answer, or its body broke. `whole`: the host as a whole cannot be reached. */
  failed(failure: { readonly host: string; readonly words: string; readonly whole: boolean }): void;
  /** Asked before a redirect is followed. Fault `upstream.unavailable` where its host does not answer or asked for a pause. */
  follow(host: string): void;
  leave(): void;
}

export interface HostHealth {
  readonly host: string;
  readonly state: 'well' | 'limited' | 'away';
  readonly breaker: BreakerState;
  readonly requests: number;
  readonly failures: number;
  readonly lastSuccessMs: number | undefined;
  readonly lastFailure: { readonly atMs: number; readonly words: string } | undefined;
  readonly active: number;
  readonly waiting: number;
  /** What the host last said to the lane that has least left. */
  readonly rateLimit: { readonly remaining: number; readonly resetsAtMs: number | undefined } | undefined;
}

/**
 * Keeps requests to other people's hosts polite: few at once, none where the host asked for a pause (`Retry-After`,
 * `RateLimit`), none for a while where it does not answer. Metadata is never queued behind bodies, and does not wait out a
 * long pause: who asked is waiting, too. Faults `upstream.unavailable` with `details.refusedHere`, without any request.
 */
export interface Courtesy {
  /** Resolves when the request may go out. `about` names what is asked for: one broken thing is not a broken host. */
  enter(
    request: { readonly host: string; readonly lane: Lane; readonly about: string },
    signal: AbortSignal,
  ): Promise<Turn>;
  health(): readonly HostHealth[];
}

/** Hosts are remembered up to here: where upstream redirects to is its own choice. */
const keptHosts = 64;
const usualBreaker: BreakerSettings = { failures: 5, restMs: 5_000, longestMs: 60_000 };

export function openCourtesy(options: CourtesyOptions): Courtesy {
  const { clock } = options;
  const hosts = new Map<string, HostState>();
  const hostOf = (name: string): HostState => {
    const known = hosts.get(name);
    if (known !== undefined) return known;
    if (hosts.size >= keptHosts) forgetIdle(hosts);
    const made = newHost(clock, options.breaker ?? usualBreaker);
    hosts.set(name, made);
    return made;
  };
  return {
    enter: async (request, signal) => {
      if (signal.aborted) throw givenUp();
      const host = hostOf(request.host);
      await waitForTurn(options, host, request.lane, signal);
      if (host.breaker.admit()) return takeTurn(options, hostOf, request);
      host.lanes[request.lane].active -= 1;
      release(options, host);
      throw doesNotAnswer(host);
    },
    health: () => [...hosts].map(([name, host]) => healthOf(clock, name, host)),
  };
}

function takeTurn(
  options: CourtesyOptions,
  hostOf: (name: string) => HostState,
  request: { readonly host: string; readonly lane: Lane; readonly about: string },
): Turn {
  const { clock } = options;
  const { lane, about } = request;
  const host = hostOf(request.host);
  const asked = new Set([host]);
  let [over, answered] = [false, false];
  const note = (state: HostState, words: string): void => {
    state.failures += 1;
    state.lastFailure = { atMs: clock.now(), words };
  };
  return {
    answered: (answer) => {
      answered = true;
      const state = hostOf(answer.host);
      state.requests += 1;
      heed(clock, state.lanes[lane], answer);
      if (answer.status >= 500 || answer.status === 429) note(state, `answered ${answer.status}`);
      else state.lastSuccessMs = clock.now();
      // 500 is about what was asked for; these say that nobody is behind the front.
      if ([502, 503, 504].includes(answer.status)) state.breaker.failed(about);
      else state.breaker.succeeded();
      if (state !== host) host.breaker.succeeded();
    },
    failed: ({ host: name, words, whole }) => {
      const state = hostOf(name);
      note(state, words);
      if (answered) return;
      state.requests += 1;
      state.breaker.failed(whole ? undefined : about);
      if (state !== host) host.breaker.succeeded();
    },
    follow: (name) => {
      const state = hostOf(name);
      if (asked.has(state)) return;
      refuseWherePointless(clock, state, lane);
      if (!state.breaker.admit()) throw doesNotAnswer(state);
      asked.add(state);
    },
    leave: () => {
      if (over) return;
      over = true;
      for (const state of asked) state.breaker.withdrew();
      host.lanes[lane].active -= 1;
      release(options, host);
    },
  };
}

function healthOf(clock: Clock, name: string, host: HostState): HostHealth {
  const { breaker, requests, failures, lastSuccessMs, lastFailure } = host;
  const both = lanes.map((lane) => host.lanes[lane]);
  const limited = both.some(({ pausedUntilMs }) => clock.now() < pausedUntilMs);
  const [limit] = both
    .map(({ remaining, resetsAtMs }) => (remaining === undefined ? undefined : { remaining, resetsAtMs }))
    .filter((known) => known !== undefined)
    .sort((left, right) => left.remaining - right.remaining);
  return {
    host: name,
    state: breaker.state !== 'closed' ? 'away' : limited ? 'limited' : 'well',
    breaker: breaker.state,
    requests,
    failures,
    lastSuccessMs,
    lastFailure,
    active: both.reduce((sum, { active }) => sum + active, 0),
    waiting: both.reduce((sum, { waiting }) => sum + waiting.length, 0),
    rateLimit: limit,
  };
}

function forgetIdle(hosts: Map<string, HostState>): void {
  for (const [name, host] of hosts) {
    if (lanes.some((lane) => host.lanes[lane].active + host.lanes[lane].waiting.length > 0)) continue;
    hosts.delete(name);
    return;
  }
}
