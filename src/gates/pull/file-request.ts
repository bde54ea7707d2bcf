import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Digest } from '#artifact/digest.ts';
import type { Question } from '#policy/decision.ts';
import type { ListedFile, Listing, Principal, PullEvent, Ruling } from './ports.ts';
import { firstRule, sendRefusal } from './refusal.ts';
import type { PullPorts } from './settings.ts';

/** One request about one file of one commit, by one caller. */
export interface FileRequest {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly principal: Principal;
  readonly listing: Listing;
  readonly file: ListedFile;
}

/** May this caller pull this file of this artifact? */
export function questionOf({ principal, listing, file }: FileRequest, artifact: Digest): Question {
  return {
    principal: principal.class,
    action: 'pull',
    artifact,
    files: [file.path],
    namespace: listing.namespace,
    environment: principal.environment,
  };
}

/** The refusal of one file, or of a whole commit where `path` is undefined. */
export function answerRefusal(
  ports: PullPorts,
  asked: Omit<FileRequest, 'file'> & { readonly file: ListedFile | undefined },
  ruling: Ruling,
): FastifyReply {
  const { reply, listing, file } = asked;
  if (file !== undefined) noteRefusal(ports, { ...asked, file }, ruling, 0);
  return sendRefusal(reply, ruling, {
    repository: listing.repository.id,
    commit: listing.commit,
    path: file?.path,
    explainUrl: ports.settings.explainUrl(ruling.decision),
  });
}

export function noteRefusal(ports: PullPorts, asked: FileRequest, ruling: Ruling, sentBytes: number): void {
  const { decision } = ruling;
  const [reason, artifact] = [firstRule(decision), decision.question.artifact];
  note(ports, asked, { outcome: 'refused', reason, artifact, sentBytes });
}

export function note(
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
