import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { digestSchema, faultSchema, instantSchema, nullable, repositorySchema } from './schemas.ts';
import type { Answer, TypedApp } from './type-provider.ts';

const count = Type.Integer({ minimum: 0 });
const commit = Type.String({ pattern: '^[0-9a-f]{40}$' });

const transferSchema = Type.Object({
  path: Type.String(),
  state: Type.Union(
    [Type.Literal('waiting'), Type.Literal('fetching'), Type.Literal('following'), Type.Literal('verifying')],
    {
      description:
        '`following`: another replica fetches it; `verifying`: its SHA-256 is held against the declared one',
    },
  ),
  since: instantSchema,
  sizeBytes: count,
  receivedBytes: count,
  readers: Type.Integer({ minimum: 0, description: 'clients that read along' }),
});

const arrivingSchema = Type.Object({
  repository: repositorySchema,
  commit,
  artifact: nullable(digestSchema),
  phase: Type.Union([Type.Literal('listing'), Type.Literal('fetching'), Type.Literal('inspecting')]),
  since: instantSchema,
  why: Type.String({ description: 'what it waits for, in words' }),
  paths: Type.Array(Type.String(), { description: 'files that were asked for; at most 20' }),
  pathCount: count,
  transfers: Type.Array(transferSchema),
});

const heldSchema = Type.Object({
  repository: repositorySchema,
  commit,
  artifact: digestSchema,
  environment: Type.String(),
  since: instantSchema,
  reasons: Type.Array(
    Type.Object({
      rule: Type.String(),
      message: Type.String(),
      who: Type.String({ description: 'who can do something about it' }),
      remedy: Type.String(),
    }),
  ),
});

const queueSchema = Type.Object({
  at: instantSchema,
  arriving: Type.Array(arrivingSchema, { description: 'oldest first; at most 200' }),
  arrivingCount: count,
  held: Type.Array(heldSchema, {
    description: 'what is here and may not pass, of the 200 newest snapshots, newest first',
  }),
});
export type QueueView = Answer<Static<typeof queueSchema>>;

/** What is in quarantine now: on its way, or here and refused. */
export interface QueueDesk {
  view(namespace: string): Promise<QueueView>;
}

export function queueRoutes(
  app: TypedApp,
  desk: QueueDesk,
  authenticate: (request: FastifyRequest) => Promise<{ readonly namespace: string }>,
): void {
  app.get(
    '/wb/v1/queue',
    {
      schema: {
        operationId: 'showQueue',
        security: [{ bearer: [] }],
        response: { 200: queueSchema, '4xx': faultSchema, '5xx': faultSchema },
      },
    },
    async (request) => desk.view((await authenticate(request)).namespace),
  );
}
