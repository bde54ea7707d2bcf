import type { Settings } from '#adapters/postgres/settings.ts';
import type { Tokens } from '#adapters/postgres/tokens.ts';
import { isNamespace, systemNamespace } from '#evidence/statement.ts';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault } from '#lib/fault.ts';
import { makeToken } from '../access.ts';
import { clientRole, digestOfToken } from '../principals.ts';
import type { AccessDesk } from '../routes/access.ts';
import { parseExpiry } from './human.ts';

export interface AccessDeskPorts {
  readonly settings: Pick<Settings, 'environmentOf' | 'namespaces' | 'setEnvironment'>;
  readonly tokens: Pick<Tokens, 'list' | 'revoke' | 'save'>;
  readonly clock: Clock;
}

/** Namespaces and tokens. A token made here is a client's: it pulls in its namespace and administers nothing. */
export function openAccessDesk({ settings, tokens, clock }: AccessDeskPorts): AccessDesk {
  const requireNamespace = async (namespace: string) => {
    const environment = await settings.environmentOf(namespace);
    if (environment !== undefined) return { namespace, environment };
    throw new Fault('resource.unknown', `there is no namespace \`${namespace}\``, {
      hint: `set it up with \`weighbridge namespace set ${namespace} --environment …\``,
    });
  };
  return {
    namespaces: async () => Promise.all((await settings.namespaces()).map(requireNamespace)),
    setNamespace: async (namespace, environment) => {
      if (!isNamespace(namespace) || namespace === systemNamespace) {
        throw new Fault('request.invalid', `\`${namespace.slice(0, 100)}\` cannot be a namespace`, {
          hint: 'a namespace is 1 to 63 lower-case letters, digits and inner hyphens; `system` is taken',
        });
      }
      await settings.setEnvironment(namespace, environment);
    },
    createToken: async ({ namespace, name, environment, expiresAt }) => {
      await requireNamespace(namespace);
      const expiry = parseExpiry(expiresAt, clock, 'token');
      const token = makeToken();
      const id = digestOfToken(token);
      const expiresAtMs = expiry === null ? null : Date.parse(expiry);
      await tokens.save({ namespace, digest: id, name, role: clientRole, environment, expiresAtMs });
      return { token: token.reveal(), id };
    },
    tokens: async (namespace) => {
      await requireNamespace(namespace);
      return (await tokens.list(namespace)).map((token) => ({
        id: token.digest,
        name: token.name,
        role: token.role,
        environment: token.environment,
        createdAt: formatInstant(token.createdAtMs),
        expiresAt: token.expiresAtMs === null ? null : formatInstant(token.expiresAtMs),
        revokedAt: token.revokedAtMs === null ? null : formatInstant(token.revokedAtMs),
      }));
    },
    revokeToken: async (namespace, id) => {
      if (!(await tokens.revoke(namespace, id)))
        throw new Fault('resource.unknown', `\`${namespace}\` has no live token \`${id}\``);
    },
  };
}
