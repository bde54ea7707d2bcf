import { Type } from 'typebox';
import type { Digest } from '#artifact/digest.ts';
import { parseDigest } from '#artifact/digest.ts';
import type { Environment, RootName } from '#evidence/predicates.ts';
import type { Decision, Question } from '#policy/decision.ts';
import type { FastifyRequest } from 'fastify';
import { accessRoutes } from './access.ts';
import { adoptionRoutes } from './adoptions.ts';
import type { AdoptionDesk } from './adoptions.ts';
import type { AccessDesk } from './access.ts';
import { intakeRoutes } from './intakes.ts';
import type { IntakesDesk } from './intakes.ts';
import { triageRoutes } from './triage.ts';
import type { Triage } from './triage.ts';
import type { ArtifactDetail, ArtifactRow } from './schemas.ts';
import {
  appendedSchema,
  approveBodySchema,
  artifactDetailSchema,
  artifactListSchema,
  askBodySchema,
  decisionSchema,
  denyBodySchema,
  digestSchema,
  explainedDecisionSchema,
  faultSchema,
  logHeadSchema,
  whoamiSchema,
  writable,
} from './schemas.ts';
import type { TypedApp } from './type-provider.ts';
import { queueRoutes } from './queue.ts';
import type { QueueDesk } from './queue.ts';
import { sandboxRoutes } from './sandbox.ts';
import type { SandboxDesk } from './sandbox.ts';
import { upstreamRoutes } from './upstreams.ts';
import type { UpstreamDesk } from './upstreams.ts';

/** Who calls the interface for people. `person` is the pseudonymous id that evidence carries. */
export interface Caller {
  readonly class: 'person' | 'administrator';
  readonly person: string;
  readonly namespace: string;
  readonly environment: Environment;
}

export interface Appended {
  readonly logIndex: number;
  readonly envelopeDigest: Digest;
}

export interface DoctorCheck {
  readonly name: string;
  readonly state: 'pass' | 'warn' | 'fail';
  readonly message: string;
}

export interface LogView {
  readonly size: number;
  readonly rootHash: string;
  readonly checkpoint: string;
  readonly origin: string;
  readonly verifierKey: string;
  readonly trustFingerprint: Digest;
  readonly selfAsserted: boolean;
}

/** What the interface for people asks of the house. Every call is confined to the caller's namespace. */
export interface Desk {
  list(
    caller: Caller,
    page: { readonly search?: string; readonly limit: number; readonly before?: string },
  ): Promise<{ readonly items: readonly ArtifactRow[]; readonly next: string | null }>;
  /** Fault `resource.unknown` where the namespace does not see the artifact. */
  show(caller: Caller, artifact: Digest): Promise<ArtifactDetail>;
  approve(
    caller: Caller,
    artifact: Digest,
    approval: { reason: string; root: RootName; environments: Environment[]; expiresAt: string | null },
  ): Promise<Appended>;
  deny(caller: Caller, artifact: Digest, reason: string): Promise<Appended>;
  ask(question: Question): Promise<Decision>;
  explain(decision: Decision): string;
  promote(
    caller: Caller,
    artifact: Digest,
    environment: Environment,
  ): Promise<{ decision: Decision; bundle: string | null }>;
  head(): Promise<LogView>;
  /** The offline bundle (tar) of the newest kept decision about the question. */
  exportBundle(question: Question): Promise<Uint8Array>;
  doctor(): Promise<{ readonly healthy: boolean; readonly checks: readonly DoctorCheck[] }>;
  readonly access: AccessDesk;
  readonly adoptions: AdoptionDesk;
  readonly intakes: IntakesDesk;
  readonly queue: QueueDesk;
  readonly sandbox: SandboxDesk;
  readonly upstreams: UpstreamDesk;
  readonly triage: Triage;
}

export type Authenticate = (request: FastifyRequest) => Promise<Caller>;

const faults = { '4xx': faultSchema, '5xx': faultSchema };
const artifactParams = Type.Object({ digest: digestSchema });
const security = [{ bearer: [] }];

/** `/wb/v1`: inventory, one artifact, human decisions, questions, the log. */
export function peopleRoutes(app: TypedApp, desk: Desk, authenticate: Authenticate): void {
  inventoryRoutes(app, desk, authenticate);
  humanRoutes(app, desk, authenticate);
  decisionRoutes(app, desk, authenticate);
  accessRoutes(app, desk.access, authenticate);
  intakeRoutes(app, desk.intakes, authenticate);
  queueRoutes(app, desk.queue, authenticate);
  sandboxRoutes(app, desk.sandbox, authenticate);
  upstreamRoutes(app, desk.upstreams, authenticate);
  triageRoutes(app, desk.triage, authenticate);
  adoptionRoutes(app, desk.adoptions, authenticate);

  app.get(
    '/wb/v1/whoami',
    { schema: { operationId: 'whoami', security, response: { 200: whoamiSchema, ...faults } } },
    async (request) => {
      const caller = await authenticate(request);
      return { class: caller.class, namespace: caller.namespace, environment: caller.environment };
    },
  );
  app.get(
    '/wb/v1/log/head',
    { schema: { operationId: 'logHead', security, response: { 200: logHeadSchema, ...faults } } },
    async (request) => {
      await authenticate(request);
      return desk.head();
    },
  );
}

function inventoryRoutes(app: TypedApp, desk: Desk, authenticate: Authenticate): void {
  app.get(
    '/wb/v1/artifacts',
    {
      schema: {
        operationId: 'listArtifacts',
        security,
        querystring: Type.Object(
          {
            search: Type.Optional(Type.String({ maxLength: 200, ...writable })),
            limit: Type.Optional(
              Type.String({
                pattern: '^([1-9]|[1-9][0-9]|1[0-9][0-9]|200)$',
                description: '1 to 200; 50 by default',
              }),
            ),
            before: Type.Optional(Type.String({ maxLength: 200 })),
          },
          { additionalProperties: false },
        ),
        response: { 200: artifactListSchema, ...faults },
      },
    },
    async (request) => {
      const caller = await authenticate(request);
      const { search, limit, before } = request.query;
      return desk.list(caller, {
        limit: Number(limit ?? 50),
        ...(search === undefined ? {} : { search }),
        ...(before === undefined ? {} : { before }),
      });
    },
  );
  app.get(
    '/wb/v1/artifacts/:digest',
    {
      schema: {
        operationId: 'showArtifact',
        security,
        params: artifactParams,
        response: { 200: artifactDetailSchema, ...faults },
      },
    },
    async (request) => desk.show(await authenticate(request), parseDigest(request.params.digest)),
  );
}

function humanRoutes(app: TypedApp, desk: Desk, authenticate: Authenticate): void {
  app.post(
    '/wb/v1/artifacts/:digest/approve',
    {
      schema: {
        operationId: 'approveArtifact',
        security,
        params: artifactParams,
        body: approveBodySchema,
        response: { 200: appendedSchema, ...faults },
      },
    },
    async (request) =>
      desk.approve(await authenticate(request), parseDigest(request.params.digest), request.body),
  );
  app.post(
    '/wb/v1/artifacts/:digest/deny',
    {
      schema: {
        operationId: 'denyArtifact',
        security,
        params: artifactParams,
        body: denyBodySchema,
        response: { 200: appendedSchema, ...faults },
      },
    },
    async (request) =>
      desk.deny(await authenticate(request), parseDigest(request.params.digest), request.body.reason),
  );
}

interface AskBody {
  readonly artifact: string;
  readonly action: Question['action'];
  readonly environment: Environment;
  readonly files: string[] | null;
}

function questionOf(caller: Caller, body: AskBody): Question {
  const { action, environment, files } = body;
  const artifact = parseDigest(body.artifact);
  return { principal: 'client', action, artifact, files, namespace: caller.namespace, environment };
}

function decisionRoutes(app: TypedApp, desk: Desk, authenticate: Authenticate): void {
  app.post(
    '/wb/v1/decisions',
    {
      schema: {
        operationId: 'askDecision',
        security,
        body: askBodySchema,
        response: { 200: explainedDecisionSchema, ...faults },
      },
    },
    async (request) => {
      const decision = await desk.ask(questionOf(await authenticate(request), request.body));
      return { environment: decision.question.environment, decision, explanation: desk.explain(decision) };
    },
  );
  app.post(
    '/wb/v1/decisions/bundle',
    { schema: { operationId: 'exportDecision', security, body: askBodySchema } },
    async (request, reply) => {
      const bytes = await desk.exportBundle(questionOf(await authenticate(request), request.body));
      return reply
        .header('content-type', 'application/x-tar')
        .header('content-disposition', 'attachment; filename="decision.tar"')
        .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    },
  );
  app.post(
    '/wb/v1/artifacts/:digest/promote',
    {
      schema: {
        operationId: 'promoteArtifact',
        security,
        params: artifactParams,
        body: Type.Object(
          { environment: askBodySchema.properties.environment },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({ decision: decisionSchema, bundle: Type.Union([Type.String(), Type.Null()]) }),
          ...faults,
        },
      },
    },
    async (request) =>
      desk.promote(await authenticate(request), parseDigest(request.params.digest), request.body.environment),
  );
  app.get('/wb/v1/doctor', { schema: { operationId: 'doctor', security } }, async (request) => {
    await authenticate(request);
    return desk.doctor();
  });
}
