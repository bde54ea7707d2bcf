import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from './ports.ts';
import type { RequestTarget } from './target.ts';

/** One request with what is known about it before anything is resolved. */
export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly principal: Principal;
  readonly asked: RequestTarget;
}
