import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerOf, type Caller } from './callers.ts';
import type { Arrival, Listing } from './ports.ts';
import type { PullPorts, PullSettings } from './settings.ts';

/** How a caller can be kept waiting. */
export interface Patience {
  readonly waitMs: number;
  /** Send `100 Continue` in this interval; undefined = send nothing. */
  readonly heartbeatMs: number | undefined;
}

/** undici, under the JavaScript client, gives up on a silent answer after 300 s. */
const probeHoldMs = 290_000;
/** Proxies give up on a silent server after 50 to 60 s when nobody has told them otherwise. */
const proxiedHoldMs = 45_000;

/**
 * What this caller is known to tolerate (measured; docs/reference/hub-protocol.md "Waiting"): huggingface_hub, curl, wget,
 * aria2, requests and httpx ignore `100 Continue` and restart their time-out with each; Node's fetch breaks on one but
 * waits minutes for its probe (`bytes=0-0`). A proxy in front may swallow interim answers; then those wait in silence
 * that have no time-out, as long as the proxy is likely to. Everyone else gets the short wait.
 */
export function patienceOf(caller: Caller, settings: PullSettings): Patience {
  const { holdMs, longHoldMs, heartbeatMs } = settings;
  if (caller.interim) return { waitMs: longHoldMs, heartbeatMs };
  const silentMs = (mostMs: number): Patience => ({
    waitMs: Math.max(holdMs, Math.min(longHoldMs, mostMs)),
    heartbeatMs: undefined,
  });
  if (caller.patient) return silentMs(caller.direct ? longHoldMs : proxiedHoldMs);
  return silentMs(caller.probe ? probeHoldMs : 0);
}

/** Without a reason of its own every abort would record a stack, which costs a tenth of a warm HEAD. */
const answered = new Error('the answer was given');

/** One caller that waits: kept alive with interim answers where it can be, until `end`. */
export interface Wait {
  readonly caller: Caller;
  readonly patience: Patience;
  /** Aborts when the caller leaves, and at `end`. */
  readonly signal: AbortSignal;
  /** What is left of the patience, in whole milliseconds, never negative. */
  leftMs(): number;
  /** Must be called, before or after the answer. */
  end(): void;
}

export interface WaitingExchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export function openWait(ports: PullPorts, { request, reply }: WaitingExchange): Wait {
  const caller = callerOf(request, ports.settings);
  const patience = patienceOf(caller, ports.settings);
  const left = new AbortController();
  const leave = (): void => left.abort();
  const startedMs = performance.now();
  reply.raw.once('close', leave);
  const heartbeat =
    patience.heartbeatMs === undefined
      ? undefined
      : setInterval(() => {
          if (!reply.raw.headersSent && !reply.raw.destroyed) reply.raw.writeContinue();
        }, patience.heartbeatMs);
  return {
    caller,
    patience,
    signal: left.signal,
    leftMs: () => Math.max(0, Math.ceil(patience.waitMs - (performance.now() - startedMs))),
    end: () => {
      clearInterval(heartbeat);
      reply.raw.off('close', leave);
      left.abort(answered);
    },
  };
}

/**
 * Waits for the intake of these paths as long as the caller can. Not one byte of an answer leaves before it settles;
 * the intake goes on when the caller gives up.
 */
export function holdFor(
  ports: PullPorts,
  wait: Wait,
  listing: Listing,
  paths: readonly string[],
): Promise<Arrival> {
  return ports.intake.want(listing, paths, { waitMs: wait.leftMs(), signal: wait.signal });
}
