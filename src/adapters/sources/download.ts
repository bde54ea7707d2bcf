import { setTimeout as pause } from 'node:timers/promises';
import { Fault } from '#lib/fault.ts';
import type { HttpResponse } from '#lib/http-client.ts';
import { ask, refusedAnswer } from './site.ts';
import type { Site } from './site.ts';

/** Connections without progress worth the name between them before a download is given up. */
const attempts = 4;
const firstPauseMs = 500;
/** Slower than this over a whole window is a stall: a body that trickles would hold one of the few intakes for hours. */
const usualPace = { bytes: 64 * 1024, windowMs: 60_000 } as const;

export interface Download {
  readonly url: URL;
  readonly signal: AbortSignal;
  /** Headers for a request from this offset; made anew for each, because signatures cover them and grow old. */
  readonly headers: (range: string | undefined) => Readonly<Record<string, string>>;
  /** What is known beforehand; an answer that announces another length is Fault `upstream.lied`. */
  readonly sizeBytes?: number | undefined;
  /** Told of the first answer. */
  readonly opened?: (answer: HttpResponse) => void;
}

/**
 * The bytes of one URL, once each and in order. A connection that breaks is continued with `Range` and `If-Range` where the
 * source has named a strong entity tag, else begun again only while nothing was given out.
 */
export async function* download(site: Site, wanted: Download): AsyncGenerator<Uint8Array> {
  const slowest = site.slowest ?? usualPace;
  let received = 0;
  let etag: string | undefined;
  for (let tried = 1; ; tried += 1) {
    const before = received;
    let answer: HttpResponse | undefined;
    try {
      answer = await openAt(site, wanted, { offset: received, etag });
      if (received === 0) {
        etag = strongTag(answer.header('etag'));
        wanted.opened?.(answer);
      }
      const announced = lengthOf(answer);
      const end = announced === undefined ? undefined : received + announced;
      const pace = paceOf(slowest);
      for await (const chunk of answer.body) {
        pace(chunk.length);
        received += chunk.length;
        yield chunk;
      }
      if (end !== undefined && received !== end)
        throw new Fault('upstream.unavailable', `\`${wanted.url.host}\` ended too early`);
      return;
    } catch (error) {
      if (received - before >= slowest.bytes) tried = 1;
      const passing = error instanceof Fault && error.row.retryable;
      const possible = received === 0 || etag !== undefined;
      if (!passing || !possible || tried >= attempts || wanted.signal.aborted) throw error;
      await pause(firstPauseMs * 2 ** (tried - 1), undefined, { signal: wanted.signal });
    } finally {
      answer?.discard();
    }
  }
}

/** Told of every chunk; throws when a whole window brought less than it must. */
function paceOf({ bytes, windowMs }: NonNullable<Site['slowest']>): (bytes: number) => void {
  let [startMs, came] = [performance.now(), 0];
  return (more) => {
    came += more;
    const nowMs = performance.now();
    if (nowMs - startMs < windowMs) return;
    if (came < bytes) throw new Fault('upstream.unavailable', 'the source sends too slowly');
    [startMs, came] = [nowMs, 0];
  };
}

interface Position {
  readonly offset: number;
  readonly etag: string | undefined;
}

async function openAt(site: Site, wanted: Download, { offset, etag }: Position): Promise<HttpResponse> {
  const { url, signal } = wanted;
  const range = offset === 0 ? undefined : `bytes=${offset}-`;
  const more = range === undefined || etag === undefined ? {} : { range, 'if-range': etag };
  const answer = await ask(site, { url, signal, headers: { ...wanted.headers(range), ...more } });
  const lie = (what: string): Fault => {
    answer.discard();
    return new Fault('upstream.lied', `a file of \`${url.host}\` ${what}`);
  };
  if (answer.status !== (offset === 0 ? 200 : 206)) {
    answer.discard();
    // 200 to a conditional range: the file is another one by now.
    throw answer.status === 200 ? lie('changed while it was fetched') : refusedAnswer(answer.status, url);
  }
  const encoding = answer.header('content-encoding');
  if (encoding !== undefined && encoding !== 'identity')
    throw lie('comes encoded although it was asked for as it is');
  if (offset > 0 && answer.header('content-range')?.startsWith(`bytes ${offset}-`) !== true)
    throw lie('continues at another place');
  const announced = lengthOf(answer);
  if (wanted.sizeBytes !== undefined && announced !== undefined && announced !== wanted.sizeBytes - offset)
    throw lie(`is announced with ${announced + offset} bytes instead of ${wanted.sizeBytes}`);
  return answer;
}

function lengthOf(answer: HttpResponse): number | undefined {
  const length = answer.header('content-length');
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

function strongTag(etag: string | undefined): string | undefined {
  return etag !== undefined && /^"[^"]*"$/.test(etag) ? etag : undefined;
}
