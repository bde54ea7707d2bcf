import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { parseAllowedHost } from '#lib/egress.ts';
import type { AllowedHost } from '#lib/egress.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { nearest } from '#lib/nearest.ts';

/** Where a listener listens. Port 0 lets the system choose. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug';

/** One configuration key: the same name as a flag (`--console-listen`), a line of the file and a variable. */
interface ConfigKey<T> {
  readonly summary: string;
  readonly fallback: T;
  readonly parse: (text: string) => T;
}

const key = <T>(summary: string, fallback: T, parse: (text: string) => T): ConfigKey<T> => ({
  summary,
  fallback,
  parse,
});

/** A default as somebody would type it; undefined where there is none to type. */
export function showFallback(fallback: unknown): string | undefined {
  if (fallback === undefined || Array.isArray(fallback)) return undefined;
  if (fallback instanceof URL) return fallback.href;
  if (typeof fallback === 'string' || typeof fallback === 'number') return String(fallback);
  if (typeof fallback === 'boolean') return fallback ? 'on' : 'off';
  if (typeof fallback !== 'object' || fallback === null) return undefined;
  return 'host' in fallback && 'port' in fallback
    ? `${String(fallback.host)}:${String(fallback.port)}`
    : undefined;
}

/** The one configuration schema. Key names are the flag names; `WEIGHBRIDGE_` and upper case make the variable. */
export const configKeys = {
  data: key('directory that belongs to the server: keys, blobs, log, database', './data', (text) => text),
  blobs: key<string | undefined>(
    'directory of the blob store, shared by the replicas on one database; `<data>/blobs` where absent',
    undefined,
    (text) => text,
  ),
  listen: key('address for clients (hub protocol)', parseListen('127.0.0.1:7080'), parseListen),
  'console-listen': key(
    'address for people and automation (console, /wb/v1, metrics)',
    parseListen('127.0.0.1:7081'),
    parseListen,
  ),
  'public-url': key<URL | undefined>(
    'how clients reach the listener, where a proxy stands in front',
    undefined,
    parseHubUrl,
  ),
  'console-url': key<URL | undefined>(
    'how people reach the console; named in refusals',
    undefined,
    parseHubUrl,
  ),
  upstream: key('hub that files come from', new URL('https://huggingface.co'), parseHubUrl),
  'upstream-token': key<Redacted<string> | undefined>(
    'token for the upstream hub',
    undefined,
    (text) => new Redacted(text),
  ),
  'admin-token': key<Redacted<string> | undefined>(
    'administrator token; made and printed once where absent',
    undefined,
    parseAdminToken,
  ),
  database: key<Redacted<string> | undefined>(
    'PostgreSQL URL of the application role; embedded where absent',
    undefined,
    parseDatabaseUrl,
  ),
  'database-owner': key<Redacted<string> | undefined>(
    'PostgreSQL URL of the owner role, for migrations',
    undefined,
    parseDatabaseUrl,
  ),
  policies: key<string | undefined>(
    'directory of policy files; `<data>/policies` where absent',
    undefined,
    (text) => text,
  ),
  delivery: key<string | undefined>(
    'file of rules how files reach clients before their verdict; `<data>/delivery.yaml` where absent',
    undefined,
    (text) => text,
  ),
  environment: key(
    'environment of pulls in the default namespace',
    'development' as const,
    oneOf(['development', 'staging', 'production']),
  ),
  tier: key(
    'risk tier of repositories that have none set',
    'medium' as const,
    oneOf(['low', 'medium', 'high']),
  ),
  origin: key('name of the transparency log, first start only', 'weighbridge.local/log', parseOrigin),
  'hold-wait': key(
    'seconds a client waits for a verdict before it is told to come back',
    8,
    parseWhole(1, 60),
  ),
  'reference-ttl': key('seconds before a branch is asked for upstream again', 2, parseWhole(0, 3600)),
  'absent-ttl': key(
    'seconds before upstream is asked again for what it did not have or lied about',
    60,
    parseWhole(0, 3600),
  ),
  'upstream-concurrency': key('requests to the upstream at the same time', 16, parseWhole(2, 256)),
  'upstream-timeout': key(
    'seconds of silence of the upstream that end a request or a transfer',
    30,
    parseWhole(1, 600),
  ),
  'upstream-wait': key(
    'seconds a client waits for metadata of the upstream before it is answered without',
    8,
    parseWhole(1, 60),
  ),
  'intake-concurrency': key('files fetched at the same time', 4, parseWhole(1, 64)),
  'intake-hosts': key<readonly AllowedHost[]>(
    'hosts inside your network that intakes may fetch from, also over http',
    [],
    parseAllowedHosts,
  ),
  'intake-credentials': key<string | undefined>(
    'YAML file of credentials for sources, by host; mode 0600',
    undefined,
    (text) => text,
  ),
  'intake-limit': key('GiB that one intake may bring', 1024, parseWhole(1, 1_048_576)),
  'interim-responses': key(
    'send 100 Continue while a hub client waits; `off` behind a proxy that swallows it',
    'on' as const,
    oneOf(['on', 'off']),
  ),
  'accel-prefix': key<string | undefined>(
    'internal location of the nginx in front that serves the blob directory; it sends the files then',
    undefined,
    parsePrefix,
  ),
  'accel-from': key('addresses that this nginx asks from', ['127.0.0.1'], parseAddresses),
  sandbox: key(
    'loading models in the sandbox: when somebody asks for it, or never',
    'on-request' as const,
    oneOf(['on-request', 'off']),
  ),
  'sandbox-python': key(
    'Python with the libraries of your models, for the sandbox',
    'python3',
    (text) => text,
  ),
  'log-level': key<LogLevel | undefined>(
    'least severe log line; `warn` on a terminal, else `info`',
    undefined,
    oneOf(['fatal', 'error', 'warn', 'info', 'debug']),
  ),
} as const;

export type ConfigName = keyof typeof configKeys;
type Widen<T> = T extends ConfigKey<infer V> ? V : never;
export type Configuration = { readonly [K in ConfigName]: Widen<(typeof configKeys)[K]> };

/** `--flag value` pairs of the command line, the environment and the directory that relative paths start from. */
export interface ConfigSources {
  readonly flags: ReadonlyMap<string, string>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
}

export function environmentName(name: string): string {
  return `WEIGHBRIDGE_${name.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Flags, then variables, then the file (`--config`, `WEIGHBRIDGE_CONFIG` or `<data>/config.yaml`), then defaults. A
 * variable that is set to nothing counts as absent, because that is how container set-ups leave one out.
 * Fault `config.invalid` names the source, the key and what would be accepted; unknown names get the nearest known one.
 */
export function readConfiguration(sources: ConfigSources): Configuration {
  const { flags, directory } = sources;
  const environment = Object.fromEntries(
    Object.entries(sources.environment).filter(([, text]) => text !== ''),
  );
  refuseUnknownVariables(environment);
  const explicit = flags.get('config') ?? environment['WEIGHBRIDGE_CONFIG'];
  const data = flags.get('data') ?? environment['WEIGHBRIDGE_DATA'];
  const path = explicit ?? join(resolve(directory, data ?? configKeys.data.fallback), 'config.yaml');
  const file = readConfigFile(resolve(directory, path), explicit !== undefined);
  const entries = Object.entries(configKeys).map(([name, row]) => {
    const found = firstDefined(
      { source: `--${name}`, text: flags.get(name) },
      { source: environmentName(name), text: environment[environmentName(name)] },
      { source: `\`${name}\` in ${path}`, text: file.get(name) },
    );
    return [name, found === undefined ? row.fallback : parseKey(row.parse, found.text, found.source)];
  });
  const configuration = Object.fromEntries(entries) as Configuration;
  return {
    ...configuration,
    data: resolve(directory, configuration.data),
    blobs: configuration.blobs === undefined ? undefined : resolve(directory, configuration.blobs),
    policies: configuration.policies === undefined ? undefined : resolve(directory, configuration.policies),
    'intake-credentials':
      configuration['intake-credentials'] === undefined
        ? undefined
        : resolve(directory, configuration['intake-credentials']),
    delivery: configuration.delivery === undefined ? undefined : resolve(directory, configuration.delivery),
  };
}

function firstDefined(...candidates: readonly { source: string; text: string | undefined }[]) {
  for (const { source, text } of candidates) if (text !== undefined) return { source, text };
  return undefined;
}

function parseKey(parse: (text: string) => unknown, text: string, source: string): unknown {
  if (text === '') throw new Fault('config.invalid', `${source}: is empty`);
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new Fault(
      'config.invalid',
      `${source}: ${error.message}`,
      error.hint === undefined ? {} : { hint: error.hint },
    );
  }
}

function refuseUnknownVariables(environment: Readonly<Record<string, string | undefined>>): void {
  const known = new Set([...Object.keys(configKeys).map(environmentName), ...foreignVariables]);
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('WEIGHBRIDGE_') || known.has(name)) continue;
    throw unknownName(`variable \`${name}\``, name, [...known]);
  }
}

/** Variables that are ours but not configuration of the server: tests and the launcher use them. */
const foreignVariables = [
  'WEIGHBRIDGE_CONFIG',
  'WEIGHBRIDGE_REQUIRE_ALL',
  'WEIGHBRIDGE_NIGHTLY',
  'WEIGHBRIDGE_FAULT_AT',
  'WEIGHBRIDGE_FAULT_TRACE',
  'WEIGHBRIDGE_FUZZ_STREAMS',
  'WEIGHBRIDGE_PARENT_PID',
];

function unknownName(what: string, name: string, known: readonly string[]): Fault {
  const near = nearest(name, known);
  return new Fault('config.invalid', `unknown ${what}`, {
    hint: near === undefined ? '`weighbridge serve --help` lists all keys' : `did you mean \`${near}\`?`,
  });
}

function readConfigFile(path: string, required: boolean): ReadonlyMap<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error) && error.code === 'ENOENT' && !required) return new Map();
    throw new Fault('config.invalid', `cannot read configuration file \`${path}\``, { cause: error });
  }
  const parsed: unknown = parseYamlText(text, path);
  if (parsed === null || parsed === undefined || parsed === '') return new Map();
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new Fault('config.invalid', `\`${path}\` is not a list of keys`, {
      hint: 'write lines such as `upstream: https://hub.example`',
    });
  }
  const known = Object.keys(configKeys);
  return new Map(
    Object.entries(parsed).map(([name, value]) => {
      if (!known.includes(name)) throw unknownName(`key \`${name}\` in \`${path}\``, name, known);
      if (typeof value === 'object')
        throw new Fault('config.invalid', `\`${name}\` in \`${path}\` must be one value`);
      return [name, String(value)];
    }),
  );
}

function parseYamlText(text: string, path: string): unknown {
  try {
    // Every value as it is written: a token of digits is not a number, and `off` is not a boolean.
    return parseYaml(text, { maxAliasCount: 0, schema: 'failsafe' });
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : '';
    throw new Fault('config.invalid', `\`${path}\` is not YAML: ${reason}`, { cause: error });
  }
}

function parseListen(text: string): ListenAddress {
  const match = /^(?:(\[[0-9a-fA-F:]+\]|[^:[\]\s]+):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > 65_535) {
    throw new Fault('config.invalid', `\`${text}\` is not an address`, {
      hint: 'write `host:port`, for example `127.0.0.1:7080`',
    });
  }
  return { host: (match[1] ?? '127.0.0.1').replace(/^\[|\]$/g, ''), port };
}

function parseHubUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new Fault('config.invalid', `\`${text.replace(/\/\/[^/]*@/, '//…@')}\` is not a hub URL`, {
      hint: 'write `https://host` or `http://host:port`',
    });
  }
  if (url.username !== '' || url.password !== '') {
    throw new Fault('config.invalid', 'the hub URL carries a credential', {
      hint: 'use `upstream-token` instead',
    });
  }
  return url;
}

function parseAllowedHosts(text: string): readonly AllowedHost[] {
  return text.split(',').map((part) => {
    const host = parseAllowedHost(part.trim());
    if (host !== undefined) return host;
    throw new Fault('config.invalid', `\`${part.trim()}\` is not a host`, {
      hint: 'write `host` or `host:port`, several with commas',
    });
  });
}

function parseAdminToken(text: string): Redacted<string> {
  if (text.length < 16)
    throw new Fault('config.invalid', 'the administrator token is shorter than 16 characters');
  return new Redacted(text);
}

function parseDatabaseUrl(text: string): Redacted<string> {
  if (!/^postgres(ql)?:\/\//.test(text)) {
    throw new Fault('config.invalid', 'the database URL does not start with `postgres://`');
  }
  return new Redacted(text);
}

function parseOrigin(text: string): string {
  if (!/^[^\s+\p{Cc}]{1,200}$/u.test(text)) {
    throw new Fault('config.invalid', `\`${text}\` is not a log origin`, {
      hint: 'no spaces, no `+`, at most 200 characters',
    });
  }
  return text;
}

function parsePrefix(text: string): string {
  if (!/^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\/$/.test(text)) {
    throw new Fault('config.invalid', `\`${text}\` is not a location of nginx`, {
      hint: 'write a path that starts and ends with `/`, for example `/protected/`',
    });
  }
  return text;
}

function parseAddresses(text: string): string[] {
  const addresses = text.split(',').map((part) => part.trim());
  for (const address of addresses) {
    if (isIP(address) === 0) {
      throw new Fault('config.invalid', `\`${address}\` is not an IP address`, {
        hint: 'write addresses with commas between them, for example `127.0.0.1,10.0.0.5`',
      });
    }
  }
  return addresses;
}

function parseWhole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new Fault('config.invalid', `\`${text}\` is not a whole number from ${least} to ${most}`);
    }
    return value;
  };
}

function oneOf<const T extends string>(values: readonly T[]): (text: string) => T {
  return (text) => {
    const found = values.find((value) => value === text);
    if (found === undefined)
      throw new Fault(
        'config.invalid',
        `\`${text}\` is not one of ${values.map((v) => `\`${v}\``).join(', ')}`,
      );
    return found;
  };
}

/** Is this address reachable from this machine only? */
export function isLoopback(address: ListenAddress): boolean {
  return address.host === 'localhost' || address.host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address.host);
}
