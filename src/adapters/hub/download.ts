import { createHash } from 'node:crypto';
import type { BlobDescriptor, BlobStore } from '#artifact/blob-store.ts';
import type { IncidentKind } from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';
import type { HttpResponse } from '#lib/http-client.ts';
import type { HubAccess, HubSource } from './hub-values.ts';
import { lieAboutFile } from './lie.ts';
import { expectStatus, get, mayRetry, pauseBefore, upstreamUrl } from './request.ts';

/** Reconnects without a byte of progress between them before a download is given up. */
const attempts = 4;
/** Slower than this over a whole window is a stall: a body that trickles would hold an intake for ever. */
const slowest = { bytes: 64 * 1024, windowMs: 60_000 };

interface Sink {
  readonly blobs: BlobStore;
  readonly signal: AbortSignal;
}

/**
 * One file into the store. Verified in the same pass: size while reading, git blob id (SHA-1 over `blob <size>\0` and
 * the bytes) for a file in git, SHA-256 by the store for an LFS file. Anything that disagrees is Fault `upstream.lied`
 * and the store shows nothing. A broken connection is continued with `Range` where it broke.
 */
export async function fetchFile(access: HubAccess, source: HubSource, sink: Sink): Promise<BlobDescriptor> {
  const { file } = source;
  const progress = { complete: false };
  try {
    const expected = file.lfsDigest === undefined ? {} : { digest: file.lfsDigest };
    const bytes = verifiedBytes(access, source, { signal: sink.signal, progress });
    const stored = await sink.blobs.put(bytes, { ...expected, sizeBytes: file.sizeBytes });
    // A store that knows the digest need not read; what upstream sends is verified all the same.
    if (!progress.complete) await rereadBytes(access, source, sink.signal);
    return stored;
  } catch (error) {
    if (error instanceof Fault && error.code === 'blob.mismatch')
      throw lieAboutFile('wrong-digest', source, 'has other bytes than it declares', error);
    throw error;
  }
}

async function rereadBytes(access: HubAccess, source: HubSource, signal: AbortSignal): Promise<void> {
  const hash = createHash('sha256');
  const progress = { complete: false };
  for await (const chunk of verifiedBytes(access, source, { signal, progress })) hash.update(chunk);
  const { lfsDigest } = source.file;
  if (lfsDigest !== undefined && `sha256:${hash.digest('hex')}` !== lfsDigest) {
    throw lieAboutFile('wrong-digest', source, 'has other bytes than it declares');
  }
}

interface Reading {
  readonly signal: AbortSignal;
  readonly progress: { complete: boolean };
}

async function* verifiedBytes(
  access: HubAccess,
  source: HubSource,
  reading: Reading,
): AsyncGenerator<Uint8Array> {
  const { file } = source;
  const gitHash =
    file.lfsDigest === undefined ? createHash('sha1').update(`blob ${file.sizeBytes}\0`) : undefined;
  for await (const chunk of resumedBytes(access, source, { offset: 0, signal: reading.signal })) {
    gitHash?.update(chunk);
    yield chunk;
  }
  if (gitHash !== undefined && gitHash.digest('hex') !== file.gitOid)
    throw lieAboutFile('wrong-digest', source, 'has another git id than it declares');
  reading.progress.complete = true;
}

/** From where bytes are read, and who is told whether upstream can be asked for a part. */
export interface BytesOptions {
  readonly offset: number;
  readonly signal: AbortSignal;
  /** Each answer says whether a request for a part would be honoured. */
  readonly answered?: (ranges: boolean) => void;
}

/**
 * The bytes from `offset` to the end, once each and in order, over as many connections as it takes. Nothing but the number
 * of bytes and what the headers claim is checked here: whoever has all of them holds them against the declared digest.
 */
export async function* resumedBytes(
  access: HubAccess,
  source: HubSource,
  options: BytesOptions,
): AsyncGenerator<Uint8Array> {
  const { signal } = options;
  const total = source.file.sizeBytes;
  let received = options.offset;
  for (let tried = 1; ; tried += 1) {
    const before = received;
    try {
      const answer = await openBody(access, source, { offset: received, signal });
      const pace = paceOf();
      try {
        options.answered?.(answer.status === 206 || answer.header('accept-ranges') === 'bytes');
        // A server that does not know ranges sends the file from its beginning (RFC 9110 §14.2): that is no lie.
        let skip = answer.status === 206 ? 0 : received;
        for await (const chunk of answer.body) {
          pace(chunk.length);
          const skipped = Math.min(skip, chunk.length);
          skip -= skipped;
          if (skipped === chunk.length) continue;
          const rest = chunk.subarray(skipped);
          received += rest.length;
          if (received > total) throw lieAboutFile('long', source, `has more than ${total} bytes`);
          yield rest;
        }
        if (received !== total)
          throw lieAboutFile('short', source, `has ${received} bytes instead of ${total}`);
        return;
      } finally {
        answer.discard();
      }
    } catch (error) {
      if (received > before) tried = 1;
      if (!mayRetry(error, signal) || tried >= attempts) throw error;
      await pauseBefore(access, { tried, error, signal });
    }
  }
}

interface Position {
  readonly offset: number;
  readonly signal: AbortSignal;
}

async function openBody(
  access: HubAccess,
  source: HubSource,
  { offset, signal }: Position,
): Promise<HttpResponse> {
  const { repository, commit, file } = source;
  const prefix = repository.type === 'models' ? '' : `${repository.type}/`;
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  const url = upstreamUrl(access, `/${prefix}${repository.id}/resolve/${commit}/${path}`);
  const headers: Record<string, string> = offset === 0 ? {} : { range: `bytes=${offset}-` };
  const answer = await get(access, url, { signal, headers });
  if (answer.status === 404) {
    answer.discard();
    throw lieAboutFile('omitted', source, 'is listed and not there');
  }
  await expectStatus(answer, offset === 0 ? [200] : [206, 200]);
  const contradiction = contradictionIn(answer, source, answer.status === 206 ? offset : 0);
  if (contradiction === undefined) return answer;
  answer.discard();
  throw lieAboutFile(contradiction.kind, source, contradiction.words);
}

/** What the header of an answer says that cannot be true of the file that was listed. */
function contradictionIn(
  answer: HttpResponse,
  { commit, file }: HubSource,
  offset: number,
): { readonly kind: IncidentKind; readonly words: string } | undefined {
  const encoding = answer.header('content-encoding');
  if (encoding !== undefined && encoding !== 'identity')
    return { kind: 'encoded', words: 'comes encoded although it was asked for as it is' };
  const length = answer.header('content-length');
  if (length !== undefined && Number(length) !== file.sizeBytes - offset) {
    const words = `is announced with ${Number(length)} bytes instead of ${file.sizeBytes - offset}`;
    return { kind: 'wrong-size', words };
  }
  const answered = answer.header('x-repo-commit');
  if (answered !== undefined && answered !== commit)
    return { kind: 'changed-commit', words: 'comes from another commit' };
  const range = answer.header('content-range');
  if (offset > 0 && range !== `bytes ${offset}-${file.sizeBytes - 1}/${file.sizeBytes}`)
    return { kind: 'wrong-range', words: 'continues at another place' };
  return undefined;
}

/** Told of every chunk; throws when a whole window brought less than the slowest bearable amount. */
function paceOf(): (bytes: number) => void {
  let [windowStart, windowBytes] = [performance.now(), 0];
  return (bytes) => {
    windowBytes += bytes;
    const now = performance.now();
    if (now - windowStart < slowest.windowMs) return;
    if (windowBytes < slowest.bytes)
      throw new Fault('upstream.unavailable', 'upstream sends too slowly', { details: { kind: 'stall' } });
    [windowStart, windowBytes] = [now, 0];
  };
}
