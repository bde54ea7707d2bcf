import { EventEmitter } from 'node:events';
import { openHub } from '#adapters/hub/hub.ts';
import type { Hub } from '#adapters/hub/hub.ts';
import { openCatalog } from '#adapters/postgres/catalog.ts';
import { openDecisionStore } from '#adapters/postgres/decisions.ts';
import { openJobs } from '#adapters/postgres/jobs.ts';
import { headChannel, jobChannel, listen } from '#adapters/postgres/notifications.ts';
import { openIntakes } from '#adapters/postgres/intakes.ts';
import { openOrigins } from '#adapters/postgres/origins.ts';
import { openPeople } from '#adapters/postgres/people.ts';
import { openSandboxRunner } from '#adapters/sandbox/open-runner.ts';
import { openSettings } from '#adapters/postgres/settings.ts';
import { findNewestEntries, findNewestEntry, findSystemEntries } from '#adapters/postgres/system-entries.ts';
import { openTokens } from '#adapters/postgres/tokens.ts';
import { digestOfHex } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { systemNamespace } from '#evidence/statement.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import { steadyClock } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { toFault } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import { openProducers } from '#producers/producers.ts';
import type { ProducerTable } from '#producers/producers.ts';
import { sandboxLimits } from '#producers/sandbox/exercise.ts';
import type { Configuration } from './config.ts';
import { openDelivery } from './delivery.ts';
import type { OpenDelivery } from './delivery.ts';
import { openDecisions } from './decisions/decisions.ts';
import type { DecisionBook } from './decisions/decisions.ts';
import { openDossiers } from './decisions/dossiers.ts';
import type { Dossiers } from './decisions/dossiers.ts';
import { watchHead } from './head-watch.ts';
import type { HeadWatch } from './head-watch.ts';
import { openLedger } from './ledger.ts';
import type { OpenLedger } from './ledger.ts';
import { openLedgerWriter } from './ledger-writer.ts';
import type { LedgerWriter } from './ledger-writer.ts';
import { makeMetrics } from './metrics.ts';
import type { Metrics } from './metrics.ts';
import { openPolicies } from './policies.ts';
import type { Policies } from './policies.ts';
import { clockBehind, deliveryFile, policiesDirectory } from './stores.ts';
import type { Stores } from './stores.ts';
import type { Logger } from './server.ts';
import { openTrustRoot } from './trust.ts';
import type { OpenTrust } from './trust.ts';
import { openArrivals } from './intake/arrivals.ts';
import type { Arrivals } from './intake/arrivals.ts';
import { readCredentials } from './sources/credentials.ts';
import { openOwnedNames } from './intake/owned-names.ts';
import type { OwnedNames } from './intake/owned-names.ts';
import { performRun } from './sandbox/perform-run.ts';
import { openSandboxRuns } from './sandbox/sandbox-runs.ts';
import type { SandboxRuns } from './sandbox/sandbox-runs.ts';
import { openSourcesOf } from './sources/open.ts';
import type { Sources } from './sources/sources.ts';
import { openReconsideration } from './decisions/reconsider.ts';
import type { Reconsideration } from './decisions/reconsider.ts';
import type { CompiledPolicySet } from '#policy/compile.ts';

/** The whole house, wired and running, without listeners. */
export interface House extends Tables {
  readonly configuration: Configuration;
  readonly clock: Clock;
  readonly stores: Stores;
  readonly log: OpenLedger;
  readonly trust: OpenTrust;
  readonly writer: LedgerWriter;
  readonly policies: Policies;
  readonly delivery: OpenDelivery;
  readonly dossiers: Dossiers;
  readonly decisions: DecisionBook;
  readonly arrivals: Arrivals;
  readonly sources: Sources;
  readonly producers: ProducerTable;
  readonly sandboxRuns: SandboxRuns;
  readonly upstream: Hub;
  readonly head: HeadWatch;
  readonly metrics: Metrics;
  /** Resolves with the first Fault after which the process must not go on. */
  readonly fatal: Promise<Fault>;
  /** Statements about the installation of one predicate, in log order. */
  systemEntries(predicateType: string): Promise<readonly LoggedEvidence[]>;
  /** Envelope digest of the newest entry of a predicate in a namespace. */
  newestOf(namespace: string, predicateType: string): Promise<Digest | undefined>;
  /** Entries of one predicate in a namespace, newest first. */
  newestEntries(
    namespace: string,
    asked: Parameters<typeof findNewestEntries>[2],
  ): Promise<readonly LoggedEvidence[]>;
  close(): Promise<void>;
}

/** What the parts of the house share while they are put together. */
interface Site {
  readonly stores: Stores;
  readonly configuration: Configuration;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Reports a failure of background work; the first fatal one ends the process. */
  readonly failed: (what: string) => (error: unknown) => void;
}

/**
 * The only place where everything meets: adapters are put behind ports, producers run on arrivals, every entry of the
 * ledger makes the decisions that rest on it be taken again. Closes in the reverse order of opening.
 */
export async function openHouse(
  stores: Stores,
  configuration: Configuration,
  tools: { readonly clock: Clock; readonly logger: Logger },
): Promise<House> {
  const metrics = makeMetrics();
  const fatal = Promise.withResolvers<Fault>();
  const failed = (what: string) => (error: unknown) => {
    const fault = toFault(error);
    if (fault.row.fatal === true) fatal.resolve(fault);
    metrics.faults.inc({ code: fault.code });
    tools.logger.error({ fault, cause: fault.cause }, what);
  };
  const site: Site = { stores, configuration, ...tools, metrics, failed };
  const { database } = stores.postgres;
  const history = await openHistory(site);
  const tables = openTables(stores);
  const rooms = await openRooms(site, history, tables).catch(async (error: unknown) => {
    await history.log.close();
    throw error;
  });
  const { arrivals, sources, sandboxRuns, policies, delivery, reconsideration, head, producers } = rooms;
  const listening = listen(database, [
    { channel: headChannel, hear: head.wake },
    { channel: jobChannel, hear: arrivals.wake },
    { channel: jobChannel, hear: sources.wake },
    { channel: jobChannel, hear: sandboxRuns.wake },
  ]);
  return {
    configuration,
    stores,
    metrics,
    clock: tools.clock,
    ...history,
    ...tables,
    ...rooms,
    fatal: fatal.promise,
    systemEntries: (predicateType) => findSystemEntries(database, predicateType),
    newestOf: (namespace, predicateType) => findNewestEntry(database, namespace, predicateType),
    newestEntries: (namespace, asked) => findNewestEntries(database, namespace, asked),
    close: async () => {
      await sandboxRuns.close();
      await sources.close();
      await arrivals.close();
      await policies.close();
      await delivery.close();
      await reconsideration.close();
      await head.close();
      await listening.close();
      await producers[Symbol.asyncDispose]();
      await history.log.close();
    },
  };
}

/** The log and who may write what into it. */
async function openHistory({ stores, configuration, clock, failed }: Site) {
  const heard = new EventEmitter<{ committed: [] }>();
  const log = await openLedger(stores, {
    origin: configuration.origin,
    clock,
    committed: () => heard.emit('committed'),
    failed: failed('publishing the log failed'),
  });
  const trustRoots = () => findSystemEntries(stores.postgres.database, predicateTypes.trustRoot);
  const trust = await openTrustRoot(
    {
      store: stores.sequence,
      sequencer: log.sequencer,
      keys: stores.keys,
      clock,
      trustRoots,
      acquire: (name) => stores.leases.acquire(name),
    },
    configuration.origin,
  ).catch(async (error: unknown) => {
    await log.close();
    throw error;
  });
  return { log, trust, heard };
}

function openTables({ postgres: { database } }: Stores) {
  return {
    catalog: openCatalog(database),
    settings: openSettings(database),
    tokens: openTokens(database),
    people: openPeople(database),
    decisionStore: openDecisionStore(database),
    jobs: openJobs(database),
    intakes: openIntakes(database),
    origins: openOrigins(database),
  };
}

type History = Awaited<ReturnType<typeof openHistory>>;
type Tables = ReturnType<typeof openTables>;

/** Dossiers, policy, decisions and arrivals: the parts that call each other while the house runs. */
async function openRooms(site: Site, history: History, tables: Tables) {
  const { stores, configuration, clock, metrics, failed } = site;
  const { log, trust } = history;
  const { catalog, settings, decisionStore } = tables;
  const credentials = readCredentials(configuration['intake-credentials']);
  const startSize = (await log.ledger.head()).size;
  const owned = openOwnedNames({ origins: tables.origins, catalog, clock });
  const dossiers: Dossiers = openDossiers({
    catalog,
    ledger: log.ledger,
    trust: () => trust.trust,
    tierOf: async ({ namespace, repository }) =>
      (await settings.tierOf(namespace, repository)) ?? configuration.tier,
    needsApproval: (snapshot) => delivery.needsApproval(snapshot),
    references: (snapshot) => ways.arrivals.references(snapshot),
    fromHub: async (snapshot) => !(await owned.isTaken(snapshot.namespace, snapshot.repository)),
  });
  const told = (entries: readonly LoggedEvidence[]): void => {
    const concerned = [...dossiers.forget(entries), ...saidAfterwards(entries)];
    if (concerned.length > 0) reconsideration.about(concerned);
  };
  // Own writes are told at once and again by the watch; forgetting twice is harmless, forgetting late is not.
  const writer = openLedgerWriter(log.ledger, told);
  const delivery = await openDeliveryRules(site, () => {
    dossiers.forgetAll();
    reconsideration.everything();
  });
  const policies = await openPolicyFolder(site, writer, () => reconsideration.everything()).catch(
    async (error: unknown) => {
      await delivery.close();
      throw error;
    },
  );
  const decisions: DecisionBook = openDecisions({
    dossiers,
    store: decisionStore,
    policy: policies.current,
    trust: () => trust.trust,
    clock,
    ledgerAge: () => head.ledgerAge(),
    artifactOf: (listing) => ways.arrivals.artifactOf(listing),
    write: (namespace, statements) => writer.write(namespace, statements, stores.keys.decisions),
    verifierId: () => `urn:weighbridge:verifier:${configuration.origin}`,
    failed: failed('a decision could not be taken'),
    counted: ({ verdict, question: { action } }) => metrics.decisions.inc({ verdict, action }),
  });
  const reconsideration: Reconsideration = openReconsideration({
    decisions,
    settings,
    catalog,
    store: decisionStore,
    failed: failed('reconsidering failed'),
  });
  const ways = openWaysIn(site, history, tables, {
    owned,
    writer,
    dossiers,
    delivery,
    credentials,
  });
  const head = openHeadWatch(site, history, { startSize, told });
  const sandboxRuns = openSandboxQueue(site, tables, { ...ways, writer, decisions });
  return { dossiers, writer, policies, delivery, decisions, reconsideration, ...ways, sandboxRuns, head };
}

/** How bytes get in: from the hub when they are asked for, from everywhere else when somebody orders it. */
function openWaysIn(
  site: Site,
  { log }: History,
  tables: Tables,
  rooms: {
    readonly owned: OwnedNames;
    readonly writer: LedgerWriter;
    readonly dossiers: Dossiers;
    readonly delivery: OpenDelivery;
    readonly credentials: ReturnType<typeof readCredentials>;
  },
) {
  const { stores, configuration, clock, metrics, failed } = site;
  const { owned, writer, dossiers, delivery, credentials } = rooms;
  const producers = openProducers(sandboxOf(configuration));
  producers.warm();
  const upstream = openUpstream(configuration, clock);
  const arrivals: Arrivals = openArrivals({
    configuration,
    clock,
    catalog: tables.catalog,
    owned,
    jobs: tables.jobs,
    stores,
    delivery,
    ledger: log.ledger,
    table: producers,
    upstream,
    incident: (kind) => metrics.incidents.inc({ kind }),
    write: async (namespace, statements) =>
      void (await writer.write(namespace, statements, stores.keys.evidence)),
    arrived: (namespace, artifact) => dossiers.forgetArtifact(namespace, artifact),
    took: (seconds) => metrics.intakes.observe(seconds),
    failed: failed('an intake failed'),
  });
  const sources = openSourcesOf(site, tables, { owned, producers, arrivals, writer, credentials });
  return { producers, arrivals, upstream, sources };
}

/** Runs in the sandbox that somebody orders: on the queue, signed with the evidence key, decided upon at once. */
function openSandboxQueue(
  { stores, failed }: Site,
  { jobs, catalog }: Tables,
  rooms: {
    readonly producers: ProducerTable;
    readonly arrivals: Arrivals;
    readonly writer: LedgerWriter;
    readonly decisions: DecisionBook;
  },
): SandboxRuns {
  const { producers, arrivals, writer, decisions } = rooms;
  const ports = {
    catalog,
    producer: producers.sandbox,
    arrivals,
    write: async (namespace: string, statements: readonly Statement[]) =>
      void (await writer.write(namespace, statements, stores.keys.evidence)),
    reconsider: decisions.reconsider,
  };
  return openSandboxRuns({
    jobs,
    perform: (namespace, artifact, signal) => performRun(ports, { namespace, artifact, signal }),
    failed: failed('a run in the sandbox failed'),
  });
}

/** The data directory stays out of what a sandbox shows, wherever the interpreter lives. */
function sandboxOf(configuration: Configuration): Parameters<typeof openProducers>[0] {
  if (configuration.sandbox === 'off') return {};
  return {
    sandbox: {
      openRunner: () => openSandboxRunner({ hidden: [configuration.data] }),
      python: configuration['sandbox-python'],
      limits: sandboxLimits,
      trustRemoteCode: false,
    },
  };
}

function openUpstream(configuration: Configuration, clock: Clock): Hub {
  const timeoutMs = configuration['upstream-timeout'] * 1000;
  return openHub({
    upstream: configuration.upstream,
    token: configuration['upstream-token'],
    concurrency: configuration['upstream-concurrency'],
    timeouts: { headerMs: timeoutMs, idleMs: timeoutMs },
    clock,
  });
}

const afterwards: readonly string[] = [
  predicateTypes.approval,
  predicateTypes.waiver,
  predicateTypes.revocation,
  predicateTypes.sandbox,
];

/** What is said later, by people or by the sandbox, may be about an artifact of which no dossier is in memory; its kept decisions change all the same. */
function saidAfterwards(entries: readonly LoggedEvidence[]) {
  return entries
    .filter(({ statement }) => afterwards.includes(statement.predicateType))
    .flatMap(({ namespace, statement }) =>
      statement.subject.map(({ digest }) => ({ namespace, artifact: digestOfHex(digest.sha256) })),
    );
}

async function openPolicyFolder(site: Site, writer: LedgerWriter, changed: () => void): Promise<Policies> {
  const { stores, configuration, clock, logger, metrics, failed } = site;
  const report = ({ digest, problems }: CompiledPolicySet): void => {
    metrics.policyFaults.set(problems.length);
    for (const problem of problems) logger.error({ problem }, 'a policy does not compile and denies');
    logger.info({ policyDigest: digest }, 'policy in force');
  };
  const inForce = async (): Promise<string | undefined> => {
    const entries = await findSystemEntries(stores.postgres.database, predicateTypes.policy);
    return policyOf(entries.at(-1)?.statement.predicate);
  };
  const policies = await openPolicies({
    directory: policiesDirectory(configuration),
    blobs: stores.blobs,
    clock,
    write: async (statement) => void (await writer.write(systemNamespace, [statement], stores.keys.evidence)),
    inForce,
    changed: (set) => {
      report(set);
      changed();
    },
    failed: failed('reading the policies failed'),
  });
  report(policies.current());
  return policies;
}

async function openDeliveryRules(site: Site, approvalsChanged: () => void): Promise<OpenDelivery> {
  const { configuration, logger, metrics, failed } = site;
  return openDelivery({
    path: deliveryFile(configuration),
    required: configuration.delivery !== undefined,
    approvalsChanged,
    changed: (problem) => {
      metrics.deliveryFaults.set(problem === undefined ? 0 : 1);
      if (problem === undefined) logger.info('delivery rules in force');
      else failed('the delivery rules are broken: everything is held')(problem);
    },
    failed: failed('looking at the delivery rules failed'),
  });
}

function openHeadWatch(
  { stores, metrics, clock, logger, failed }: Site,
  { heard }: History,
  watched: {
    readonly startSize: number;
    readonly told: (entries: readonly LoggedEvidence[]) => void;
  },
): HeadWatch {
  metrics.logSize.set(watched.startSize);
  const head: HeadWatch = watchHead({
    store: stores.sequence,
    steady: steadyClock,
    startSize: watched.startSize,
    grown: (entries, grownTo) => {
      metrics.logSize.set(grownTo);
      watched.told(entries);
      const behindMs = clockBehind(clock, head.ledgerAge().signedAtMs);
      metrics.clockBehind.set(behindMs / 1000);
      if (behindMs > 1000) logger.error({ behindMs }, 'the system clock is behind the last checkpoint');
    },
    failed: failed('reading the head of the ledger failed'),
  });
  heard.on('committed', head.wake);
  return head;
}

function policyOf(predicate: unknown): string | undefined {
  const digest: unknown =
    typeof predicate === 'object' && predicate !== null && 'policyDigest' in predicate
      ? predicate.policyDigest
      : undefined;
  return typeof digest === 'string' ? digest : undefined;
}
