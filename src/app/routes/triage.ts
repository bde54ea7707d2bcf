import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { TriageReport } from '#producers/scan/triage-report.ts';
import { faultSchema, findingSchema, repositorySchema, writable } from './schemas.ts';
import type { TypedApp } from './type-provider.ts';

export interface TriageWish {
  readonly type: 'models' | 'datasets' | 'spaces';
  /** `org/name`, not yet validated. */
  readonly repository: string;
  /** Null means the default branch. */
  readonly revision: string | null;
}

/**
 * A look at a repository before it is pulled. It writes nothing. Faults `request.invalid` for names that are none and
 * `server.busy` where too many look already.
 */
export type Triage = (wish: TriageWish, signal: AbortSignal) => Promise<TriageReport>;

const verdictSchema = Type.Union([
  Type.Literal('malicious'),
  Type.Literal('suspicious'),
  Type.Literal('nothing found'),
]);
const completenessSchema = Type.Union([Type.Literal('complete'), Type.Literal('inconclusive')]);
const reportSchema = Type.Object({
  kind: Type.Literal('triage', { description: 'no evidence: no decision rests on it' }),
  repository: Type.Object({
    ...repositorySchema.properties,
    revision: Type.String(),
    commit: Type.String(),
  }),
  verdict: verdictSchema,
  completeness: completenessSchema,
  bytesCovered: Type.Number({ description: 'bytes that were looked at' }),
  bytesTotal: Type.Number(),
  bytesFetched: Type.Number(),
  requests: Type.Integer(),
  scanner: Type.Object({ name: Type.String(), version: Type.String(), ruleSetDigest: Type.String() }),
  files: Type.Array(
    Type.Object({
      path: Type.String(),
      format: Type.String(),
      verdict: verdictSchema,
      completeness: completenessSchema,
      incompleteReasons: Type.Array(Type.String()),
      declaredSha256: Type.Union([Type.String(), Type.Null()]),
      sizeBytes: Type.Number(),
      bytesCovered: Type.Number(),
      findings: Type.Array(findingSchema),
    }),
  ),
});

/** `POST /wb/v1/triage`. Ends when the caller goes away. */
export function triageRoutes(
  app: TypedApp,
  triage: Triage,
  authenticate: (request: FastifyRequest) => Promise<unknown>,
): void {
  app.post(
    '/wb/v1/triage',
    {
      schema: {
        operationId: 'triageRepository',
        security: [{ bearer: [] }],
        body: Type.Object(
          {
            type: repositorySchema.properties.type,
            repository: Type.String({ minLength: 1, maxLength: 200, ...writable }),
            revision: Type.Union([Type.String({ minLength: 1, maxLength: 255, ...writable }), Type.Null()]),
          },
          { additionalProperties: false },
        ),
        response: { 200: reportSchema, '4xx': faultSchema, '5xx': faultSchema },
      },
    },
    async (request, reply) => {
      await authenticate(request);
      return triage(request.body, goneSignal(reply));
    },
  );
}

function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  return gone.signal;
}
