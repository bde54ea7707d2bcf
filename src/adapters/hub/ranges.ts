import { Fault } from '#lib/fault.ts';
import { readBounded, type HttpResponse } from '#lib/http-client.ts';
import type { HubAccess, HubSource } from './hub-values.ts';
import { expectStatus, get, patiently, upstreamUrl } from './request.ts';

/** Bytes `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface RangeOptions {
  readonly signal: AbortSignal;
  /** Told of every HTTP request, redirects included. */
  readonly requested?: () => void;
}

/**
 * Parts of one file of a commit. Each answer must be the part that was asked for of a file as large as the tree says
 * (206, `Content-Range`, length), from the same commit and with the same `ETag` as the parts before; anything else is
 * Fault `upstream.lied`. The place that the hub redirects to is asked directly as long as it answers.
 */
export function openRanges(
  access: HubAccess,
  source: HubSource,
  { signal, requested }: RangeOptions,
): (range: ByteRange) => Promise<Uint8Array> {
  const counting: HubAccess = {
    ...access,
    allowRedirect: (from, to) => {
      requested?.();
      return access.allowRedirect(from, to);
    },
  };
  const etags = new Map<string, string>();
  let located: URL | undefined;

  const ask = (url: URL, { start, end }: ByteRange): Promise<HttpResponse> => {
    requested?.();
    return get(counting, url, { signal, headers: { range: `bytes=${start}-${end - 1}` } });
  };
  const open = async (range: ByteRange): Promise<HttpResponse> => {
    const direct = located;
    if (direct !== undefined) {
      const answer = await ask(direct, range);
      if (answer.status < 400 || answer.status === 416 || answer.status >= 500) return answer;
      // A signed address ends at some time; the hub gives a new one.
      answer.discard();
      located = undefined;
    }
    return ask(resolveUrl(access, source), range);
  };
  return (range) =>
    patiently(access, signal, async () => {
      const answer = await open(range);
      const wholeFile = range.start === 0 && range.end === source.file.sizeBytes;
      if (answer.status === 200 && !wholeFile) throw refuse(answer, source, 'is not given in parts');
      if (answer.status === 416 || answer.status === 404)
        throw refuse(answer, source, 'is listed and not there');
      await expectStatus(answer, wholeFile ? [200, 206] : [206]);
      const contradiction = contradictionIn(answer, source, range) ?? changedEtag(etags, answer);
      if (contradiction !== undefined) throw refuse(answer, source, contradiction);
      located = answer.url;
      return readExactly(answer, source, range);
    });
}

function resolveUrl(access: HubAccess, { repository, commit, file }: HubSource): URL {
  const prefix = repository.type === 'models' ? '' : `${repository.type}/`;
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  return upstreamUrl(access, `/${prefix}${repository.id}/resolve/${commit}/${path}`);
}

async function readExactly(
  answer: HttpResponse,
  source: HubSource,
  { start, end }: ByteRange,
): Promise<Uint8Array> {
  try {
    const bytes = await readBounded(answer, end - start);
    if (bytes.length === end - start) return bytes;
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'limit.exceeded') throw error;
  }
  throw refuse(answer, source, `does not give the ${end - start} bytes that were asked for`);
}

/** What the header of an answer says that cannot be true of this part of the file that was listed. */
function contradictionIn(
  answer: HttpResponse,
  { commit, file }: HubSource,
  { start, end }: ByteRange,
): string | undefined {
  const encoding = answer.header('content-encoding');
  if (encoding !== undefined && encoding !== 'identity')
    return 'comes encoded although it was asked for as it is';
  const answered = answer.header('x-repo-commit');
  if (answered !== undefined && answered !== commit) return 'comes from another commit';
  const range = answer.header('content-range');
  if (answer.status === 206 && range !== `bytes ${start}-${end - 1}/${file.sizeBytes}`)
    return 'is answered with another part, or is of another size';
  const length = answer.header('content-length');
  if (length !== undefined && Number(length) !== end - start)
    return `is announced with ${Number(length)} bytes where ${end - start} were asked for`;
  return undefined;
}

/** The same address must go on with the same file (RFC 9110 §13.1.5: parts of different validators do not fit together). */
function changedEtag(etags: Map<string, string>, answer: HttpResponse): string | undefined {
  const etag = answer.header('etag');
  if (etag === undefined) return undefined;
  const place = `${answer.url.origin}${answer.url.pathname}`;
  const before = etags.get(place);
  etags.set(place, etag);
  return before === undefined || before === etag ? undefined : 'changes while it is read';
}

function refuse(answer: HttpResponse, { repository, commit, file }: HubSource, what: string): Fault {
  answer.discard();
  return new Fault('upstream.lied', `\`${file.path}\` of \`${repository.id}\` ${what}`, {
    details: { repository: repository.id, commit, path: file.path },
  });
}
