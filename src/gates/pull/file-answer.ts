import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { parseRange } from '#lib/http-range.ts';
import { sendBody } from './body.ts';
import { hold } from './hold.ts';
import type { Arrival, ListedFile, Listing, Principal, PullEvent, Ruling } from './ports.ts';
import { firstRule, headerText, sendError, sendFault, sendRefusal } from './refusal.ts';
import type { PullPorts } from './settings.ts';

/** One request about one file of one commit, by one caller. */
export interface FileRequest {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly principal: Principal;
  readonly listing: Listing;
  readonly file: ListedFile;
}

/**
 * HEAD and GET of a file: intake, decision, then bytes. Nothing of the file, not even its headers, is answered before
 * the decision.
 */
export async function answerFile(ports: PullPorts, asked: FileRequest): Promise<FastifyReply> {
  const { request, reply, principal, listing, file } = asked;
  const arrival = await hold(ports, { request, reply }, listing, [file.path]);
  if (arrival.kind === 'pending') return answerPending(ports, asked, arrival);
  if (arrival.kind === 'failed') {
    note(ports, asked, { outcome: 'failed', reason: arrival.fault.code });
    return sendFault(reply, arrival.fault);
  }
  const digest = arrival.digests.get(file.path);
  if (digest === undefined) throw new Fault('internal.unexpected', 'the intake is ready without the file');
  const ruling = await ports.decisions.ask({
    principal: principal.class,
    action: 'pull',
    artifact: arrival.artifact,
    files: [file.path],
    namespace: listing.namespace,
    environment: principal.environment,
  });
  if (ruling.decision.verdict === 'deny') return answerRefusal(ports, asked, ruling);
  if (ruling.decision.verdict === 'warn') reply.header('x-hf-warning', warning(ruling));
  return answerBytes(ports, asked, { artifact: arrival.artifact, digest });
}

function answerPending(
  ports: PullPorts,
  asked: FileRequest,
  arrival: Arrival & { readonly kind: 'pending' },
): FastifyReply {
  const waitedSeconds = Math.max(0, Math.round((ports.clock.now() - arrival.since) / 1000));
  note(ports, asked, { outcome: 'held', reason: 'pending' });
  const seconds = Math.max(1, Math.min(3600, Math.ceil(arrival.retryAfterSeconds)));
  asked.reply.header('retry-after', String(seconds));
  return sendError(asked.reply, {
    status: 503,
    code: 'IntakePending',
    message: `weighbridge is still weighing \`${asked.file.path}\` (${waitedSeconds} s so far); ask again in ${seconds} s`,
  });
}

/** The refusal of one file, or of a whole commit where `path` is undefined. */
export function answerRefusal(
  ports: PullPorts,
  asked: Omit<FileRequest, 'file'> & { readonly file: ListedFile | undefined },
  ruling: Ruling,
): FastifyReply {
  const { reply, listing, file } = asked;
  if (file !== undefined) {
    const reason = firstRule(ruling.decision);
    note(
      ports,
      { ...asked, file },
      { outcome: 'refused', reason, artifact: ruling.decision.question.artifact },
    );
  }
  return sendRefusal(reply, ruling, {
    repository: listing.repository.id,
    commit: listing.commit,
    path: file?.path,
    explainUrl: ports.settings.explainUrl(ruling.decision),
  });
}

function warning({ decision }: Ruling): string {
  const words = decision.reasons
    .filter(({ effect }) => effect === 'warn')
    .map(({ rule, message }) => `[${rule}] ${message}`);
  return `weighbridge; ${headerText(words.join('. '))}`;
}

interface Passed {
  readonly artifact: Digest;
  readonly digest: Digest;
}

async function answerBytes(ports: PullPorts, asked: FileRequest, passed: Passed): Promise<FastifyReply> {
  const { request, reply, listing, file } = asked;
  const etag = `"${file.lfsDigest === undefined ? file.gitOid : file.lfsDigest.slice('sha256:'.length)}"`;
  reply
    .header('x-repo-commit', listing.commit)
    .header('etag', etag)
    .header('accept-ranges', 'bytes')
    .header('cache-control', 'private, no-cache')
    .header('content-type', 'application/octet-stream')
    .header('content-disposition', disposition(file.path))
    .header('x-content-type-options', 'nosniff')
    .header('content-security-policy', "default-src 'none'; sandbox");
  if (file.lfsDigest !== undefined) {
    reply.header('x-linked-etag', etag).header('x-linked-size', String(file.sizeBytes));
  }
  if (matches(request.headers['if-none-match'], etag))
    return reply.code(304).removeHeader('content-type').send();
  if (request.method === 'HEAD') {
    note(ports, asked, { outcome: 'served', artifact: passed.artifact });
    return reply.code(200).header('content-length', String(file.sizeBytes)).send();
  }
  const ifRange = request.headers['if-range'];
  const header = ifRange === undefined || ifRange === etag ? request.headers.range : undefined;
  const range = parseRange(header, file.sizeBytes);
  if (range.kind === 'unsatisfiable') {
    reply.header('content-range', `bytes */${file.sizeBytes}`);
    return sendError(reply, {
      status: 416,
      code: 'RangeNotSatisfiable',
      message: 'the range starts after the end of the file',
    });
  }
  // An empty file has no range to answer; the JavaScript client learns its size from this header all the same.
  if (header !== undefined && file.sizeBytes === 0) reply.header('content-range', 'bytes */0');
  const part = range.kind === 'part' ? range : { start: 0, end: file.sizeBytes };
  if (range.kind === 'part') {
    reply.code(206).header('content-range', `bytes ${part.start}-${part.end - 1}/${file.sizeBytes}`);
  }
  return sendBytes(ports, asked, passed, part);
}

async function sendBytes(
  ports: PullPorts,
  asked: FileRequest,
  passed: Passed,
  part: { readonly start: number; readonly end: number },
): Promise<FastifyReply> {
  const { reply, file } = asked;
  const lengthBytes = part.end - part.start;
  reply.header('content-length', String(lengthBytes));
  const blob = await ports.blobs.open(passed.digest);
  if (blob === undefined || blob.sizeBytes !== file.sizeBytes) {
    await blob?.close();
    throw new Fault(
      blob === undefined ? 'blob.missing' : 'blob.corrupt',
      `the bytes of \`${file.path}\` are not in the store`,
    );
  }
  const { socket } = reply.raw.req;
  const sentBefore = socket.bytesWritten;
  reply.raw.once('close', () => {
    const sentBytes = reply.raw.writableFinished
      ? lengthBytes
      : Math.min(lengthBytes, Math.max(0, socket.bytesWritten - sentBefore));
    note(ports, asked, { outcome: 'served', artifact: passed.artifact, sentBytes });
  });
  return sendBody(reply, blob, part);
}

/** RFC 9110 §13.1.2: weak comparison, a list, or `*`. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((candidate) => {
    const text = candidate.trim();
    return text === '*' || text === etag || text === `W/${etag}`;
  });
}

/** RFC 6266: always a download, never shown; the name in ASCII and, where that loses something, in UTF-8. */
function disposition(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const ascii = name.replaceAll(/[^\w.\- ]/g, '_');
  if (ascii === name) return `attachment; filename="${ascii}";`;
  const encoded = encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded};`;
}

function note(
  ports: PullPorts,
  asked: FileRequest,
  what: Pick<PullEvent, 'outcome'> & {
    readonly [K in 'reason' | 'artifact' | 'sentBytes']?: PullEvent[K] | undefined;
  },
): void {
  ports.journal.note({
    outcome: what.outcome,
    principal: asked.principal,
    repository: asked.listing.repository,
    commit: asked.listing.commit,
    path: asked.file.path,
    artifact: what.artifact,
    sentBytes: what.sentBytes ?? 0,
    reason: what.reason,
  });
}
