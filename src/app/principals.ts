import { createHash } from 'node:crypto';
import { steadyClock } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault } from '#lib/fault.ts';
import type { Redacted } from '#lib/redacted.ts';
import { digestOfHex } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Environment } from '#evidence/predicates.ts';
import { isNamespace } from '#evidence/statement.ts';
import type { Principals } from '#gates/pull/ports.ts';
import type { Caller } from './routes/people.ts';

export const defaultNamespace = 'default';
export const administratorRole = 'administrator';
export const clientRole = 'client';

export interface TokenRow {
  readonly namespace: string;
  readonly name: string;
  readonly role: string;
  readonly environment: Environment | null;
}

export interface PrincipalPorts {
  readonly findToken: (digest: Digest) => Promise<TokenRow | undefined>;
  /** Environment of a namespace that was set up; undefined for one that was not. */
  readonly environmentOf: (namespace: string) => Promise<Environment | undefined>;
  /** May callers without a token of ours pull from the default namespace? Only on loopback. */
  readonly anonymous: boolean;
  /** For ages only; the system's steady clock where absent. */
  readonly steady?: Clock;
}

/** How long a token look-up is believed; a revoked token stops within this time. */
const believedMs = 1_000;
const believedTokens = 10_000;

/**
 * The look-up with its answers believed for a second, counted from when it was begun: what is revoked while the database
 * answers slowly is not believed for longer. Callers at the same moment share one look-up; a failed one is forgotten.
 */
function believing<K, V>(look: (key: K) => Promise<V>, steady: Clock): (key: K) => Promise<V> {
  const believed = new Map<K, { readonly answer: Promise<V>; readonly untilMs: number }>();
  return (key) => {
    const nowMs = steady.now();
    const known = believed.get(key);
    if (known !== undefined && known.untilMs > nowMs) return known.answer;
    const answer = look(key);
    if (believed.size >= believedTokens) believed.clear();
    believed.set(key, { answer, untilMs: nowMs + believedMs });
    answer.catch(() => {
      if (believed.get(key)?.answer === answer) believed.delete(key);
    });
    return answer;
  };
}

/** Hub clients send `Bearer <token>`; anything that is not a token of ours is an anonymous caller. */
export function openPrincipals(ports: PrincipalPorts): Principals {
  const { steady = steadyClock } = ports;
  const tokenOf = believing(ports.findToken, steady);
  const knownEnvironmentOf = believing(ports.environmentOf, steady);
  const findToken = async (
    authorization: Redacted<string> | undefined,
  ): Promise<{ row: TokenRow; digest: Digest } | undefined> => {
    const digest = tokenDigestOf(authorization);
    if (digest === undefined) return undefined;
    const row = await tokenOf(digest);
    return row === undefined ? undefined : { row, digest };
  };
  const environmentOf = async (namespace: string): Promise<Environment> => {
    const environment = await knownEnvironmentOf(namespace);
    if (environment === undefined) throw new Fault('resource.unknown', 'there is no such namespace');
    return environment;
  };
  return {
    authenticate: async (authorization, namespace) => {
      const wanted = namespace ?? defaultNamespace;
      if (!isNamespace(wanted)) throw new Fault('resource.unknown', 'there is no such namespace');
      const token = await findToken(authorization);
      if (token === undefined) {
        // An anonymous caller sees the default namespace only, and the same answer for every other one.
        if (!ports.anonymous)
          throw new Fault('request.unauthenticated', 'a Weighbridge token is needed', {
            hint: 'set `HF_TOKEN`',
          });
        if (wanted !== defaultNamespace) throw new Fault('resource.unknown', 'there is no such namespace');
        return {
          class: 'anonymous',
          id: undefined,
          namespace: wanted,
          environment: await environmentOf(wanted),
        };
      }
      const { row, digest } = token;
      const everywhere = isAdministrator(row);
      if (row.namespace !== wanted && !everywhere)
        throw new Fault('resource.unknown', 'there is no such namespace');
      const environment = await environmentOf(wanted);
      return {
        class: everywhere ? 'administrator' : 'client',
        id: digest.slice(0, 23),
        namespace: wanted,
        environment: row.environment ?? environment,
      };
    },
  };
}

/** Administrators belong to the installation; in any other namespace the word gives nothing. */
function isAdministrator({ role, namespace }: TokenRow): boolean {
  return role === administratorRole && namespace === defaultNamespace;
}

/** The person behind a request on the people's listener. Faults `request.unauthenticated`, `request.forbidden`. */
export async function identifyCaller(
  ports: PrincipalPorts,
  authorization: Redacted<string> | undefined,
): Promise<Caller> {
  const digest = tokenDigestOf(authorization);
  const row = digest === undefined ? undefined : await ports.findToken(digest);
  if (row === undefined) {
    throw new Fault('request.unauthenticated', 'an administrator token is needed', {
      hint: 'the server printed it at its first start; send `Authorization: Bearer <token>`',
    });
  }
  if (!isAdministrator(row)) throw new Fault('request.forbidden', "this token is not an administrator's");
  return callerOf(ports);
}

/**
 * Without a configured identity claim nobody can tell two holders of administrator tokens, or of the data directory, from
 * one person with both. So they are one person, and rules that need two people are not met (DESIGN §1a "Break-glass").
 */
const administratorPerson = 'administrator';

/** Whoever may enter the data directory is administrator: the caller on the server's own socket. */
export async function callerOf(ports: Pick<PrincipalPorts, 'environmentOf'>): Promise<Caller> {
  return {
    class: 'administrator',
    person: administratorPerson,
    namespace: defaultNamespace,
    environment: (await ports.environmentOf(defaultNamespace)) ?? 'development',
  };
}

export function digestOfToken(token: Redacted<string>): Digest {
  return digestOfHex(createHash('sha256').update(token.reveal()).digest('hex'));
}

function tokenDigestOf(authorization: Redacted<string> | undefined): Digest | undefined {
  const match = /^Bearer ([\x21-\x7e]{1,500})$/i.exec(authorization?.reveal() ?? '');
  const token = match?.[1];
  return token === undefined ? undefined : digestOfHex(createHash('sha256').update(token).digest('hex'));
}
