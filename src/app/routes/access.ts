import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Digest } from '#artifact/digest.ts';
import { parseDigest } from '#artifact/digest.ts';
import type { Environment } from '#evidence/predicates.ts';
import {
  digestSchema,
  environmentSchema,
  faultSchema,
  instantSchema,
  nullable,
  writable,
} from './schemas.ts';
import type { TypedApp } from './type-provider.ts';

/** A token without its secret: `id` is the SHA-256 of it. */
export interface TokenView {
  readonly id: Digest;
  readonly name: string;
  readonly role: string;
  readonly environment: Environment | null;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
}

export interface TokenWish {
  readonly namespace: string;
  readonly name: string;
  readonly environment: Environment | null;
  readonly expiresAt: string | null;
}

/** Namespaces and the tokens of their clients. For administrators of the installation. */
export interface AccessDesk {
  namespaces(): Promise<readonly { readonly namespace: string; readonly environment: Environment }[]>;
  /** Sets the namespace up, or gives it another default environment. Fault `request.invalid` for a bad name. */
  setNamespace(namespace: string, environment: Environment): Promise<void>;
  /** The secret is in the answer and nowhere else. Faults `resource.unknown` (namespace), `request.invalid` (instant). */
  createToken(wish: TokenWish): Promise<{ readonly token: string; readonly id: Digest }>;
  tokens(namespace: string): Promise<readonly TokenView[]>;
  /** Pulls with it end within a second. Fault `resource.unknown` where the namespace has no such live token. */
  revokeToken(namespace: string, id: Digest): Promise<void>;
}

const faults = { '4xx': faultSchema, '5xx': faultSchema };
const security = [{ bearer: [] }];
const namespaceSchema = Type.String({ pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$' });
const namespaceRow = Type.Object({ namespace: namespaceSchema, environment: environmentSchema });
const tokenRow = Type.Object({
  id: digestSchema,
  name: Type.String(),
  role: Type.String(),
  environment: Type.Union([environmentSchema, Type.Null()]),
  createdAt: instantSchema,
  expiresAt: nullable(instantSchema),
  revokedAt: nullable(instantSchema),
});
const wishBody = Type.Object(
  {
    namespace: namespaceSchema,
    name: Type.String({ minLength: 1, maxLength: 100, ...writable }),
    environment: Type.Union([environmentSchema, Type.Null()]),
    expiresAt: nullable(instantSchema),
  },
  { additionalProperties: false },
);

const described = <const T>(operationId: string, response: T) => ({
  operationId,
  security,
  response: { 200: response, ...faults },
});

/** Refuses whoever is no administrator. */
type Admit = (request: FastifyRequest) => Promise<unknown>;

/** `/wb/v1/namespaces` and `/wb/v1/tokens`. */
export function accessRoutes(app: TypedApp, desk: AccessDesk, authenticate: Admit): void {
  namespaceRoutes(app, desk, authenticate);
  app.get(
    '/wb/v1/tokens',
    {
      schema: {
        ...described('listTokens', Type.Object({ items: Type.Array(tokenRow) })),
        querystring: Type.Object({ namespace: namespaceSchema }, { additionalProperties: false }),
      },
    },
    async (request) => {
      await authenticate(request);
      return { items: await desk.tokens(request.query.namespace) };
    },
  );
  app.post(
    '/wb/v1/tokens',
    {
      schema: {
        ...described('createToken', Type.Object({ token: Type.String(), id: digestSchema })),
        body: wishBody,
      },
    },
    async (request, reply) => {
      await authenticate(request);
      reply.header('cache-control', 'no-store');
      return desk.createToken(request.body);
    },
  );
  app.post(
    '/wb/v1/tokens/revoke',
    {
      schema: {
        ...described('revokeToken', Type.Object({ revoked: digestSchema })),
        body: Type.Object({ namespace: namespaceSchema, id: digestSchema }, { additionalProperties: false }),
      },
    },
    async (request) => {
      await authenticate(request);
      const id = parseDigest(request.body.id);
      await desk.revokeToken(request.body.namespace, id);
      return { revoked: id };
    },
  );
}

function namespaceRoutes(app: TypedApp, desk: AccessDesk, authenticate: Admit): void {
  app.get(
    '/wb/v1/namespaces',
    {
      schema: {
        operationId: 'listNamespaces',
        security,
        response: { 200: Type.Object({ items: Type.Array(namespaceRow) }), ...faults },
      },
    },
    async (request) => {
      await authenticate(request);
      return { items: await desk.namespaces() };
    },
  );
  app.post(
    '/wb/v1/namespaces',
    {
      schema: {
        operationId: 'setNamespace',
        security,
        body: Type.Object({ ...namespaceRow.properties }, { additionalProperties: false }),
        response: { 200: namespaceRow, ...faults },
      },
    },
    async (request) => {
      await authenticate(request);
      const { namespace, environment } = request.body;
      await desk.setNamespace(namespace, environment);
      return { namespace, environment };
    },
  );
}
