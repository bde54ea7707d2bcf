import { lookup } from 'node:dns';
import {
  Agent as HttpAgent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { Fault, isErrno } from './fault.ts';
import { isPrivateAddress } from './private-address.ts';

export interface HttpTimeouts {
  /** Until the response's header is here, redirects not counted. */
  readonly headerMs: number;
  /** Between two pieces of a body. */
  readonly idleMs: number;
}

export interface HttpGet {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeouts: HttpTimeouts;
  readonly signal: AbortSignal;
  /** May this hop be followed? Asked for every redirect; a refusal is Fault `upstream.lied`. */
  readonly allowRedirect: (from: URL, to: URL) => boolean;
  /** Where names may not resolve to private addresses (a server-side request forgery); asked for every hop. */
  readonly publicOnly: (url: URL) => boolean;
  /** Sent as a POST; such a request follows no redirect. */
  readonly body?: Uint8Array;
}

/** A response whose body has not been read. Either read the body to its end or call `discard`. */
export interface HttpResponse {
  readonly status: number;
  readonly url: URL;
  header(name: string): string | undefined;
  /** Bytes as they arrive, undecoded. Throws Fault `upstream.unavailable` when the connection breaks or stalls. */
  readonly body: AsyncIterable<Uint8Array>;
  discard(): void;
}

const maximumRedirects = 5;
/** What a Fault says about the kind of failure, for whoever keeps count of an upstream's behaviour. */
const redirectRefused = { kind: 'redirect-refused' };
const makeAgents = () => ({
  'http:': new HttpAgent({ keepAlive: true, maxSockets: 64 }),
  'https:': new HttpsAgent({ keepAlive: true, maxSockets: 64 }),
});
/** Kept apart: a connection that was opened without looking at its address must not serve a request that looks. */
const anyAgents = makeAgents();
const publicAgents = makeAgents();
/** What another origin may see of our request: nothing that proves who we are. */
const harmlessHeaders = new Set(['accept', 'accept-encoding', 'if-match', 'if-range', 'range', 'user-agent']);

class Stalled extends Error {}

/**
 * GET with bounded redirects (RFC 9110 §15.4) and time-outs. Credentials go to the first origin only. Response
 * headers are bounded by Node's parser (16 KiB); bodies are for the caller to bound. Fault `upstream.unavailable` for
 * what may work later, `upstream.lied` for a redirect that must not be followed.
 */
export async function httpGet(get: HttpGet): Promise<HttpResponse> {
  let url = get.url;
  for (let hop = 0; hop <= maximumRedirects; hop += 1) {
    const message = await send(get, url);
    const status = message.statusCode ?? 0;
    const location = message.headers.location;
    const redirects = [301, 302, 303, 307, 308].includes(status) && location !== undefined;
    if (!redirects || get.body !== undefined) return response(message, url);
    // The body of a redirect is nobody's: reading it to its end would let upstream hold us as long as it likes.
    message.destroy();
    const target = parseLocation(location, url);
    if (!get.allowRedirect(url, target)) {
      throw new Fault('upstream.lied', 'upstream redirects to where it may not', {
        details: redirectRefused,
        hint: 'only https and the configured upstream are followed',
        cause: new Error(`\`${url.host}\` redirects to \`${target.protocol}//${target.host}\``),
      });
    }
    url = target;
  }
  throw new Fault('upstream.lied', `upstream redirects more than ${maximumRedirects} times`, {
    details: redirectRefused,
  });
}

function parseLocation(location: string, base: URL): URL {
  try {
    const url = new URL(location, base);
    url.username = '';
    url.password = '';
    return url;
  } catch (cause) {
    throw new Fault('upstream.lied', 'upstream redirects to a malformed address', {
      details: redirectRefused,
      cause,
    });
  }
}

function send(get: HttpGet, url: URL): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sameOrigin = url.origin === get.url.origin;
  const headers = Object.fromEntries(
    Object.entries(get.headers).filter(([name]) => sameOrigin || harmlessHeaders.has(name.toLowerCase())),
  );
  const publicOnly = get.publicOnly(url);
  if (publicOnly && isIP(bareHost(url)) !== 0 && isPrivateAddress(bareHost(url))) {
    throw new Fault('upstream.lied', 'upstream redirects to a private address', { details: redirectRefused });
  }
  const agents = publicOnly ? publicAgents : anyAgents;
  const options = {
    headers,
    signal: get.signal,
    ...(get.body === undefined ? {} : { method: 'POST' }),
    ...(publicOnly ? { lookup: publicLookup } : {}),
  };
  const request: ClientRequest =
    url.protocol === 'https:'
      ? httpsRequest(url, { ...options, agent: agents['https:'] })
      : httpRequest(url, { ...options, agent: agents['http:'] });
  const timer = setTimeout(() => request.destroy(new Stalled('no answer in time')), get.timeouts.headerMs);
  request.on('response', (message) => {
    clearTimeout(timer);
    message.setTimeout(get.timeouts.idleMs, () => message.destroy(new Stalled('the body stalled')));
    resolve(message);
  });
  request.on('error', (error) => {
    clearTimeout(timer);
    reject(unavailable(url, error));
  });
  request.end(get.body);
  return promise;
}

function response(message: IncomingMessage, url: URL): HttpResponse {
  return {
    status: message.statusCode ?? 0,
    url,
    header: (name) => {
      const value = message.headers[name.toLowerCase()];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body: readBody(message, url),
    discard: () => message.destroy(),
  };
}

async function* readBody(message: IncomingMessage, url: URL): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of message as AsyncIterable<Uint8Array>) yield chunk;
  } catch (error) {
    throw unavailable(url, error);
  }
}

function unavailable(url: URL, cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  // Our callers' callers may be anybody: where upstream is and what the system said about it is for the log.
  const why = isErrno(cause) ? `: ${cause.code}` : '';
  const words = cause instanceof Error ? cause.message : String(cause);
  return new Fault('upstream.unavailable', `upstream did not answer${why}`, {
    details: {
      kind: cause instanceof Stalled ? 'stall' : 'unreachable',
      ...(isErrno(cause) ? { errno: cause.code } : {}),
    },
    cause: new Error(`\`${url.host}\`: ${words}`, { cause }),
  });
}

/** The whole body in memory, or Fault `limit.exceeded` past the bound. */
export async function readBounded(answer: HttpResponse, maximumBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body) {
    size += chunk.length;
    if (size > maximumBytes) {
      answer.discard();
      throw new Fault('limit.exceeded', `upstream answered with more than ${maximumBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** Name resolution that fails where any address is private: the check and the connection see the same answer. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, []);
    if (addresses.length === 0 || addresses.some(({ address }) => isPrivateAddress(address))) {
      return callback(
        new Fault('upstream.lied', 'upstream leads to a private address', {
          details: redirectRefused,
          cause: new Error(`\`${hostname}\``),
        }),
        [],
      );
    }
    if (options.all === true) return callback(null, addresses);
    const [first] = addresses;
    return callback(null, first?.address ?? '', first?.family);
  });
};
