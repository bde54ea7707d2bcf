import { randomBytes } from 'node:crypto';
import type { Settings } from '#adapters/postgres/settings.ts';
import type { Tokens } from '#adapters/postgres/tokens.ts';
import type { Environment } from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { administratorRole, defaultNamespace, digestOfToken } from './principals.ts';

export interface AccessPorts {
  readonly settings: Pick<Settings, 'setEnvironment'>;
  readonly tokens: Pick<Tokens, 'find' | 'list' | 'revoke' | 'save'>;
}

/**
 * Sets the default namespace up and makes sure that somebody can administer it. Gives the token that was made, if any.
 * Fault `config.invalid` where the configured token was revoked before: it stays revoked.
 */
export async function prepareAccess(
  { settings, tokens }: AccessPorts,
  configured: { readonly token: Redacted<string> | undefined; readonly environment: Environment },
): Promise<Redacted<string> | undefined> {
  await settings.setEnvironment(defaultNamespace, configured.environment);
  const row = { namespace: defaultNamespace, role: administratorRole, environment: null, expiresAtMs: null };
  const existing = (await tokens.list(defaultNamespace)).filter(
    (token) => token.role === administratorRole && token.revokedAtMs === null,
  );
  if (configured.token === undefined) {
    if (existing.length > 0) return undefined;
    const made = makeToken();
    await tokens.save({ ...row, digest: digestOfToken(made), name: 'administrator' });
    return made;
  }
  const digest = digestOfToken(configured.token);
  // The new one first: stopping between the two leaves both working, never none.
  await tokens.save({ ...row, digest, name: 'configured' });
  if ((await tokens.find(digest))?.role !== administratorRole) {
    throw new Fault('config.invalid', 'the configured administrator token was revoked before', {
      hint: 'configure one that was never in use here',
    });
  }
  // A token that was replaced in the configuration must not go on working.
  for (const old of existing) {
    if (old.name === 'configured' && old.digest !== digest) await tokens.revoke(defaultNamespace, old.digest);
  }
  return undefined;
}

/** `hf_` and 40 letters and digits (238 bits): some hub clients drop tokens that look otherwise. */
export function makeToken(): Redacted<string> {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  let token = 'hf_';
  while (token.length < 43) {
    for (const byte of randomBytes(64)) if (byte < 248 && token.length < 43) token += alphabet[byte % 62];
  }
  return new Redacted(token);
}
