import type { Digest } from '#artifact/digest.ts';
import type { Environment } from '#evidence/predicates.ts';
import type { Database } from './database.ts';
import { digestBytes, digestColumn, type Row, textOf, wholeOf, wholeOrNull, wordOf } from './rows.ts';

/** A token as it is kept: its SHA-256, never itself. */
export interface NewToken {
  readonly namespace: string;
  readonly digest: Digest;
  /** For people, e.g. `ci of team blue`. */
  readonly name: string;
  /** What it may do; the words belong to the application. */
  readonly role: string;
  /** The environment of everything asked with it; null = the namespace's default. */
  readonly environment: Environment | null;
  /** Milliseconds, UTC; null = until revoked. */
  readonly expiresAtMs: number | null;
}

export interface Token extends NewToken {
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
}

export interface Tokens {
  /** Saving the same token again changes nothing. */
  save(token: NewToken): Promise<void>;
  /** The token with this digest in any namespace, only while it is neither expired nor revoked. */
  find(digest: Digest): Promise<Token | undefined>;
  list(namespace: string): Promise<readonly Token[]>;
  /** False where there is no such live token in the namespace. */
  revoke(namespace: string, digest: Digest): Promise<boolean>;
}

const columns =
  'namespace, token_digest, name, role, environment, created_at_ms, expires_at_ms, revoked_at_ms';
const environments = ['development', 'staging', 'production'] as const;

export function openTokens(database: Database): Tokens {
  return {
    save: async ({ namespace, digest, name, role, environment, expiresAtMs }) => {
      await database.ask(namespace, {
        text: `INSERT INTO weighbridge.token (namespace, token_digest, name, role, environment, expires_at_ms)
          VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (namespace, token_digest) DO NOTHING`,
        values: [namespace, digestBytes(digest), name, role, environment, expiresAtMs],
      });
    },
    // Who asks is not known before the token is: this look-up is the log role's. Equality on a SHA-256 in an index
    // tells an attacker nothing about the token, whatever its timing.
    find: async (digest) => {
      const [row] = await database.askAsLog({
        name: 'token-find',
        text: `SELECT ${columns} FROM weighbridge.token WHERE token_digest = $1 AND revoked_at_ms IS NULL
          AND (expires_at_ms IS NULL OR expires_at_ms > weighbridge.now_ms())`,
        values: [digestBytes(digest)],
      });
      return row === undefined ? undefined : parseToken(row);
    },
    list: async (namespace) => {
      const text = `SELECT ${columns} FROM weighbridge.token WHERE namespace = $1 ORDER BY created_at_ms, token_digest`;
      return (await database.ask(namespace, { text, values: [namespace] })).map(parseToken);
    },
    revoke: async (namespace, digest) => {
      const rows = await database.ask(namespace, {
        text: `UPDATE weighbridge.token SET revoked_at_ms = weighbridge.now_ms()
          WHERE namespace = $1 AND token_digest = $2 AND revoked_at_ms IS NULL RETURNING token_digest`,
        values: [namespace, digestBytes(digest)],
      });
      return rows.length === 1;
    },
  };
}

function parseToken(row: Row): Token {
  return {
    namespace: textOf(row, 'namespace'),
    digest: digestColumn(row, 'token_digest'),
    name: textOf(row, 'name'),
    role: textOf(row, 'role'),
    environment: row['environment'] === null ? null : wordOf(row, 'environment', environments),
    createdAtMs: wholeOf(row, 'created_at_ms'),
    expiresAtMs: wholeOrNull(row, 'expires_at_ms'),
    revokedAtMs: wholeOrNull(row, 'revoked_at_ms'),
  };
}
