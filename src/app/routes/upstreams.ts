import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { faultSchema, instantSchema, nullable } from './schemas.ts';
import type { Answer, TypedApp } from './type-provider.ts';

const count = Type.Integer({ minimum: 0 });

const upstreamSchema = Type.Object({
  kind: Type.Literal('hub'),
  host: Type.String({ description: 'host, and port where it is not the usual one' }),
  role: Type.Union([Type.Literal('upstream'), Type.Literal('redirect')], {
    description: 'configured, or one that the configured upstream redirected to',
  }),
  state: Type.Union([Type.Literal('well'), Type.Literal('limited'), Type.Literal('away')], {
    description:
      '`limited`: it asked for a pause; `away`: it does not answer and is asked for nothing for a while',
  }),
  requests: count,
  failures: count,
  lastSuccessAt: nullable(instantSchema),
  lastFailure: nullable(Type.Object({ at: instantSchema, message: Type.String() })),
  active: count,
  waiting: count,
  rateLimit: nullable(Type.Object({ remaining: count, resetsAt: nullable(instantSchema) })),
  incidents24h: Type.Integer({
    minimum: 0,
    description: 'recorded in the namespace of the caller in the last 24 hours; at most 500',
  }),
});

const incidentSchema = Type.Object({
  at: instantSchema,
  upstream: Type.String(),
  kind: Type.String(),
  source: Type.String(),
  path: nullable(Type.String()),
  message: Type.String(),
  logIndex: count,
});

const upstreamsSchema = Type.Object({
  upstreams: Type.Array(upstreamSchema),
  incidents: Type.Array(incidentSchema, { description: 'the newest 20, newest first' }),
});
export type UpstreamsView = Answer<Static<typeof upstreamsSchema>>;

/** How the places that files come from behave: since the process began, and as the ledger of the namespace has it. */
export interface UpstreamDesk {
  view(namespace: string): Promise<UpstreamsView>;
}

export function upstreamRoutes(
  app: TypedApp,
  desk: UpstreamDesk,
  authenticate: (request: FastifyRequest) => Promise<{ readonly namespace: string }>,
): void {
  app.get(
    '/wb/v1/upstreams',
    {
      schema: {
        operationId: 'showUpstreams',
        security: [{ bearer: [] }],
        response: { 200: upstreamsSchema, '4xx': faultSchema, '5xx': faultSchema },
      },
    },
    async (request) => desk.view((await authenticate(request)).namespace),
  );
}
