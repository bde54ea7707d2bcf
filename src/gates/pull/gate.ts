import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault, toFault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { Redacted } from '#lib/redacted.ts';
import { answerFile } from './file-answer.ts';
import { answerRefusal } from './file-request.ts';
import {
  answerCommits,
  answerInfo,
  answerList,
  answerPathsInfo,
  answerRaw,
  answerRefs,
  answerTree,
} from './listing-answer.ts';
import type { Exchange } from './exchange.ts';
import { openWait, type Wait } from './hold.ts';
import type { Listing } from './ports.ts';
import { sendAbsent, sendError, sendFault } from './refusal.ts';
import { streamedOf } from './streamed.ts';
import { whoami } from './repository-answers.ts';
import type { PullPorts } from './settings.ts';
import { parseTarget, type FileTarget, type Target } from './target.ts';
import { indexTree } from './tree.ts';

/**
 * The read side of the hub protocol (docs/reference/hub-protocol.md) as routes on the clients' listener. Takes every
 * path that no other route of `app` takes. Answers are Faults or refusals with `X-Error-Code` and `X-Error-Message`;
 * nothing that upstream said in a header passes through.
 */
export function pullGate(app: FastifyInstance, ports: PullPorts): void {
  void app.register(async (scope) => {
    scope.addHook('onClose', () => streamedOf(ports).close());
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      '*',
      { parseAs: 'buffer', bodyLimit: limits.requestBytes },
      (_request, body, done) => {
        done(null, body);
      },
    );
    scope.setErrorHandler((error, request, reply) => {
      const fault = toFault(fromFastify(error));
      if (fault.row.status >= 500) request.log.error({ fault, cause: fault.cause }, 'request failed');
      return sendFault(reply, fault);
    });
    scope.route({
      method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
      url: '/*',
      exposeHeadRoute: false,
      schema: { hide: true },
      handler: (request, reply) => answer(ports, request, reply),
    });
  });
}

/** What Fastify itself refuses, as a Fault of the one table. */
export function fromFastify(error: unknown): unknown {
  if (error instanceof Fault || !(error instanceof Error)) return error;
  const status = 'statusCode' in error ? error.statusCode : undefined;
  if (status === 413) return new Fault('limit.exceeded', 'the request body is too large', { cause: error });
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new Fault('request.invalid', 'the request is malformed', { cause: error });
  }
  return error;
}

async function answer(ports: PullPorts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const asked = parseTarget(request.raw.url ?? '/');
  const { kind } = asked.target;
  const reading = request.method === 'GET' || request.method === 'HEAD';
  if (!reading && !(request.method === 'POST' && kind === 'paths-info')) {
    throw new Fault('request.forbidden', 'this hub is read-only', {
      hint: 'push artifacts to the registry face',
    });
  }
  if (reading && kind === 'paths-info')
    throw new Fault('request.invalid', '`paths-info` is asked for by POST');
  if (kind === 'telemetry') return reply.code(200).send();
  const authorization = request.headers.authorization;
  const principal = await ports.principals.authenticate(
    authorization === undefined ? undefined : new Redacted(authorization),
    asked.namespace,
  );
  return answerTarget(ports, { request, reply, principal, asked }, asked.target);
}

async function answerTarget(ports: PullPorts, exchange: Exchange, target: Target): Promise<FastifyReply> {
  const { reply, principal } = exchange;
  switch (target.kind) {
    case 'whoami':
      if (principal.class !== 'anonymous') return reply.send(whoami(principal));
      return sendError(reply, {
        status: 401,
        code: 'request.unauthenticated',
        message: 'Invalid credentials in Authorization header',
      });
    case 'list':
      return answerList(ports, exchange, target.type);
    case 'refs':
      return answerRefs(ports, exchange, target.repository);
    case 'telemetry':
    case 'unknown':
      throw new Fault('resource.unknown', 'there is nothing here', {
        hint: 'this listener speaks the hub protocol: set `HF_ENDPOINT` to it and use a hub client',
      });
    default:
      return answerRepository(ports, exchange, target);
  }
}

type RepositoryTarget = Extract<Target, { readonly revision: string }>;

/** A caller that asks for a file is kept waiting well from the beginning: upstream's listing may take its time, too. */
async function answerRepository(
  ports: PullPorts,
  exchange: Exchange,
  target: RepositoryTarget,
): Promise<FastifyReply> {
  if (!isFileTarget(target)) return answerCommit(ports, exchange, target);
  const wait = openWait(ports, exchange);
  try {
    return await answerCommit(ports, exchange, { ...target, wait });
  } finally {
    wait.end();
  }
}

function isFileTarget(target: RepositoryTarget): target is FileTarget {
  return target.kind === 'file' || target.kind === 'raw';
}

type CommitTarget = Exclude<RepositoryTarget, FileTarget> | (FileTarget & { readonly wait: Wait });

/** Everything about one commit: resolve, ask for a standing refusal, then the answer itself. */
async function answerCommit(
  ports: PullPorts,
  exchange: Exchange,
  target: CommitTarget,
): Promise<FastifyReply> {
  const { request, reply, principal } = exchange;
  const resolution = await ports.intake.resolve(principal.namespace, target.repository, target.revision);
  if (resolution.kind === 'absent') {
    if (resolution.what === 'repository') {
      return sendAbsent(reply, 'RepoNotFound', `there is no repository \`${target.repository.id}\``);
    }
    return sendAbsent(reply, 'RevisionNotFound', `Invalid rev id: ${target.revision}`);
  }
  const { listing } = resolution;
  const standing = await ports.decisions.standing(listing, principal);
  if (standing !== undefined) {
    const file = target.kind === 'file' ? indexTree(listing).files.get(target.path) : undefined;
    return answerRefusal(ports, { request, reply, principal, listing, file }, standing);
  }
  switch (target.kind) {
    case 'auth-check':
      return reply.code(200).send();
    case 'info':
      return answerInfo(ports, exchange, listing);
    case 'commits':
      return answerCommits(exchange, listing);
    case 'tree':
      return answerTree(ports, exchange, listing, target.path);
    case 'paths-info':
      return answerPathsInfo(exchange, listing);
    default:
      return answerPath(ports, exchange, listing, target);
  }
}

async function answerPath(
  ports: PullPorts,
  exchange: Exchange,
  listing: Listing,
  target: FileTarget & { readonly wait: Wait },
): Promise<FastifyReply> {
  const { request, reply, principal } = exchange;
  const file = indexTree(listing).files.get(target.path);
  if (file === undefined) {
    // The commit lets clients remember that this file is missing; it is immutable, so that stays true.
    reply.header('x-repo-commit', listing.commit);
    return sendAbsent(reply, 'EntryNotFound', `there is no file \`${target.path}\` in this commit`);
  }
  if (target.kind === 'raw' && file.lfsDigest !== undefined) return answerRaw(reply, listing, file);
  return answerFile(ports, { request, reply, principal, listing, file }, target.wait);
}
