import type { Egress } from '#lib/egress.ts';
import { Fault } from '#lib/fault.ts';
import { httpGet, readBounded, type HttpResponse, type HttpTimeouts } from '#lib/http-client.ts';
import { parseJson, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import type { Redacted } from '#lib/redacted.ts';

/** Proof for one host. It goes to that host (and port, where it names one) and nowhere else. */
export interface Credential {
  /** `host`, or `host:port` where the port is not the usual one, as `URL.host` spells it. */
  readonly host: string;
  readonly username?: string;
  readonly password?: Redacted<string>;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: Redacted<string>;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: Redacted<string>;
  readonly sessionToken?: Redacted<string>;
  /** Where a registry's tokens come from when that is not the registry itself. */
  readonly realm?: string;
}

/** What the adapters of sources share. */
export interface Site {
  readonly egress: Egress;
  readonly credentials: readonly Credential[];
  /** A directory of ours for what must lie on disk while it is read; made where it is not there. */
  readonly scratch: string;
  /** Bytes of one intake, also where they are packed. */
  readonly mostBytes: number;
  readonly timeouts?: HttpTimeouts;
  /** What a download must at least bring in each window; 64 KiB a minute where absent. */
  readonly slowest?: { readonly bytes: number; readonly windowMs: number };
}

export interface SiteRequest {
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly body?: Uint8Array;
}

const defaultTimeouts: HttpTimeouts = { headerMs: 30_000, idleMs: 60_000 };

/** One request under the rules about addresses, at every hop. Any status is an answer. */
export async function ask(site: Site, request: SiteRequest): Promise<HttpResponse> {
  site.egress.admit(request.url);
  try {
    return await httpGet({
      url: request.url,
      headers: { 'user-agent': 'weighbridge', 'accept-encoding': 'identity', ...request.headers },
      timeouts: site.timeouts ?? defaultTimeouts,
      signal: request.signal,
      allowRedirect: (_from, to) => {
        site.egress.admit(to);
        return true;
      },
      publicOnly: site.egress.publicOnly,
      ...(request.body === undefined ? {} : { body: request.body }),
    });
  } catch (error) {
    throw asForbidden(error, request.url);
  }
}

/** A name that turned out to be private is our caller's doing or the source's; in either case a rule about addresses. */
function asForbidden(error: unknown, url: URL): unknown {
  const refused =
    error instanceof Fault && error.code === 'upstream.lied' && error.details['kind'] === 'redirect-refused';
  if (!refused) return error;
  return new Fault('source.forbidden', `\`${url.host}\` leads to where it may not`, {
    hint: 'the operator can name hosts with `intake-hosts`',
    cause: error,
  });
}

/** The same, where only `wanted` will do. */
export async function askFor(
  site: Site,
  request: SiteRequest,
  wanted: readonly number[],
): Promise<HttpResponse> {
  const answer = await ask(site, request);
  if (wanted.includes(answer.status)) return answer;
  answer.discard();
  throw refusedAnswer(answer.status, request.url);
}

/** What a status that is no success means. Only the host is named: paths and queries may hold secrets. */
export function refusedAnswer(status: number, url: URL): Fault {
  const where = `\`${url.host}\``;
  if (status === 404 || status === 410) return new Fault('source.absent', `${where} has no such file`);
  if (status === 401 || status === 403) {
    return new Fault('request.forbidden', `${where} refuses us (${status})`, {
      hint: 'the operator can give credentials with `intake-credentials`',
    });
  }
  if (status === 429 || status >= 500) return new Fault('upstream.unavailable', `${where} answers ${status}`);
  return new Fault('upstream.lied', `${where} answers ${status}, which is not a file`);
}

/** A bounded JSON answer. */
export async function askJson(site: Site, request: SiteRequest): Promise<JsonValue> {
  const answer = await askFor(site, request, [200]);
  return parseAnswer(await readBounded(answer, limits.sourceAnswerBytes), request.url);
}

export function parseAnswer(bytes: Uint8Array, url: URL): JsonValue {
  try {
    return parseJson(bytes, { bytes: limits.sourceAnswerBytes, duplicateKeys: 'last' });
  } catch (cause) {
    throw new Fault('upstream.lied', `\`${url.host}\` answers with something that is not JSON`, { cause });
  }
}

/** The credential for exactly this host and port: another port of the same host is somebody else. */
export function credentialFor(site: Site, url: URL): Credential | undefined {
  return site.credentials.find(({ host }) => host === url.host);
}

/** `Authorization` for a plain request to this URL; empty where we have none. */
export function authorizationFor(site: Site, url: URL): Readonly<Record<string, string>> {
  const found = credentialFor(site, url);
  if (found?.token !== undefined) return { authorization: `Bearer ${found.token.reveal()}` };
  if (found?.username === undefined || found.password === undefined) return {};
  return { authorization: basic(found.username, found.password) };
}

export function basic(username: string, password: Redacted<string>): string {
  return `Basic ${Buffer.from(`${username}:${password.reveal()}`).toString('base64')}`;
}
