import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Digest } from '#artifact/digest.ts';
import { parseDigest } from '#artifact/digest.ts';
import { limits } from '#lib/limits.ts';
import { adoptionReportSchema } from './adoption-report.ts';
import type { AdoptionReport } from './adoption-report.ts';
import { digestSchema, faultSchema, instantSchema, nullable } from './schemas.ts';
import type { Answer, TypedApp } from './type-provider.ts';

const counts = Type.Object({
  critical: Type.Integer(),
  high: Type.Integer(),
  medium: Type.Integer(),
  low: Type.Integer(),
});

const adoptionRowSchema = Type.Object({
  /** SHA-256 of the report: its name here. */
  id: digestSchema,
  /** When the machine was looked at, by its own clock; when the report was kept, by ours. */
  lookedAt: instantSchema,
  keptAt: instantSchema,
  logIndex: Type.Integer(),
  complete: Type.Boolean(),
  models: Type.Integer(),
  files: Type.Integer(),
  sizeBytes: Type.Number(),
  origins: Type.Object({
    proved: Type.Integer(),
    claimed: Type.Integer(),
    contradicted: Type.Integer(),
    unknown: Type.Integer(),
  }),
  risks: counts,
});
export type AdoptionRow = Answer<Static<typeof adoptionRowSchema>>;

/** Who asks: the namespace that the answers are confined to, and the pseudonymous id that evidence carries. */
export interface Adopter {
  readonly namespace: string;
  readonly person: string;
}

/** What the interface for people asks about adoptions. Every call is confined to the caller's namespace. */
export interface AdoptionDesk {
  /** Keeps a report as a blob and its outcome as evidence; a report that is here already is not kept twice. */
  keep(caller: Adopter, report: AdoptionReport): Promise<AdoptionRow>;
  /** Newest first. */
  list(
    caller: Adopter,
    before?: number,
  ): Promise<{ readonly items: readonly AdoptionRow[]; readonly next: string | null }>;
  /** The report as it was kept. Fault `resource.unknown`. */
  show(caller: Adopter, id: Digest): Promise<{ readonly row: AdoptionRow; readonly report: AdoptionReport }>;
  /** The report as one HTML file, and the policy under which a browser may show it. */
  page(report: AdoptionReport): { readonly html: string; readonly policy: string };
}

type Authenticate = (request: FastifyRequest) => Promise<Adopter>;

const faults = { '4xx': faultSchema, '5xx': faultSchema };
const security = [{ bearer: [] }];
const params = Type.Object({ id: digestSchema });

/** `/wb/v1/adoptions`: what was there before Weighbridge. */
export function adoptionRoutes(app: TypedApp, desk: AdoptionDesk, authenticate: Authenticate): void {
  app.post(
    '/wb/v1/adoptions',
    {
      bodyLimit: limits.adoptReportBytes,
      // Megabytes of body are read for whoever has a token, and for nobody else.
      onRequest: async (request) => void (await authenticate(request)),
      schema: {
        operationId: 'keepAdoption',
        security,
        body: adoptionReportSchema,
        response: { 200: adoptionRowSchema, ...faults },
      },
    },
    async (request) => desk.keep(await authenticate(request), request.body),
  );
  app.get(
    '/wb/v1/adoptions',
    {
      schema: {
        operationId: 'listAdoptions',
        security,
        querystring: Type.Object(
          { before: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$' })) },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({ items: Type.Array(adoptionRowSchema), next: nullable(Type.String()) }),
          ...faults,
        },
      },
    },
    async (request) => {
      const { before } = request.query;
      return desk.list(await authenticate(request), before === undefined ? undefined : Number(before));
    },
  );
  app.get(
    '/wb/v1/adoptions/:id',
    {
      schema: {
        operationId: 'showAdoption',
        security,
        params,
        response: {
          200: Type.Object({ adoption: adoptionRowSchema, report: adoptionReportSchema }),
          ...faults,
        },
      },
    },
    async (request) => {
      const { row, report } = await desk.show(await authenticate(request), parseDigest(request.params.id));
      // Lists of files are for the file; a page has no room for a hundred thousand rows.
      const models = report.models.map((model) => ({ ...model, files: [] }));
      return { adoption: row, report: { ...report, filesListed: false, models } };
    },
  );
  reportFiles(app, desk, authenticate);
}

/** The whole report as a file, by the server's own hand: what was uploaded is JSON and stays JSON. */
function reportFiles(app: TypedApp, desk: AdoptionDesk, authenticate: Authenticate): void {
  app.get(
    '/wb/v1/adoptions/:id/report.html',
    { schema: { operationId: 'adoptionPage', security, params } },
    async (request, reply) => {
      const { report } = await desk.show(await authenticate(request), parseDigest(request.params.id));
      const { html, policy } = desk.page(report);
      return reply
        .type('text/html; charset=utf-8')
        .header('content-disposition', 'attachment; filename="adoption.html"')
        .header('content-security-policy', `${policy}; frame-ancestors 'none'; sandbox`)
        .send(html);
    },
  );
  app.get(
    '/wb/v1/adoptions/:id/report.json',
    { schema: { operationId: 'adoptionFile', security, params } },
    async (request, reply) => {
      const { report } = await desk.show(await authenticate(request), parseDigest(request.params.id));
      return reply
        .type('application/json; charset=utf-8')
        .header('content-disposition', 'attachment; filename="adoption.json"')
        .send(JSON.stringify(report));
    },
  );
}
