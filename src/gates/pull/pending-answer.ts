import type { FastifyReply } from 'fastify';
import type { Caller } from './callers.ts';
import { note, type FileRequest } from './file-request.ts';
import type { Arrival } from './ports.ts';
import { sendError } from './refusal.ts';
import type { PullPorts } from './settings.ts';

/** The estimate is for the scan; huggingface_hub that may only be told to come back does so this often. */
const hubTries = 5;

/**
 * The caller's patience is at its end. A hub client that waited the long time, or that streamed and waited, hears why in
 * the one form that it shows at once; the others are asked to come back, huggingface_hub so that its tries span what is left.
 */
export function answerPending(
  ports: PullPorts,
  asked: FileRequest,
  { arrival, caller }: { readonly arrival: Arrival & { readonly kind: 'pending' }; readonly caller: Caller },
): FastifyReply {
  const waitedSeconds = Math.max(0, Math.round((ports.clock.now() - arrival.since) / 1000));
  note(ports, asked, { outcome: 'held', reason: 'pending' });
  const final = caller.probe || (caller.hub !== undefined && caller.interim);
  const tries = caller.hub === undefined || final ? 1 : hubTries;
  const seconds = Math.max(1, Math.min(3600, Math.ceil(arrival.retryAfterSeconds / tries)));
  asked.reply.header('retry-after', String(seconds));
  return sendError(asked.reply, {
    status: final ? 403 : 503,
    code: final ? 'GatedRepo' : 'IntakePending',
    message: `weighbridge is still weighing \`${asked.file.path}\` (${waitedSeconds} s so far); ask again in ${seconds} s`,
  });
}
