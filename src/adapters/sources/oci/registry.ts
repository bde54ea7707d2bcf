import { Fault } from '#lib/fault.ts';
import type { HttpResponse } from '#lib/http-client.ts';
import { isJsonObject } from '#lib/json.ts';
import { ask, askJson, basic, credentialFor, refusedAnswer } from '../site.ts';
import type { Site } from '../site.ts';

export interface Registry {
  /** The path below `/v2/<repository>/`. Any status but a refusal for want of a token is an answer. */
  get(path: string, accept: string): Promise<HttpResponse>;
  /** Headers for a download from this registry that begins now. */
  headers(): Promise<Readonly<Record<string, string>>>;
  url(path: string): URL;
}

interface Place {
  readonly site: Site;
  readonly registry: URL;
  readonly repository: string;
  readonly signal: AbortSignal;
}

interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  readonly parameters: ReadonlyMap<string, string>;
}

/** Tokens live at least a minute where nobody says otherwise (distribution "Token Authentication"). */
const tokenKeptMs = 50_000;

/**
 * One repository of a registry, with its way of asking for tokens. The realm is an address that the registry names, so it
 * is judged as any is; our password goes there only where the realm is the registry's own host or the one that the operator
 * named with the credential. Everybody else's realm is asked without it.
 */
export function openRegistry(place: Place): Registry {
  const { site, registry, repository, signal } = place;
  let authorization: string | undefined;
  let challenge: Challenge | undefined;
  let fetchedMs = -Infinity;
  const url = (path: string): URL => new URL(`/v2/${repository}/${path}`, registry);
  const renew = async (): Promise<void> => {
    if (challenge === undefined || performance.now() - fetchedMs < tokenKeptMs) return;
    fetchedMs = performance.now();
    authorization = await answerChallenge(place, challenge);
  };
  const send = (path: string, accept: string): Promise<HttpResponse> => {
    const proof = authorization === undefined ? {} : { authorization };
    return ask(site, { url: url(path), signal, headers: { accept, ...proof } });
  };
  return {
    url,
    get: async (path, accept) => {
      const answer = await send(path, accept);
      if (answer.status !== 401 || challenge !== undefined) return answer;
      challenge = parseChallenge(answer.header('www-authenticate') ?? '');
      answer.discard();
      if (challenge === undefined) throw refusedAnswer(401, registry);
      await renew();
      return send(path, accept);
    },
    headers: async () => {
      await renew();
      return authorization === undefined ? {} : { authorization };
    },
  };
}

async function answerChallenge(
  { site, registry, repository, signal }: Place,
  { scheme, parameters }: Challenge,
): Promise<string | undefined> {
  const credential = credentialFor(site, registry);
  const { username, password, token } = credential ?? {};
  const proof = username === undefined || password === undefined ? undefined : basic(username, password);
  if (scheme === 'basic') return proof;
  if (token !== undefined) return `Bearer ${token.reveal()}`;
  const realm = parameters.get('realm') ?? '';
  if (!URL.canParse(realm)) throw new Fault('upstream.lied', 'the registry names a token realm that is none');
  const asked = new URL(realm);
  const service = parameters.get('service');
  if (service !== undefined) asked.searchParams.set('service', service);
  asked.searchParams.set('scope', `repository:${repository}:pull`);
  const trusted = asked.host === registry.host || asked.host === credential?.realm;
  const headers = proof !== undefined && trusted ? { authorization: proof } : {};
  const answer = await askJson(site, { url: asked, signal, headers });
  const made = isJsonObject(answer) ? (answer['token'] ?? answer['access_token']) : undefined;
  if (typeof made !== 'string' || !/^[\x21-\x7e]{1,16384}$/.test(made))
    throw new Fault('upstream.lied', 'the token realm answers without a token');
  return `Bearer ${made}`;
}

/** The first challenge that we can answer (RFC 9110 §11.6.1). */
export function parseChallenge(header: string): Challenge | undefined {
  const match = /(?:^|,\s*)(Basic|Bearer)\s+(.*)$/i.exec(header.slice(0, 8_192));
  if (match === null) return undefined;
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, plain] of (match[2] ?? '').matchAll(
    /([A-Za-z_]+)=(?:"([^"]*)"|([^\s",]+))/g,
  ))
    if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), quoted ?? plain ?? '');
  return { scheme: match[1]?.toLowerCase() === 'basic' ? 'basic' : 'bearer', parameters };
}
