import { openBreaker, type Breaker, type BreakerSettings } from './breaker.ts';
import type { Clock } from './clock.ts';
import { Fault } from './fault.ts';
import { limits } from './limits.ts';
import { readRateLimit, readRetryAfter } from './rate-limit.ts';

/** Questions about metadata are short and somebody waits for them; bodies are long and go on in the background. */
export type Lane = 'metadata' | 'body';
export const lanes: readonly Lane[] = ['metadata', 'body'];

/** The longest pause that a request waits out before it starts; who asks for metadata has other answers than waiting. */
const patienceMs: Readonly<Record<Lane, number>> = { metadata: 1_000, body: 60_000 };

interface Waiter {
  readonly go: () => void;
  readonly refuse: (fault: Fault) => void;
}

/** Requests of one lane to one host. */
export interface LaneState {
  readonly waiting: Waiter[];
  active: number;
  pausedUntilMs: number;
  remaining: number | undefined;
  resetsAtMs: number | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** What is known about one host. */
export interface HostState {
  readonly breaker: Breaker;
  readonly lanes: Readonly<Record<Lane, LaneState>>;
  requests: number;
  failures: number;
  lastSuccessMs: number | undefined;
  lastFailure: { readonly atMs: number; readonly words: string } | undefined;
}

interface Rules {
  readonly clock: Clock;
  readonly concurrency: number;
}

export function newHost(clock: Clock, breaker: BreakerSettings): HostState {
  return {
    breaker: openBreaker(clock, breaker),
    lanes: { metadata: newLane(), body: newLane() },
    requests: 0,
    failures: 0,
    lastSuccessMs: undefined,
    lastFailure: undefined,
  };
}

function newLane(): LaneState {
  return {
    waiting: [],
    active: 0,
    pausedUntilMs: 0,
    remaining: undefined,
    resetsAtMs: undefined,
    timer: undefined,
  };
}

/** Resolves when a request of this lane may go out; it then counts as active. Faults as `refuseWherePointless`. */
export async function waitForTurn(
  rules: Rules,
  host: HostState,
  lane: Lane,
  signal: AbortSignal,
): Promise<void> {
  const state = host.lanes[lane];
  refuseWherePointless(rules.clock, host, lane);
  if (state.waiting.length === 0 && mayStart(rules, host, lane)) {
    state.active += 1;
    return;
  }
  if (state.waiting.length >= limits.upstreamWaiting)
    throw refused('too many requests wait for upstream', 'unreachable', 5);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const waiter: Waiter = { go: resolve, refuse: reject };
  const leave = (): void => {
    const at = state.waiting.indexOf(waiter);
    if (at === -1) return;
    state.waiting.splice(at, 1);
    if (state.waiting.length === 0) stopTimer(state);
    reject(givenUp());
  };
  state.waiting.push(waiter);
  signal.addEventListener('abort', leave, { once: true });
  wakeAfterPause(rules, host, lane);
  try {
    await promise;
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/** What waiting cannot mend in time is said at once: Fault `upstream.unavailable`. */
export function refuseWherePointless(clock: Clock, host: HostState, lane: Lane): void {
  const { breaker } = host;
  if (breaker.state === 'trial' || breaker.restMs() > 0) throw doesNotAnswer(host);
  const pauseMs = host.lanes[lane].pausedUntilMs - clock.now();
  if (pauseMs > patienceMs[lane])
    throw refused('upstream asked for a pause', 'rate-limited', seconds(pauseMs));
}

export function doesNotAnswer({ breaker }: HostState): Fault {
  return refused('upstream does not answer at the moment', 'unreachable', seconds(breaker.restMs()));
}

export function givenUp(): Fault {
  return new Fault('upstream.unavailable', 'the request was given up', { details: { refusedHere: true } });
}

function refused(words: string, kind: string, retryAfterSeconds: number): Fault {
  return new Fault('upstream.unavailable', words, {
    hint: `ask again in ${retryAfterSeconds} s; what is stored here is served all the same`,
    details: { kind, refusedHere: true, retryAfterSeconds },
  });
}

function seconds(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / 1000));
}

function mayStart({ clock, concurrency }: Rules, host: HostState, lane: Lane): boolean {
  const { metadata, body } = host.lanes;
  if (clock.now() < host.lanes[lane].pausedUntilMs) return false;
  if (metadata.active + body.active >= concurrency) return false;
  return lane === 'metadata' || body.active < concurrency - Math.max(1, Math.floor(concurrency / 4));
}

/** Lets go whoever may go, metadata first. Called whenever a turn ends or a pause is over. */
export function release(rules: Rules, host: HostState): void {
  for (const lane of lanes) {
    const state = host.lanes[lane];
    while (state.waiting.length > 0) {
      const pointless = faultOf(() => refuseWherePointless(rules.clock, host, lane));
      if (pointless !== undefined) {
        state.waiting.shift()?.refuse(pointless);
        continue;
      }
      if (!mayStart(rules, host, lane)) break;
      state.active += 1;
      state.waiting.shift()?.go();
    }
    wakeAfterPause(rules, host, lane);
  }
}

function faultOf(check: () => void): Fault | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** A pause ends without any event of ours. */
function wakeAfterPause(rules: Rules, host: HostState, lane: Lane): void {
  const state = host.lanes[lane];
  const pauseMs = state.pausedUntilMs - rules.clock.now();
  if (state.timer !== undefined || state.waiting.length === 0 || pauseMs <= 0) return;
  state.timer = setTimeout(() => {
    state.timer = undefined;
    release(rules, host);
  }, pauseMs);
}

function stopTimer(state: LaneState): void {
  clearTimeout(state.timer);
  state.timer = undefined;
}

/** Remembers what the host said about its limits; the lane that hit one pauses. */
export function heed(
  clock: Clock,
  state: LaneState,
  answer: { readonly status: number; header(name: string): string | undefined },
): void {
  const nowMs = clock.now();
  const limit = readRateLimit((name) => answer.header(name));
  if (limit !== undefined) {
    state.remaining = limit.remaining;
    state.resetsAtMs = limit.resetSeconds === undefined ? undefined : nowMs + limit.resetSeconds * 1000;
  }
  const spent = limit?.remaining === 0 ? limit.resetSeconds : undefined;
  const busy = answer.status === 429 || answer.status === 503;
  const pauseSeconds = (busy ? readRetryAfter(answer.header('retry-after'), nowMs) : undefined) ?? spent;
  if (pauseSeconds === undefined) return;
  state.pausedUntilMs = Math.max(state.pausedUntilMs, nowMs + pauseSeconds * 1000);
}
