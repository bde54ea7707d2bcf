import { readFileSync, statSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { Type } from 'typebox';
import { Check } from 'typebox/value';
import type { Credential } from '#adapters/sources/site.ts';
import { Fault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';

const text = Type.String({ minLength: 1 });
const fileSchema = Type.Array(
  Type.Object(
    {
      host: text,
      username: Type.Optional(text),
      password: Type.Optional(text),
      token: Type.Optional(text),
      'access-key-id': Type.Optional(text),
      'secret-access-key': Type.Optional(text),
      'session-token': Type.Optional(text),
      realm: Type.Optional(text),
    },
    { additionalProperties: false },
  ),
);

/**
 * Credentials for sources from a YAML file (docs/reference/sources.md); none where no file is configured. A file that
 * others may read is refused. Fault `config.invalid` names the file, never its content.
 */
export function readCredentials(path: string | undefined): readonly Credential[] {
  if (path === undefined) return [];
  const refuse = (why: string, cause?: unknown): Fault =>
    new Fault('config.invalid', `the credentials of sources in \`${path}\` ${why}`, { cause });
  let content: unknown;
  try {
    if ((statSync(path).mode & 0o077) !== 0) throw refuse('can be read by others: set mode 0600');
    content = parseYaml(readFileSync(path, 'utf8'), { maxAliasCount: 0, schema: 'failsafe' });
  } catch (error) {
    // The words of the parser quote the line, and the line may be the secret.
    throw error instanceof Fault ? error : refuse('cannot be read');
  }
  if (!Check(fileSchema, content))
    throw refuse('are not a list of `host` with a `password`, a `token` or an access key');
  return content.map((row) => {
    const { password, token } = row;
    const secret = row['secret-access-key'];
    const session = row['session-token'];
    const keyId = row['access-key-id'];
    return {
      host: row.host.toLowerCase(),
      ...(row.username === undefined ? {} : { username: row.username }),
      ...(password === undefined ? {} : { password: new Redacted(password) }),
      ...(token === undefined ? {} : { token: new Redacted(token) }),
      ...(keyId === undefined ? {} : { accessKeyId: keyId }),
      ...(secret === undefined ? {} : { secretAccessKey: new Redacted(secret) }),
      ...(session === undefined ? {} : { sessionToken: new Redacted(session) }),
      ...(row.realm === undefined ? {} : { realm: row.realm.toLowerCase() }),
    };
  });
}
