import { setTimeout as sleep } from 'node:timers/promises';
import type { PartialKey } from '#artifact/partial-store.ts';
import { toFault } from '#lib/fault.ts';
import type { FileRequest } from './file-request.ts';
import type { Arrival, Following, Intake } from './ports.ts';
import type { PullPorts } from './settings.ts';

const keptFiles = 1_000;
/** After a Fault that may pass. */
const againMs = 1_000;
/** How long after an expired hold the next ones are told so at once. */
const expiredForMs = 60_000;

export type Settled = Exclude<Arrival, { readonly kind: 'pending' }>;

interface Watched {
  readonly following: Following;
  readonly settled: Promise<Settled | undefined>;
}

/** A following with more than one holder; it is closed when all of them have closed theirs. */
export interface SharedFollowing extends Following {
  /** One more holder. */
  share(): Following;
}

export function shared(following: Following): SharedFollowing {
  let holders = 0;
  const hold = (): Following => {
    holders += 1;
    let open = true;
    return {
      sizeBytes: following.sizeBytes,
      format: following.format,
      delivery: following.delivery,
      readInto: (target, offset, signal) => following.readInto(target, offset, signal),
      close: () => {
        if (!open) return;
        open = false;
        holders -= 1;
        if (holders === 0) following.close();
      },
    };
  };
  return { ...hold(), share: hold };
}

/**
 * The files of which bytes left before they were verified. A client that has a part of one asks for the rest only; that
 * is right as long as the part and the rest are of the same transfer, and no client checks. What this process does not
 * watch, because it was streamed before its start or by another replica, is known by the marks beside the partials.
 */
export interface Streamed {
  /** Remembers, durably, that bytes of this file are about to leave. None may before this resolves. */
  mark(asked: FileRequest): Promise<void>;
  /** Bytes of this file are about to leave: from now on until its arrival settles, its transfer is watched. Undefined after `close`. */
  watch(asked: FileRequest, following: SharedFollowing): Promise<Settled | undefined>;
  /** May a client hold bytes of this file that were thrown away, so that only the whole file may be answered? */
  isMixed(asked: FileRequest): Promise<boolean>;
  /** A caller was held as long as it may be. */
  expire(asked: FileRequest): void;
  hasExpired(asked: FileRequest): boolean;
  /** Ends every watch. */
  close(): void;
}

const known = new WeakMap<Intake, Streamed>();

/** One per intake, for as long as that lives. */
export function streamedOf(ports: PullPorts): Streamed {
  const found = known.get(ports.intake);
  if (found !== undefined) return found;
  const made = openStreamed(ports);
  known.set(ports.intake, made);
  return made;
}

function openStreamed(ports: PullPorts): Streamed {
  const closing = new AbortController();
  const watched = new Map<string, Watched>();
  const marking = new Map<string, Promise<void>>();
  const expired = new Map<string, number>();
  const wait = { waitMs: ports.settings.longHoldMs, signal: closing.signal };

  /** One wait for all who stream the file. A database or a ledger that is away for a moment does not end it. */
  const settle = async ({ listing, file }: FileRequest): Promise<Settled | undefined> => {
    while (!closing.signal.aborted) {
      try {
        const arrival = await ports.intake.want(listing, [file.path], wait);
        if (arrival.kind !== 'pending') return arrival;
      } catch (error) {
        const fault = toFault(error);
        if (!fault.row.retryable) return { kind: 'failed', fault };
        await sleep(againMs, undefined, { signal: closing.signal, ref: false }).catch(() => undefined);
      }
    }
    return undefined;
  };
  const watchOne = async (asked: FileRequest, following: Following): Promise<Settled | undefined> => {
    const name = nameOf(asked);
    const arrival = await settle(asked);
    // The mark is forgotten with bytes that became the blob, and with no others: what failed may come as other bytes.
    watched.delete(name);
    following.close();
    return arrival;
  };
  return {
    mark: async (asked) => {
      const [name, key] = [nameOf(asked), keyOf(asked)];
      // Whoever streams it now has marked it, and a mark stays. A thousand who begin at once are one write.
      if (key === undefined || watched.has(name)) return;
      const marked = marking.get(name) ?? ports.partials.mark(key).finally(() => marking.delete(name));
      marking.set(name, marked);
      await marked;
    },
    watch: (asked, following) => {
      const name = nameOf(asked);
      const known = watched.get(name);
      if (known !== undefined) return known.settled;
      const kept = following.share();
      const settled = watchOne(asked, kept);
      watched.set(name, { following: kept, settled });
      return settled;
    },
    isMixed: async (asked) => {
      const found = watched.get(nameOf(asked));
      if (found !== undefined && !(await isIntact(found.following, closing.signal))) return true;
      const key = keyOf(asked);
      return key !== undefined && ports.partials.isMixed(key);
    },
    expire: (asked) => keep(expired, nameOf(asked), performance.now()),
    hasExpired: (asked) => {
      const atMs = expired.get(nameOf(asked));
      return atMs !== undefined && performance.now() - atMs < expiredForMs;
    },
    close: () => closing.abort(),
  };
}

/** Clients keep parts under the digest, whatever commit and path they came by. Small files are never streamed. */
function keyOf({ listing, file }: FileRequest): PartialKey | undefined {
  const { lfsDigest, sizeBytes } = file;
  return lfsDigest === undefined ? undefined : { namespace: listing.namespace, digest: lfsDigest, sizeBytes };
}

/** The first byte of the file was read by everybody who read anything, so it is here unless it was thrown away. */
async function isIntact(following: Following, signal: AbortSignal): Promise<boolean> {
  try {
    return (await following.readInto(new Uint8Array(1), 0, signal)) === 1;
  } catch {
    return false;
  }
}

function nameOf({ listing, file }: FileRequest): string {
  const { namespace, repository, commit } = listing;
  return `${namespace} ${repository.type}/${repository.id}@${commit} ${file.path}`;
}

function keep<T>(map: Map<string, T>, name: string, value: T): void {
  map.delete(name);
  if (map.size >= keptFiles) map.delete(map.keys().next().value ?? '');
  map.set(name, value);
}
