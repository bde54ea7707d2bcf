import type { BlobDescriptor, BlobStore } from '#artifact/blob-store.ts';
import type { RepositoryName } from '#artifact/catalog.ts';
import type { BreakerSettings } from '#lib/breaker.ts';
import { systemClock, type Clock } from '#lib/clock.ts';
import { openCourtesy, type HostHealth } from '#lib/courtesy.ts';
import { Fault } from '#lib/fault.ts';
import type { HttpTimeouts } from '#lib/http-client.ts';
import { isPrivateAddress } from '#lib/private-address.ts';
import type { Redacted } from '#lib/redacted.ts';
import { fetchFile, resumedBytes } from './download.ts';
import type { BytesOptions } from './download.ts';
import { apiPath, getJson } from './request.ts';
import { openRanges, type ByteRange, type RangeOptions } from './ranges.ts';
import { parseCard, parseCommit, parsePaths, parseRefs } from './repository.ts';
import type { HubAccess, HubFile, HubRefs, HubResolution, HubSource } from './hub-values.ts';
import { fetchTree } from './tree.ts';

export interface HubOptions {
  /** Base URL, http or https. */
  readonly upstream: URL;
  /** Our own token at the upstream; goes there and nowhere else. Tokens of callers never come here. */
  readonly token?: Redacted<string> | undefined;
  readonly timeouts?: HttpTimeouts;
  /** First pause before a retry; doubles each time. A longer `Retry-After` up to 60 s wins. */
  readonly retryMs?: number;
  /** Requests at once, at least 2; 16 where absent. */
  readonly concurrency?: number;
  readonly clock?: Clock;
  /** When to stop asking a host that does not answer. */
  readonly breaker?: BreakerSettings;
}

/**
 * The read side of an upstream hub. What it says is foreign: JSON is bounded and validated, pages stay on its origin,
 * bytes are verified against SHA-256 or git id and size before the store shows them. Faults: `upstream.unavailable`
 * (may work later), `upstream.lied` (it contradicts itself or the protocol), `limit.exceeded`, `request.forbidden`
 * (it asks us for credentials).
 */
export interface Hub {
  resolve(repository: RepositoryName, revision: string, signal: AbortSignal): Promise<HubResolution>;
  /** Every file of the commit, code-point order of path. Undefined entries never occur; directories are left out. */
  tree(repository: RepositoryName, commit: string, signal: AbortSignal): Promise<readonly HubFile[]>;
  refs(repository: RepositoryName, signal: AbortSignal): Promise<HubRefs | undefined>;
  /** The file's bytes into the store, always read from upstream, also where the store has them already. */
  fetch(source: HubSource, blobs: BlobStore, signal: AbortSignal): Promise<BlobDescriptor>;
  /** The file's bytes from an offset to the end, unverified but for their number; broken connections are continued. */
  bytes(source: HubSource, options: BytesOptions): AsyncIterable<Uint8Array>;
  /** Parts of the file, each checked against the tree's word; nothing is stored (`ranges.ts`). */
  ranges(source: HubSource, options: RangeOptions): (range: ByteRange) => Promise<Uint8Array>;
  /** The upstream first, then the hosts that it redirected to. */
  health(): readonly HostHealth[];
}

export function openHub(options: HubOptions): Hub {
  const access = accessOf(options);
  return {
    resolve: async (repository, revision, signal) => {
      const tail = revision === 'HEAD' ? '' : `/revision/${encodeURIComponent(revision)}`;
      const answer = await getJson(access, apiPath(repository, tail), signal);
      if (answer.kind === 'absent') return answer;
      return {
        kind: 'found',
        commit: parseCommit(answer.value, revision),
        card: parseCard(answer.value),
        paths: parsePaths(answer.value),
      };
    },
    tree: (repository, commit, signal) => fetchTree(access, { repository, commit }, signal),
    refs: async (repository, signal) => {
      const answer = await getJson(access, apiPath(repository, '/refs'), signal);
      return answer.kind === 'absent' ? undefined : parseRefs(answer.value);
    },
    fetch: (source, blobs, signal) => fetchFile(access, source, { blobs, signal }),
    bytes: (source, options) => resumedBytes(access, source, options),
    ranges: (source, options) => openRanges(access, source, options),
    health: () => access.courtesy.health(),
  };
}

/**
 * Redirects go to the upstream's own origin, to https, or, where the upstream is itself on loopback, to loopback.
 * Names that are not the upstream's may not resolve to private addresses.
 */
function accessOf(options: HubOptions): HubAccess {
  const { upstream } = options;
  if (upstream.protocol !== 'http:' && upstream.protocol !== 'https:') {
    throw new Fault('config.invalid', `the upstream \`${upstream.protocol}\` is not http or https`);
  }
  const local = isLoopback(upstream);
  const atHome = (url: URL): boolean => url.hostname === upstream.hostname || (local && isLoopback(url));
  return {
    upstream,
    token: options.token,
    timeouts: options.timeouts ?? { headerMs: 30_000, idleMs: 30_000 },
    retryMs: options.retryMs ?? 500,
    courtesy: openCourtesy({
      clock: options.clock ?? systemClock,
      concurrency: options.concurrency ?? 16,
      breaker: options.breaker,
    }),
    allowRedirect: (_from, to) => {
      if (to.origin === upstream.origin) return true;
      if (to.protocol === 'https:') return true;
      return to.protocol === 'http:' && local && isLoopback(to);
    },
    publicOnly: (url) => !atHome(url),
  };
}

function isLoopback(url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return host === 'localhost' || host === '::1' || (host.startsWith('127.') && isPrivateAddress(host));
}
