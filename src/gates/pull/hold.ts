import type { FastifyReply, FastifyRequest } from 'fastify';
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

/**
 * What this caller is known to tolerate (measured; docs/reference/hub-protocol.md "Waiting"): huggingface_hub ignores
 * `100 Continue` and restarts its time-out with each; Node's fetch breaks on one but waits minutes for its probe
 * (`bytes=0-0`). Everyone else gets the short wait. A proxy in front may swallow interim answers, and then the short
 * wait is what is safe.
 */
export function patienceOf(request: FastifyRequest, settings: PullSettings): Patience {
  const { headers, httpVersion } = request.raw;
  const agent = headers['user-agent'] ?? '';
  const direct = headers['via'] === undefined && headers['x-forwarded-for'] === undefined;
  if (settings.heartbeat === 'direct' && direct && httpVersion === '1.1' && agent.includes('hf_hub/')) {
    return { waitMs: settings.longHoldMs, heartbeatMs: settings.heartbeatMs };
  }
  if (request.method === 'GET' && headers.range === 'bytes=0-0') {
    return {
      waitMs: Math.max(settings.holdMs, Math.min(settings.longHoldMs, probeHoldMs)),
      heartbeatMs: undefined,
    };
  }
  return { waitMs: settings.holdMs, heartbeatMs: undefined };
}

/** Without a reason of its own every abort would record a stack, which costs a tenth of a warm HEAD. */
const answered = new Error('the answer was given');

/**
 * Waits for the intake of these paths as long as the caller can. Not one byte of an answer leaves before it settles;
 * the intake goes on when the caller gives up.
 */
export async function hold(
  ports: PullPorts,
  exchange: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  listing: Listing,
  paths: readonly string[],
): Promise<Arrival> {
  const { request, reply } = exchange;
  const patience = patienceOf(request, ports.settings);
  const left = new AbortController();
  const leave = (): void => left.abort();
  reply.raw.once('close', leave);
  const heartbeat =
    patience.heartbeatMs === undefined
      ? undefined
      : setInterval(() => {
          if (!reply.raw.headersSent && !reply.raw.destroyed) reply.raw.writeContinue();
        }, patience.heartbeatMs);
  try {
    return await ports.intake.want(listing, paths, { waitMs: patience.waitMs, signal: left.signal });
  } finally {
    clearInterval(heartbeat);
    reply.raw.off('close', leave);
    left.abort(answered);
  }
}
