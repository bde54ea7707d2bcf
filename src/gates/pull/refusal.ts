import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';
import { toFault, type Fault, type FaultCode } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import type { Decision, Reason } from '#policy/decision.ts';
import type { Ruling } from './ports.ts';

/** Error codes that hub clients know (`X-Error-Code`); any other answer carries the Fault's own code there. */
export type HubErrorCode = 'RepoNotFound' | 'RevisionNotFound' | 'EntryNotFound' | 'GatedRepo';

/** Text as one header line: printable ASCII, everything else escaped, cut at `limits.headerMessageBytes`. */
export function headerText(text: string): string {
  const escaped = text
    .slice(0, limits.headerMessageBytes)
    .toWellFormed()
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[^\x20-\x7e]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
    .trim();
  if (escaped.length <= limits.headerMessageBytes) return escaped;
  return `${escaped.slice(0, limits.headerMessageBytes - 3)}...`;
}

export interface HubError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** Of the status line: all that wget says of an answer, and long enough for a rule and its reason. */
const reasonPhraseBytes = 300;

/**
 * Every "no" of the gate: code and message as headers and in the status line (all that some clients show) and as JSON.
 * Never cached.
 */
export function sendError(reply: FastifyReply, error: HubError): FastifyReply {
  const phrase = `${STATUS_CODES[error.status] ?? ''} - ${headerText(error.message)}`;
  reply.raw.statusMessage = phrase.slice(0, reasonPhraseBytes);
  return reply
    .code(error.status)
    .header('x-error-code', error.code)
    .header('x-error-message', headerText(error.message))
    .header('cache-control', 'no-store')
    .header('x-content-type-options', 'nosniff')
    .type('application/json; charset=utf-8')
    .send({ error: error.message, ...error.body });
}

/** Faults about the bytes themselves. They refuse the caller as a deny does. */
const integrityFaults: readonly FaultCode[] = ['blob.corrupt', 'upstream.lied'];

/**
 * A Fault by the one table, with one exception: one of `integrityFaults` is an integrity refusal for the caller, so it
 * is answered as 403 `GatedRepo`; with a 5xx, clients would hide the reason and use a cached copy.
 */
export function sendFault(reply: FastifyReply, thrown: unknown): FastifyReply {
  const fault = toFault(thrown);
  if (fault.row.retryable) reply.header('retry-after', retryAfterOf(fault));
  const lied = integrityFaults.includes(fault.code);
  return sendError(reply, {
    status: lied ? 403 : fault.row.status,
    code: lied ? 'GatedRepo' : fault.code,
    message: sentence(fault),
    body: fault.code === 'internal.unexpected' ? { code: fault.code } : { ...fault.toJSON() },
  });
}

/** What the Fault asks for, such as the pause that upstream wants; 5 s where it says nothing. */
function retryAfterOf({ details: { retryAfterSeconds } }: Fault): string {
  const known = typeof retryAfterSeconds === 'number' && retryAfterSeconds >= 1;
  return String(known ? Math.ceil(retryAfterSeconds) : 5);
}

function sentence(fault: Fault): string {
  if (fault.code === 'internal.unexpected') return 'weighbridge failed unexpectedly; its log says more';
  return fault.hint === undefined ? fault.message : `${fault.message}; hint: ${fault.hint}`;
}

export function sendAbsent(reply: FastifyReply, code: HubErrorCode, message: string): FastifyReply {
  return sendError(reply, { status: 404, code, message });
}

export interface RefusedSubject {
  /** `org/name@<commit>` and, where one was asked for, the file. */
  readonly repository: string;
  readonly commit: string;
  readonly path: string | undefined;
  readonly explainUrl: string | undefined;
}

/**
 * A deny. Not seen before: 403 `GatedRepo`, the one refusal whose message every client version shows. Withdrawn: 404
 * `RevisionNotFound` without `X-Repo-Commit`, the only answer that makes clients raise instead of quietly using their
 * cached copy. Both say rule, reason, remedy and where to read more.
 */
export function sendRefusal(reply: FastifyReply, ruling: Ruling, subject: RefusedSubject): FastifyReply {
  const { decision, withdrawn } = ruling;
  const message = refusalMessage(decision, withdrawn, subject);
  // The `hf` command replaces the message of a gated repository by words of its own; this header it prints.
  const topic = headerText(subject.path ?? subject.commit)
    .replaceAll(/[;,]/g, '_')
    .slice(0, 200);
  reply.header('x-hf-warning', `weighbridge ${topic}; ${headerText(message)}`);
  return sendError(reply, {
    status: withdrawn ? 404 : 403,
    code: withdrawn ? 'RevisionNotFound' : 'GatedRepo',
    message,
    body: {
      verdict: decision.verdict,
      artifact: decision.question.artifact,
      reasons: denials(decision),
      ...(subject.explainUrl === undefined ? {} : { documentation: subject.explainUrl }),
    },
  });
}

function refusalMessage(decision: Decision, withdrawn: boolean, subject: RefusedSubject): string {
  const what = subject.path === undefined ? 'this commit' : `\`${subject.path}\``;
  const where = `${subject.repository}@${subject.commit.slice(0, 12)}`;
  const reasons = denials(decision);
  const words = reasons.slice(0, 3).map(reasonWords).join('; ');
  const more = reasons.length > 3 ? `; and ${reasons.length - 3} more reasons` : '';
  const link = subject.explainUrl === undefined ? '' : `; read more: ${subject.explainUrl}`;
  const verb = withdrawn ? 'has withdrawn' : 'refuses';
  return `weighbridge ${verb} ${what} of ${where}: ${words}${more}${link}`;
}

function reasonWords(reason: Reason): string {
  const missing = reason.missing === null ? '' : ` (missing: ${reason.missing})`;
  return `[${reason.rule}] ${reason.message}${missing}; who can fix it: ${reason.who}: ${reason.remedy}`;
}

function denials(decision: Decision): readonly Reason[] {
  return decision.reasons.filter(({ effect }) => effect === 'deny');
}

/** The rule that decided, for logs and counters. */
export function firstRule(decision: Decision): string | undefined {
  return denials(decision)[0]?.rule;
}
