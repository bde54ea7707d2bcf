import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import swagger from '@fastify/swagger';
import fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { pullServerOptions } from '#gates/pull/server-options.ts';
import { limits } from '#lib/limits.ts';
import { Fault } from '#lib/fault.ts';
import type { Metrics } from './metrics.ts';
import { answerFaults, sendFault } from './routes/faults.ts';
import { peopleRoutes } from './routes/people.ts';
import type { Authenticate, Desk } from './routes/people.ts';

export type { FastifyBaseLogger as Logger } from 'fastify';

/** Whether the process can serve: `ready` is false while starting, draining or cut off from the ledger. */
export interface Health {
  ready(): { readonly ready: boolean; readonly reason: string | undefined };
}

/** A Fastify instance with the bounds that every listener of ours keeps. */
export function makeListener(
  name: 'clients' | 'people',
  logger: FastifyBaseLogger,
  metrics: Metrics,
): FastifyInstance {
  const app = fastify({
    loggerInstance: logger.child({ listener: name }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.requestBytes,
    // A body says what it says: `null` is not an empty list and `"1"` is not a number.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    connectionTimeout: 0,
    routerOptions: { maxParamLength: limits.pathBytes * 3, ignoreDuplicateSlashes: false },
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    ...pullServerOptions,
  });
  app.addHook('onResponse', async (request, reply) => {
    metrics.requests.inc({ listener: name, status: String(reply.statusCode) });
    request.log.info(
      {
        method: request.method,
        // Without the query: what people put there by mistake may be a secret.
        url: request.url.split('?', 1)[0]?.slice(0, 500),
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      'request answered',
    );
  });
  return app;
}

export interface PeopleSettings {
  readonly desk: Desk;
  readonly authenticate: Authenticate;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly version: string;
}

const consoleFolder = [
  new URL('../../console/dist/', import.meta.url),
  new URL('../console/', import.meta.url),
];

/** The listener for people and automation: `/wb/v1`, `/console/`, `/metrics`, `/healthz`, `/readyz`. */
export async function makePeopleListener(
  logger: FastifyBaseLogger,
  settings: PeopleSettings,
): Promise<FastifyInstance> {
  const { desk, authenticate, metrics, health } = settings;
  const app = makeListener('people', logger, metrics);
  answerFaults(app, metrics);
  app.addHook('onSend', async (_request, reply) => {
    // A page of somebody else's making brings a policy of its own, a stricter one.
    const own = reply.getHeader('content-security-policy');
    reply.headers({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'content-security-policy':
        own ??
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    });
  });
  await app.register(swagger, { openapi: openApiFrame(settings.version) });
  await app.register(async (scope) => {
    peopleRoutes(scope.withTypeProvider(), desk, authenticate);
  });
  app.get('/wb/v1/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'alive' }));
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    const { ready, reason } = health.ready();
    return ready
      ? { status: 'ready' }
      : sendFault(reply, new Fault('server.draining', reason ?? 'not ready'));
  });
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply.header('content-type', metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
  await serveConsole(app);
  return app;
}

async function serveConsole(app: FastifyInstance): Promise<void> {
  const folder = consoleFolder.map((url) => fileURLToPath(url)).find((path) => existsSync(path));
  if (folder === undefined) {
    app.get('/console/', { schema: { hide: true } }, async () => {
      throw new Fault('resource.unknown', 'the console is not built', { hint: 'run `npm run build`' });
    });
  } else {
    await app.register(fastifyStatic, {
      root: folder,
      prefix: '/console/',
      wildcard: false,
      index: 'index.html',
    });
    app.get('/console/*', { schema: { hide: true } }, async (_request, reply) =>
      reply.sendFile('index.html'),
    );
  }
  app.get('/', { schema: { hide: true } }, async (_request, reply) => reply.redirect('/console/', 302));
}

function openApiFrame(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Weighbridge',
      version,
      description: 'Evidence about artifacts, one decision, many gates.',
      license: { name: 'Apache-2.0' },
    },
    components: { securitySchemes: { bearer: { type: 'http' as const, scheme: 'bearer' } } },
  };
}
