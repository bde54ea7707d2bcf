import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { blobPath } from '#adapters/filesystem/blob-store.ts';
import { gates } from '#gates/gates.ts';
import type { FrontProxy } from '#gates/pull/hand-over.ts';
import type { PullJournal } from '#gates/pull/ports.ts';
import { defaultPullSettings } from '#gates/pull/settings.ts';
import type { Digest } from '#artifact/digest.ts';
import { systemClock } from '#lib/clock.ts';
import { Fault, toFault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';
import { withShortPath } from './cli/connection.ts';
import { isLoopback } from './config.ts';
import type { Configuration, ListenAddress } from './config.ts';
import { openDesk } from './desk/desk.ts';
import { openJournal } from './journal.ts';
import { makeLogger } from './logger.ts';
import { version } from './version.ts';
import { prepareAccess } from './access.ts';
import { callerOf, identifyCaller, openPrincipals } from './principals.ts';
import type { PrincipalPorts } from './principals.ts';
import { refuseSecondServer } from './running.ts';
import { makeListener, makePeopleListener } from './server.ts';
import type { Logger } from './server.ts';
import { openStores, policiesDirectory } from './stores.ts';
import { openTally } from './tally.ts';
import { openHouse } from './wire.ts';
import type { House } from './wire.ts';

export interface RunningServer {
  readonly version: string;
  readonly clientsUrl: string;
  readonly consoleUrl: string;
  readonly trustFingerprint: Digest;
  readonly madeTrust: boolean;
  /** The administrator token where this start made one. */
  readonly madeToken: Redacted<string> | undefined;
  readonly policies: string;
  /** Resolves when everything is closed; with the Fault that ended it where it was not told to stop. */
  readonly ended: Promise<Fault | undefined>;
}

/** Requests under way may finish for this long after the server was told to stop. */
const drainMs = 25_000;

/** Opens everything, listens, and closes in the reverse order when `stop` aborts or something fatal happens. */
export async function startServer(
  configuration: Configuration,
  options: { readonly terminal: boolean; readonly stop: AbortSignal },
): Promise<RunningServer> {
  const logger = makeLogger(configuration['log-level'] ?? (options.terminal ? 'warn' : 'info'));
  await refuseSecondServer(configuration.data);
  // What was opened before something failed is closed again: a timer left behind would keep a dead server alive.
  await using opening = new AsyncDisposableStack();
  const stores = await openStores(configuration);
  opening.defer(() => stores.close());
  const house = await openHouse(stores, configuration, { clock: systemClock, logger });
  opening.defer(() => house.close());
  const madeToken = await prepareAccess(house, {
    token: configuration['admin-token'],
    environment: configuration.environment,
  });
  const ready = { draining: false };
  const listeners = await listen(house, logger, ready);
  opening.defer(() => listeners.close());
  const opened = opening.move();
  const end = Promise.withResolvers<Fault | undefined>();
  options.stop.addEventListener('abort', () => end.resolve(undefined), { once: true });
  if (options.stop.aborted) end.resolve(undefined);
  house.fatal.then(
    (fault) => end.resolve(fault),
    () => {},
  );
  stores.postgres.exited.then(
    (reason) => end.resolve(new Fault('database.unavailable', `the embedded PostgreSQL ended: ${reason}`)),
    () => {},
  );
  const ended = end.promise.then(async (failure) => {
    ready.draining = true;
    logger.info({ failure }, 'stopping');
    await opened.disposeAsync();
    return failure;
  });
  return {
    version: version(),
    clientsUrl: listeners.clientsUrl,
    consoleUrl: `${listeners.peopleUrl}/console/`,
    trustFingerprint: house.trust.fingerprint,
    madeTrust: house.trust.made,
    madeToken,
    policies: policiesDirectory(configuration),
    ended,
  };
}

interface Listeners {
  readonly clientsUrl: string;
  readonly peopleUrl: string;
  close(): Promise<void>;
}

async function listen(
  house: House,
  logger: Logger,
  state: { readonly draining: boolean },
): Promise<Listeners> {
  const { configuration, metrics, settings, tokens } = house;
  const access: PrincipalPorts = {
    findToken: (digest) => tokens.find(digest),
    environmentOf: (namespace) => settings.environmentOf(namespace),
    anonymous: isLoopback(configuration.listen),
  };
  const desk = openDesk(house);
  const health = { ready: () => readiness(house, state) };
  const settingsOfPeople = { desk, metrics, health, version: version() };
  const opened: FastifyInstance[] = [];
  const tally = openTally(house, openJournal(metrics));
  try {
    const byToken = await makePeopleListener(logger, {
      ...settingsOfPeople,
      authenticate: (request) => {
        const { authorization } = request.headers;
        return identifyCaller(access, authorization === undefined ? undefined : new Redacted(authorization));
      },
    });
    opened.push(byToken);
    const peopleUrl =
      configuration['console-url']?.origin ??
      urlOf(await byToken.listen(configuration['console-listen']), configuration['console-listen']);
    const bySocket = await makePeopleListener(logger, {
      ...settingsOfPeople,
      authenticate: () => callerOf(access),
    });
    opened.push(bySocket);
    await listenOnSocket(bySocket, configuration.data);
    const clients = openClientsListener(house, logger, { access, journal: tally.journal, peopleUrl });
    opened.push(clients);
    const clientsUrl =
      configuration['public-url']?.origin ??
      urlOf(await clients.listen(configuration.listen), configuration.listen);
    return {
      clientsUrl,
      peopleUrl,
      close: async () => {
        await drain(opened);
        await tally.close();
      },
    };
  } catch (error) {
    await tally.close();
    for (const app of opened) await app.close();
    throw listenFault(error);
  }
}

function openClientsListener(
  house: House,
  logger: Logger,
  parts: { readonly access: PrincipalPorts; readonly journal: PullJournal; readonly peopleUrl: string },
): FastifyInstance {
  const { configuration, metrics } = house;
  const clients = makeListener('clients', logger, metrics);
  if (parts.access.anonymous) refuseForeignHosts(clients, configuration);
  gates.pull.open(clients, {
    intake: house.arrivals.intake,
    decisions: house.decisions,
    principals: openPrincipals(parts.access),
    blobs: house.stores.blobs,
    partials: house.stores.partials,
    journal: parts.journal,
    clock: house.clock,
    settings: {
      ...defaultPullSettings,
      publicUrl: configuration['public-url']?.origin,
      holdMs: configuration['hold-wait'] * 1000,
      heartbeat: configuration['interim-responses'] === 'on' ? 'direct' : 'never',
      front: frontOf(configuration),
      explainUrl: ({ question }) => `${parts.peopleUrl}/console/artifacts/${question.artifact}`,
    },
  });
  return clients;
}

/** The layout of the blob store is what the proxy sees under its internal location. */
function frontOf(configuration: Configuration): FrontProxy | undefined {
  const prefix = configuration['accel-prefix'];
  if (prefix === undefined) return undefined;
  return { addresses: configuration['accel-from'], uriOf: (digest) => blobPath(prefix, digest) };
}

/**
 * Where callers need no token, a web page must not be able to ask in their name: a name of its own that resolves to this
 * machine (DNS rebinding) is no name of this listener.
 */
function refuseForeignHosts(clients: FastifyInstance, configuration: Configuration): void {
  const known = new Set([
    'localhost',
    '127.0.0.1',
    '::1',
    configuration.listen.host,
    configuration['public-url']?.hostname,
  ]);
  clients.addHook('onRequest', async (request, reply) => {
    const host = request.hostname.replace(/^\[|\]$/g, '').toLowerCase();
    if (known.has(host) || /^127\.\d+\.\d+\.\d+$/.test(host)) return;
    const fault = new Fault('request.forbidden', 'this listener is not known by that name', {
      hint: 'set `public-url` to the name that clients use',
    });
    return reply
      .code(fault.row.status)
      .header('x-error-code', fault.code)
      .header('x-error-message', fault.message)
      .send({ error: fault.message, code: fault.code });
  });
}

async function listenOnSocket(app: FastifyInstance, data: string): Promise<void> {
  const folder = join(data, 'run');
  const path = join(folder, 'weighbridge.sock');
  await rm(path, { force: true });
  await withShortPath(folder, 'weighbridge.sock', (short) => app.listen({ path: short }));
  await chmod(path, 0o600);
}

function readiness(house: House, state: { readonly draining: boolean }) {
  if (state.draining) return { ready: false, reason: 'the server is stopping' };
  if (house.head.ledgerAge().stale)
    return { ready: false, reason: 'the ledger was not read for more than 10 seconds' };
  return { ready: true, reason: undefined };
}

function listenFault(error: unknown): Fault {
  const fault = toFault(error);
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') return fault;
  const message = error instanceof Error ? error.message : String(error);
  return new Fault('config.invalid', `cannot listen: ${message}`, {
    hint: 'choose other addresses with `--listen` and `--console-listen`',
    cause: error,
  });
}

function urlOf(listening: string, address: ListenAddress): string {
  const port = new URL(listening).port;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `http://${host}:${port}`;
}

/**
 * Takes nothing new and lets what is under way finish, at most `drainMs`. A connection that a client keeps alive is
 * closed as soon as its answer is out: closing once at the start would miss those that were busy then.
 */
async function drain(opened: readonly FastifyInstance[]): Promise<void> {
  const closed = Promise.all(opened.map((app) => app.close()));
  const idle = setInterval(() => {
    for (const app of opened) app.server.closeIdleConnections();
  }, 100);
  try {
    await Promise.race([closed, later(drainMs)]);
    for (const app of opened) app.server.closeAllConnections();
    await closed;
  } finally {
    clearInterval(idle);
  }
}

async function later(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms).unref());
}
