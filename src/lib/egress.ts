import { isIP } from 'node:net';
import { Fault } from './fault.ts';
import { isPrivateAddress } from './private-address.ts';

/** A host that the operator lets intakes reach although it is inside: any port of it, or only this one. */
export interface AllowedHost {
  /** As `URL.hostname` spells it, without brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

/** Judges addresses that callers or foreign servers name. */
export interface Egress {
  /** Fault `source.forbidden` with the rule that the URL breaks. */
  admit(url: URL): void;
  /** May this URL not lead to a private address? Everything but what the operator allows. */
  publicOnly(url: URL): boolean;
}

/**
 * `host` or `host:port`, as the operator writes it; undefined for anything else. Numbers, brackets and capitals come out as
 * a URL would spell them.
 */
export function parseAllowedHost(text: string): AllowedHost | undefined {
  if (!/^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(text)) return undefined;
  const port = /:(\d+)$/.exec(text.replace(/^\[.*\]/, ''))?.[1];
  if (port !== undefined && (Number(port) > 65_535 || Number(port) === 0)) return undefined;
  const name = port === undefined ? text : text.slice(0, -port.length - 1);
  return URL.canParse(`http://${name}`)
    ? { host: hostOf(new URL(`http://${name}`)), port: port === undefined ? undefined : Number(port) }
    : undefined;
}

/**
 * The rules for addresses that are not ours to choose (OWASP "Server-Side Request Forgery"): https only, no user name or
 * password, the usual port or one above 1023, and nothing private, however it is spelled. Names are resolved by the HTTP
 * client, which connects to the very addresses that it judged. A host that the operator allows is exempt from these, over
 * http as well.
 */
export function openEgress(allowed: readonly AllowedHost[]): Egress {
  const isAllowed = (url: URL): boolean =>
    allowed.some(({ host, port }) => host === hostOf(url) && (port === undefined || port === portOf(url)));
  return {
    admit: (url) => {
      if (url.protocol !== 'https:' && url.protocol !== 'http:') {
        throw forbidden(url, `\`${url.protocol}\` is not a scheme that is fetched from`);
      }
      if (url.username !== '' || url.password !== '') throw forbidden(url, 'the URL carries a credential');
      if (url.hostname === '') throw forbidden(url, 'the URL names no host');
      if (isAllowed(url)) return;
      if (url.protocol === 'http:') throw forbidden(url, 'plain http is not fetched from');
      const port = portOf(url);
      if (port !== 443 && port < 1024) throw forbidden(url, `port ${port} is not one that files come from`);
      const host = hostOf(url);
      if (isIP(host) !== 0 && isPrivateAddress(host)) throw forbidden(url, 'it is a private address');
      if (host === 'localhost' || host.endsWith('.localhost')) throw forbidden(url, 'it is this machine');
    },
    publicOnly: (url) => !isAllowed(url),
  };
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}

function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

function forbidden(url: URL, why: string): Fault {
  return new Fault('source.forbidden', `\`${url.protocol}//${url.host}\` may not be fetched from: ${why}`, {
    hint: 'the operator can name hosts with `intake-hosts`',
  });
}
