import type { FastifyRequest } from 'fastify';
import type { PullSettings } from './settings.ts';

/** What a `User-Agent` and the way of a request say about a caller. Decides how it is kept waiting, never whether it may. */
export interface Caller {
  /** Version of Python huggingface_hub (`hf_hub/1.16.0` in `User-Agent`); undefined for every other client. */
  readonly hub: { readonly major: number; readonly minor: number } | undefined;
  /** Nothing is known to stand in between that would swallow interim answers and small writes. */
  readonly direct: boolean;
  /** `100 Continue` may be sent while it waits: it is ignored there and restarts the time-out. */
  readonly interim: boolean;
  /** Waits for the first byte of an answer longer than any of our waits. */
  readonly patient: boolean;
  /** The JavaScript client's way of asking for a file's size. It waits minutes for that. */
  readonly probe: boolean;
}

const hubAgent = /hf_hub\/(\d{1,4})\.(\d{1,4})/;
/** Measured to ignore `100 Continue` before any final answer. Node's fetch and Go's client break on it. */
const interimAgent = /^(?:curl|Wget|python-requests|python-httpx|aria2)\//;
/** Without a time-out of their own, or with one of minutes; httpx gives up after 5 s of silence. */
const patientAgent = /^(?:curl|Wget|python-requests|aria2)\//;

export function callerOf(request: FastifyRequest, settings: PullSettings): Caller {
  const { headers, httpVersion, method } = request.raw;
  const agent = headers['user-agent'] ?? '';
  const version = hubAgent.exec(agent);
  const hub = version === null ? undefined : { major: Number(version[1]), minor: Number(version[2]) };
  const direct =
    settings.heartbeat === 'direct' &&
    headers['via'] === undefined &&
    headers['x-forwarded-for'] === undefined &&
    headers['forwarded'] === undefined;
  return {
    hub,
    direct,
    interim: direct && httpVersion === '1.1' && (hub !== undefined || interimAgent.test(agent)),
    patient: method === 'GET' && patientAgent.test(agent),
    probe: method === 'GET' && headers.range === 'bytes=0-0' && hub === undefined,
  };
}
