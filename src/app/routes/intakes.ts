import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { digestOfHex } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { BlobDescriptor } from '#artifact/blob-store.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import type { IntakeBody } from '../sources/request.ts';
import type { Orderer, UploadPart } from '../sources/sources.ts';
import {
  digestSchema,
  environmentSchema,
  faultSchema,
  instantSchema,
  nullable,
  repositorySchema,
  writable,
} from './schemas.ts';
import type { Answer, TypedApp } from './type-provider.ts';

const whole = Type.Union([Type.Integer(), Type.Null()]);
const rowProperties = {
  id: Type.String(),
  state: Type.Union([
    Type.Literal('uploading'),
    Type.Literal('waiting'),
    Type.Literal('running'),
    Type.Literal('done'),
    Type.Literal('failed'),
  ]),
  source: Type.String(),
  repository: repositorySchema,
  reference: Type.String(),
  environment: environmentSchema,
  progress: Type.Object({
    files: Type.Integer(),
    bytes: Type.Number(),
    totalFiles: whole,
    totalBytes: Type.Union([Type.Number(), Type.Null()]),
  }),
  commit: nullable(Type.String()),
  artifact: nullable(digestSchema),
  fault: nullable(
    Type.Object({ code: Type.String(), message: Type.String(), hint: nullable(Type.String()) }),
  ),
  createdAt: instantSchema,
  finishedAt: nullable(instantSchema),
};
const intakeSchema = Type.Object({
  ...rowProperties,
  outcome: nullable(
    Type.Object({
      verdict: Type.Union([Type.Literal('allow'), Type.Literal('warn'), Type.Literal('deny')]),
      explanation: Type.String(),
      scan: Type.Union([
        Type.Literal('clean'),
        Type.Literal('suspicious'),
        Type.Literal('malicious'),
        Type.Literal('unknown'),
      ]),
      completeness: Type.Union([Type.Literal('complete'), Type.Literal('inconclusive')]),
      findings: Type.Integer(),
      link: Type.String({ description: 'path of the artifact in the console' }),
    }),
  ),
});
export type IntakeView = Answer<Static<typeof intakeSchema>>;

const text = { maxLength: limits.sourceTextBytes, ...writable };
const bodySchema = Type.Object(
  {
    source: Type.Union([
      Type.String(text),
      Type.Array(Type.String(text), { minItems: 1, maxItems: limits.sourceUrls }),
    ]),
    as: Type.Optional(Type.String({ maxLength: 200, ...writable })),
    type: Type.Optional(Type.Union([Type.Literal('models'), Type.Literal('datasets')])),
    reference: Type.Optional(Type.String({ maxLength: 200, ...writable })),
    environment: Type.Optional(environmentSchema),
    sha256: Type.Optional(Type.String({ maxLength: 80, ...writable })),
    endpoint: Type.Optional(Type.String(text)),
    region: Type.Optional(Type.String({ maxLength: 40, ...writable })),
    include: Type.Optional(Type.String({ maxLength: 1000, ...writable })),
  },
  { additionalProperties: false },
);
const started = Type.Object({ id: Type.String() });

/** Intakes of the caller's namespace. */
export interface IntakesDesk {
  order(caller: Orderer, body: IntakeBody): Promise<string>;
  show(caller: Orderer, id: string): Promise<IntakeView>;
  list(caller: Orderer, limit: number): Promise<readonly Omit<IntakeView, 'outcome'>[]>;
  upload(caller: Orderer, id: string, part: UploadPart): Promise<BlobDescriptor>;
  complete(caller: Orderer, id: string): Promise<void>;
}

const faults = { '4xx': faultSchema, '5xx': faultSchema };
const security = [{ bearer: [] }];
const idPattern = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
const idParams = Type.Object({ id: Type.String({ pattern: idPattern }) });

type Authenticate = (request: FastifyRequest) => Promise<Orderer>;

/** `/wb/v1/intakes` and `/wb/v1/uploads`. */
export function intakeRoutes(app: TypedApp, desk: IntakesDesk, authenticate: Authenticate): void {
  app.post(
    '/wb/v1/intakes',
    {
      schema: {
        operationId: 'startIntake',
        security,
        body: bodySchema,
        response: { 202: started, ...faults },
      },
    },
    async (request, reply) => {
      const id = await desk.order(await authenticate(request), request.body);
      return reply.code(202).send({ id });
    },
  );
  app.get(
    '/wb/v1/intakes/:id',
    {
      schema: {
        operationId: 'showIntake',
        security,
        params: idParams,
        response: { 200: intakeSchema, ...faults },
      },
    },
    async (request) => desk.show(await authenticate(request), request.params.id),
  );
  app.get(
    '/wb/v1/intakes',
    {
      schema: {
        operationId: 'listIntakes',
        security,
        querystring: Type.Object(
          { limit: Type.Optional(Type.String({ pattern: '^([1-9]|[1-9][0-9]|1[0-9][0-9]|200)$' })) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ items: Type.Array(Type.Object(rowProperties)) }), ...faults },
      },
    },
    async (request) => ({
      items: await desk.list(await authenticate(request), Number(request.query.limit ?? 50)),
    }),
  );
  uploadRoutes(app, desk, authenticate);
}

/** Bytes go from the socket into the store as they come; nothing of them is kept in memory. */
function uploadRoutes(app: TypedApp, desk: IntakesDesk, authenticate: Authenticate): void {
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    scope.put<{ Params: { id: string; '*': string } }>(
      '/wb/v1/uploads/:id/files/*',
      {
        // The bound is the intake's own, kept while the bytes are counted.
        bodyLimit: Number.MAX_SAFE_INTEGER,
        schema: {
          operationId: 'uploadFile',
          security,
          params: Type.Object({ id: Type.String({ pattern: idPattern }), '*': Type.String() }),
          response: { 201: Type.Object({ digest: digestSchema, sizeBytes: Type.Number() }), ...faults },
        },
      },
      async (request, reply) => {
        const caller = await authenticate(request);
        const { 'content-length': length } = request.headers;
        const stored = await desk.upload(caller, request.params.id, {
          path: request.params['*'],
          bytes: request.raw,
          sizeBytes: length === undefined ? undefined : Number(length),
          digest: digestOf(request.headers),
        });
        return reply.code(201).send(stored);
      },
    );
  });
  app.post(
    '/wb/v1/uploads/:id/complete',
    {
      schema: {
        operationId: 'completeUpload',
        security,
        params: idParams,
        response: { 202: started, ...faults },
      },
    },
    async (request, reply) => {
      await desk.complete(await authenticate(request), request.params.id);
      return reply.code(202).send({ id: request.params.id });
    },
  );
}

/**
 * The SHA-256 that the sender declares, as RFC 9530 (`Content-Digest: sha-256=:…:`) or RFC 3230 (`Digest: sha-256=…`) spell
 * it. Other algorithms say nothing to us; a malformed one is Fault `request.invalid`.
 */
function digestOf(headers: Readonly<Record<string, unknown>>): Digest | undefined {
  const found: string[] = [];
  for (const name of ['content-digest', 'digest']) {
    const value = headers[name];
    if (typeof value !== 'string') continue;
    for (const part of value.split(',')) {
      const match = /^\s*sha-256=:?([^:]*):?\s*$/i.exec(part);
      if (match !== null) found.push(match[1] ?? '');
    }
  }
  const [first] = found;
  if (first === undefined) return undefined;
  const bytes = Buffer.from(first, 'base64');
  if (bytes.length !== 32 || bytes.toString('base64') !== first || found.some((other) => other !== first))
    throw new Fault('request.invalid', 'the declared digest is not a SHA-256 in base64');
  return digestOfHex(bytes.toString('hex'));
}
