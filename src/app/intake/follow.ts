import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import type { Following, Intake, Listing } from '#gates/pull/ports.ts';
import type { OpenDelivery } from '../delivery.ts';
import type { FillSource } from './fill.ts';
import type { FollowedFill, Fills } from './fills.ts';

/** Below this nothing is gained by streaming: clients write in blocks of this size (huggingface_hub `DOWNLOAD_CHUNK_SIZE`). */
const leastBytes = 10 * 1024 * 1024;

export interface FollowPorts {
  readonly fills: Fills;
  readonly linked: (namespace: string, digest: Digest) => Promise<boolean>;
  readonly delivery: Pick<OpenDelivery, 'modeOf'>;
}

interface Followed {
  readonly listing: Listing;
  readonly path: string;
  readonly wait: { readonly waitMs: number; readonly signal: AbortSignal };
}

/** `Intake.follow`: the intake of the path is wanted, its only body opened, and its first bytes are waited for. */
export async function follow(
  ports: FollowPorts,
  intake: Pick<Intake, 'want'>,
  { listing, path, wait }: Followed,
): Promise<Following | undefined> {
  const source = sourceOf(listing, path);
  if (source === undefined || source.file.sizeBytes < leastBytes) return undefined;
  const { signal } = wait;
  const known = await intake.want(listing, [path], { waitMs: 0, signal });
  if (known.kind === 'failed') throw known.fault;
  if (known.kind === 'ready') return undefined;
  if (!ports.fills.isUnderWay(source) && (await ports.linked(listing.namespace, source.file.lfsDigest)))
    return undefined;
  const fill = ports.fills.follow(source);
  if (fill === undefined) return undefined;
  const format = await formatInTime(fill, wait).catch((error: unknown) => {
    fill.close();
    throw error;
  });
  if (format === undefined) {
    fill.close();
    return undefined;
  }
  return {
    sizeBytes: source.file.sizeBytes,
    format,
    delivery: ports.delivery.modeOf(listing.repository, listing.namespace, format),
    readInto: (target, offset, reading) => fill.readInto(target, offset, reading),
    close: () => fill.close(),
  };
}

/** Only large files are followed: what lies in git itself is small and was fetched for the manifest. */
function sourceOf(listing: Listing, path: string): FillSource | undefined {
  const file = listing.files.find((listed) => listed.path === path);
  if (file === undefined) throw new Fault('resource.unknown', `the commit has no file \`${path}\``);
  if (file.lfsDigest === undefined) return undefined;
  const { namespace, repository, commit } = listing;
  return { namespace, repository, commit, file: { ...file, lfsDigest: file.lfsDigest } };
}

/** What the file is, or undefined where that is not known in time. */
function formatInTime(fill: FollowedFill, { waitMs, signal }: Followed['wait']): Promise<string | undefined> {
  const late = sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
  return Promise.race([fill.format(), late]);
}
