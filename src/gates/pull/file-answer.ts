import type { FastifyReply } from 'fastify';
import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import type { RequestedRange } from '#lib/http-range.ts';
import { sendBody } from './body.ts';
import { etagOf, matchesEtag, rangeHeaderOf, rangeOf, setFileHeaders } from './file-headers.ts';
import { answerRefusal, note, questionOf, type FileRequest } from './file-request.ts';
import { handOver, mayHandOver } from './hand-over.ts';
import { holdFor, type Wait } from './hold.ts';
import { answerPending } from './pending-answer.ts';
import type { Arrival, Ruling } from './ports.ts';
import { headerText, sendError, sendFault } from './refusal.ts';
import type { PullPorts } from './settings.ts';
import { streamedOf } from './streamed.ts';
import { answerTail, mayTail } from './tail.ts';

/**
 * HEAD and GET of a file: intake, decision, then bytes. Nothing of the file, not even its headers, is answered before
 * the decision, except where the file is delivered by `tail`.
 */
export async function answerFile(ports: PullPorts, asked: FileRequest, wait: Wait): Promise<FastifyReply> {
  const { reply, listing, file } = asked;
  if (mayTail(asked) && (await answerTail(ports, asked, wait))) return reply;
  const arrival = await holdFor(ports, wait, listing, [file.path]);
  wait.end();
  if (arrival.kind === 'pending') return answerPending(ports, asked, { arrival, caller: wait.caller });
  if (arrival.kind === 'ready') return answerReady(ports, asked, arrival);
  note(ports, asked, { outcome: 'failed', reason: arrival.fault.code });
  return sendFault(reply, arrival.fault);
}

async function answerReady(
  ports: PullPorts,
  asked: FileRequest,
  arrival: Arrival & { readonly kind: 'ready' },
): Promise<FastifyReply> {
  const digest = arrival.digests.get(asked.file.path);
  if (digest === undefined) throw new Fault('internal.unexpected', 'the intake is ready without the file');
  const ruling = await ports.decisions.ask(questionOf(asked, arrival.artifact));
  if (ruling.decision.verdict === 'deny') return answerRefusal(ports, asked, ruling);
  if (ruling.decision.verdict === 'warn') asked.reply.header('x-hf-warning', warning(ruling));
  return answerBytes(ports, asked, { artifact: arrival.artifact, digest });
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
  setFileHeaders(reply, listing, file);
  if (matchesEtag(request.headers['if-none-match'], etagOf(file)))
    return reply.code(304).removeHeader('content-type').send();
  if (request.method === 'HEAD') {
    note(ports, asked, { outcome: 'served', artifact: passed.artifact });
    return reply.code(200).header('content-length', String(file.sizeBytes)).send();
  }
  const range = await rangeToAnswer(ports, asked);
  if (range.kind === 'unsatisfiable') {
    reply.header('content-range', `bytes */${file.sizeBytes}`);
    return sendError(reply, {
      status: 416,
      code: 'RangeNotSatisfiable',
      message: 'the range starts after the end of the file',
    });
  }
  // An empty file has no range to answer; the JavaScript client learns its size from this header all the same.
  if (file.sizeBytes === 0 && rangeHeaderOf(request, file) !== undefined)
    reply.header('content-range', 'bytes */0');
  const part = range.kind === 'part' ? range : { start: 0, end: file.sizeBytes };
  if (range.kind === 'part') {
    reply.code(206).header('content-range', `bytes ${part.start}-${part.end - 1}/${file.sizeBytes}`);
  }
  return sendBytes(ports, asked, passed, part);
}

/** A client may hold bytes of another transfer: the rest alone would be joined to them. */
async function rangeToAnswer(ports: PullPorts, asked: FileRequest): Promise<RequestedRange> {
  const range = rangeOf(asked.request, asked.file);
  const resumes = range.kind === 'part' && range.start > 0 && range.end === asked.file.sizeBytes;
  return resumes && (await streamedOf(ports).isMixed(asked)) ? { kind: 'whole' } : range;
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
  const { front } = ports.settings;
  if (mayHandOver(front, asked.request, reply.statusCode === 206)) {
    await blob.close();
    note(ports, asked, { outcome: 'served', artifact: passed.artifact, sentBytes: lengthBytes });
    return handOver(reply, front.uriOf(passed.digest));
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
