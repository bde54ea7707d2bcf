import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Digest } from '#artifact/digest.ts';
import { parseDigest } from '#artifact/digest.ts';
import { digestSchema, faultSchema, instantSchema, nullable } from './schemas.ts';
import type { Answer, TypedApp } from './type-provider.ts';

const runSchema = Type.Object({
  state: Type.Union([
    Type.Literal('none'),
    Type.Literal('waiting'),
    Type.Literal('running'),
    Type.Literal('done'),
    Type.Literal('failed'),
  ]),
  fault: nullable(
    Type.Object({ code: Type.String(), message: Type.String(), hint: nullable(Type.String()) }),
  ),
  /** What counts now, from the ledger; another run may be waiting. */
  finding: nullable(
    Type.Object({
      outcome: Type.Union([
        Type.Literal('quiet'),
        Type.Literal('acted'),
        Type.Literal('failed'),
        Type.Literal('inconclusive'),
      ]),
      acts: Type.Array(Type.String()),
      reasons: Type.Array(Type.String()),
      exercisedAt: instantSchema,
      evidence: digestSchema,
      logIndex: Type.Integer(),
    }),
  ),
});
export type SandboxView = Answer<Static<typeof runSchema>>;

interface SandboxCaller {
  readonly namespace: string;
}

/** Runs in the sandbox, of artifacts that the caller's namespace sees. */
export interface SandboxDesk {
  /** Faults `resource.unknown`, `sandbox.unavailable`. */
  order(caller: SandboxCaller, artifact: Digest): Promise<SandboxView>;
  /** Fault `resource.unknown`. */
  show(caller: SandboxCaller, artifact: Digest): Promise<SandboxView>;
}

const faults = { '4xx': faultSchema, '5xx': faultSchema };
const security = [{ bearer: [] }];
const params = Type.Object({ digest: digestSchema });

/** `/wb/v1/artifacts/{digest}/sandbox`: order a run, and ask how it went. */
export function sandboxRoutes(
  app: TypedApp,
  desk: SandboxDesk,
  authenticate: (request: FastifyRequest) => Promise<SandboxCaller>,
): void {
  app.post(
    '/wb/v1/artifacts/:digest/sandbox',
    { schema: { operationId: 'runSandbox', security, params, response: { 202: runSchema, ...faults } } },
    async (request, reply) => {
      const caller = await authenticate(request);
      return reply.code(202).send(await desk.order(caller, parseDigest(request.params.digest)));
    },
  );
  app.get(
    '/wb/v1/artifacts/:digest/sandbox',
    { schema: { operationId: 'showSandbox', security, params, response: { 200: runSchema, ...faults } } },
    async (request) => desk.show(await authenticate(request), parseDigest(request.params.digest)),
  );
}
