import type { ClientConfig } from 'pg';
import { Fault } from '#lib/fault.ts';
import type { Redacted } from '#lib/redacted.ts';

/**
 * Where a role connects. `application` is `weighbridge_app`: neither owner nor superuser. `owner` runs migrations and
 * may be absent where somebody else has run them.
 */
export interface Endpoints {
  readonly application: ClientConfig;
  readonly owner: ClientConfig | undefined;
}

/** An organisation's own PostgreSQL (≥ 15), from `postgres://` URLs. Fault `config.invalid` for anything else. */
export function externalEndpoints(urls: {
  readonly application: Redacted<string>;
  readonly owner?: Redacted<string> | undefined;
}): Endpoints {
  return {
    application: parseDatabaseUrl(urls.application),
    owner: urls.owner === undefined ? undefined : parseDatabaseUrl(urls.owner),
  };
}

function parseDatabaseUrl(url: Redacted<string>): ClientConfig {
  if (!/^postgres(ql)?:\/\//.test(url.reveal())) {
    throw new Fault('config.invalid', 'the database URL does not start with `postgres://`', {
      hint: 'write `postgres://role:password@host:5432/database`',
    });
  }
  return { connectionString: url.reveal() };
}
