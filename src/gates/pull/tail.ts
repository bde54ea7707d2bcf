import type { Digest } from '#artifact/digest.ts';
import { toFault, type Fault } from '#lib/fault.ts';
import { headersOf } from './body.ts';
import type { Caller } from './callers.ts';
import { rangeOf, setFileHeaders } from './file-headers.ts';
import { answerRefusal, note, noteRefusal, questionOf, type FileRequest } from './file-request.ts';
import type { Wait } from './hold.ts';
import { answerPending } from './pending-answer.ts';
import type { Arrival, Following, Ruling } from './ports.ts';
import { cutRefused } from './refusal-cut.ts';
import type { PullPorts } from './settings.ts';
import { shared, streamedOf, type Settled, type SharedFollowing } from './streamed.ts';
import { openTailBody, type TailBody, type TailEnd } from './tail-body.ts';
import { heldOffset, isTailed, planTail, type Part } from './tail-plan.ts';

/** Whether this request may be answered by `tail` if the operator's delivery says so. A cached copy is judged first. */
export function mayTail({ request, file }: FileRequest): boolean {
  return isTailed(file) && request.headers['if-none-match'] === undefined;
}

/**
 * Answers a file whose arrival is pending while its bytes come in: the head at once, the body as it arrives up to the
 * held offset, the rest after the verdict. False, and nothing sent, where there is nothing to follow or this file must not
 * go to this caller like that: then it is held. (A reply cannot be what a promise resolves with: it is a thenable itself.)
 */
export async function answerTail(ports: PullPorts, asked: FileRequest, wait: Wait): Promise<boolean> {
  const { reply, principal, listing, file } = asked;
  const arrival = await look(ports, asked, wait);
  if (arrival === undefined) return false;
  if (streamedOf(ports).hasExpired(asked)) {
    answerPending(ports, asked, { arrival, caller: wait.caller });
    return true;
  }
  const followed = await follow(ports, asked, wait);
  if (followed === undefined) return false;
  const following = shared(followed);
  try {
    if (!isSafe(following, asked, wait.caller)) return false;
    const range = await tailRange(ports, asked);
    // Where no byte may leave anyway, interim answers keep a caller alive longer than an open body does.
    if (range === undefined || (wait.caller.interim && range.part.start >= heldOffset(file))) return false;
    if ((await look(ports, asked, wait)) === undefined) return false;
    const standing = await ports.decisions.standing(listing, principal);
    if (standing !== undefined) {
      answerRefusal(ports, asked, standing);
      return true;
    }
    if (asked.request.method === 'GET') await streamedOf(ports).mark(asked);
    wait.end();
    setFileHeaders(reply, listing, file);
    if (asked.request.method === 'HEAD') {
      note(ports, asked, { outcome: 'held', reason: 'pending' });
      reply.code(200).header('content-length', String(file.sizeBytes)).send();
      return true;
    }
    const { part } = range;
    reply.header('content-length', String(part.end - part.start)).header('x-accel-buffering', 'no');
    if (range.partial)
      reply.code(206).header('content-range', `bytes ${part.start}-${part.end - 1}/${file.sizeBytes}`);
    await stream(ports, asked, { following, part, caller: wait.caller });
    return true;
  } finally {
    following.close();
  }
}

/** Undefined unless the arrival is pending. */
async function look(
  ports: PullPorts,
  { listing, file }: FileRequest,
  wait: Wait,
): Promise<(Arrival & { readonly kind: 'pending' }) | undefined> {
  const arrival = await ports.intake.want(listing, [file.path], { waitMs: 0, signal: wait.signal });
  return arrival.kind === 'pending' && !wait.signal.aborted ? arrival : undefined;
}

/** A transfer that fails is heard of as a failed arrival, by holding. */
async function follow(
  ports: PullPorts,
  { listing, file }: FileRequest,
  wait: Wait,
): Promise<Following | undefined> {
  try {
    return await ports.intake.follow(listing, file.path, { waitMs: wait.leftMs(), signal: wait.signal });
  } catch {
    return undefined;
  }
}

/**
 * By default only huggingface_hub gets a tail, and only directly: it is known to keep an unfinished file under a temporary
 * name, and to ask again when it is refused. The JavaScript client does not ask again, so that it would never show the
 * reason, and cannot be told from other programs by its requests.
 */
function isSafe({ delivery, sizeBytes }: Following, { file }: FileRequest, caller: Caller): boolean {
  if (delivery.mode !== 'tail' || sizeBytes !== file.sizeBytes) return false;
  return delivery.everyClient || (caller.hub !== undefined && caller.direct);
}

/** Undefined for a range that cannot be satisfied: that is said after the verdict. */
async function tailRange(
  ports: PullPorts,
  asked: FileRequest,
): Promise<{ readonly part: Part; readonly partial: boolean } | undefined> {
  const { request, file } = asked;
  const whole = { part: { start: 0, end: file.sizeBytes }, partial: false };
  if (request.method === 'HEAD') return whole;
  const range = rangeOf(request, file);
  if (range.kind === 'unsatisfiable') return undefined;
  if (range.kind === 'whole') return whole;
  if (range.start > 0 && range.end === file.sizeBytes && (await streamedOf(ports).isMixed(asked)))
    return whole;
  return { part: range, partial: true };
}

interface Stream {
  readonly following: SharedFollowing;
  readonly part: Part;
  readonly caller: Caller;
}

async function stream(
  ports: PullPorts,
  asked: FileRequest,
  { following, part, caller }: Stream,
): Promise<void> {
  const { reply, file } = asked;
  const { trickleMs, longHoldMs: capMs, lingerMs } = ports.settings;
  reply.hijack();
  const response = reply.raw;
  if (response.destroyed) return;
  response.writeHead(reply.statusCode, headersOf(reply));
  response.flushHeaders();
  const arrival = streamedOf(ports).watch(asked, following);
  const body = openTailBody(response, following, planTail(file, part), { trickleMs, capMs });
  const done = new AbortController();
  let verdict: TailVerdict | undefined;
  const weighing = weigh(ports, asked, { arrival, signal: done.signal }).then((found) => {
    verdict = found;
    if (found?.kind === 'passed') body.release();
    else body.stop();
  });
  const end = await body.run().catch((error: unknown) => toFault(error));
  if (typeof end !== 'string') reply.log.error({ err: end }, 'a body that was followed broke off');
  // The refusal of what was broken off must stand before the caller can ask again.
  if (typeof end !== 'string') await Promise.race([weighing, passedMs(capMs, done.signal)]);
  done.abort(over);
  if (end === 'expired') streamedOf(ports).expire(asked);
  noteEnd(ports, asked, { end, verdict, body });
  if (end !== 'complete' && end !== 'left') cutRefused(response.req.socket, caller, lingerMs);
}

/** Without a reason of its own every abort would record a stack. */
const over = new Error('the answer is over');

type TailVerdict =
  | { readonly kind: 'passed'; readonly artifact: Digest }
  | { readonly kind: 'refused'; readonly ruling: Ruling }
  | { readonly kind: 'failed'; readonly fault: Fault };

/** The decision about the file as soon as it can be asked for, however long it arrives; undefined after the signal. */
async function weigh(
  ports: PullPorts,
  asked: FileRequest,
  awaited: { readonly arrival: Promise<Settled | undefined>; readonly signal: AbortSignal },
): Promise<TailVerdict | undefined> {
  const arrival = await awaited.arrival;
  if (awaited.signal.aborted) return undefined;
  if (arrival?.kind !== 'ready') return arrival;
  const ruling = await ports.decisions.ask(questionOf(asked, arrival.artifact));
  if (ruling.decision.verdict === 'deny') return { kind: 'refused', ruling };
  return { kind: 'passed', artifact: arrival.artifact };
}

interface Ended {
  readonly end: TailEnd | Fault;
  readonly verdict: TailVerdict | undefined;
  readonly body: TailBody;
}

function noteEnd(ports: PullPorts, asked: FileRequest, { end, verdict, body }: Ended): void {
  const sentBytes = body.sentBytes();
  if (verdict?.kind === 'refused') return noteRefusal(ports, asked, verdict.ruling, sentBytes);
  const fault = verdict?.kind === 'failed' ? verdict.fault : typeof end === 'string' ? undefined : end;
  if (fault !== undefined) return note(ports, asked, { outcome: 'failed', reason: fault.code, sentBytes });
  if (verdict?.kind === 'passed')
    return note(ports, asked, { outcome: 'served', artifact: verdict.artifact, sentBytes });
  note(ports, asked, { outcome: 'held', reason: 'pending', sentBytes });
}

function passedMs(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => clearTimeout(timer));
  });
}
