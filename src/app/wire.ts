import { openHub } from '#adapters/hub/hub.ts';
import { openCatalog } from '#adapters/postgres/catalog.ts';
import { openDecisionStore } from '#adapters/postgres/decisions.ts';
import { openJobs } from '#adapters/postgres/jobs.ts';
import { headChannel, jobChannel, listen } from '#adapters/postgres/notifications.ts';
import { openPeople } from '#adapters/postgres/people.ts';
import { openSettings } from '#adapters/postgres/settings.ts';
import { findNewestEntry, findSystemEntries } from '#adapters/postgres/system-entries.ts';
import { openTokens } from '#adapters/postgres/tokens.ts';
import type { Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { systemNamespace } from '#evidence/statement.ts';
import type { LoggedEvidence } from '#evidence/statement.ts';
import type { Clock } from '#lib/clock.ts';
import { toFault } from '#lib/fault.ts';
import type { Fault } from '#lib/fault.ts';
import { openProducers } from '#producers/producers.ts';
import type { Configuration } from './config.ts';
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
import { policiesDirectory } from './stores.ts';
import type { Stores } from './stores.ts';
import type { Logger } from './server.ts';
import { openTrustRoot } from './trust.ts';
import type { OpenTrust } from './trust.ts';
import { openArrivals } from './intake/arrivals.ts';
import type { Arrivals } from './intake/arrivals.ts';
import { openReconsideration } from './decisions/reconsider.ts';

/** The whole house, wired and running, without listeners. */
export interface House {
  readonly configuration: Configuration;
  readonly clock: Clock;
  readonly stores: Stores;
  readonly log: OpenLedger;
  readonly trust: OpenTrust;
  readonly writer: LedgerWriter;
  readonly policies: Policies;
  readonly catalog: ReturnType<typeof openCatalog>;
  readonly settings: ReturnType<typeof openSettings>;
  readonly tokens: ReturnType<typeof openTokens>;
  readonly people: ReturnType<typeof openPeople>;
  readonly decisionStore: ReturnType<typeof openDecisionStore>;
  readonly dossiers: Dossiers;
  readonly decisions: DecisionBook;
  readonly arrivals: Arrivals;
  readonly head: HeadWatch;
  readonly metrics: Metrics;
  /** Resolves with the first Fault after which the process must not go on. */
  readonly fatal: Promise<Fault>;
  /** Statements about the installation of one predicate, in log order. */
  systemEntries(predicateType: string): Promise<readonly LoggedEvidence[]>;
  /** Envelope digest of the newest entry of a predicate in a namespace. */
  newestOf(namespace: string, predicateType: string): Promise<Digest | undefined>;
  close(): Promise<void>;
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
  const { clock, logger } = tools;
  const { database } = stores.postgres;
  const metrics = makeMetrics();
  const fatal = Promise.withResolvers<Fault>();
  const failed = (what: string) => (error: unknown) => {
    const fault = toFault(error);
    if (fault.row.fatal === true) fatal.resolve(fault);
    metrics.faults.inc({ code: fault.code });
    logger.error({ fault, cause: fault.cause }, what);
  };
  let wake = (): void => {};
  const log = await openLedger(stores, {
    origin: configuration.origin,
    clock,
    committed: () => wake(),
    failed: failed('publishing the log failed'),
  });
  const trustRoots = () => findSystemEntries(database, predicateTypes.trustRoot);
  const trust = await openTrustRoot(
    { store: stores.sequence, sequencer: log.sequencer, keys: stores.keys, clock, trustRoots },
    configuration.origin,
  );

  const catalog = openCatalog(database);
  const settings = openSettings(database);
  const decisionStore = openDecisionStore(database);
  const jobs = openJobs(database);
  const table = openProducers();

  const referencesOf = (snapshot: Snapshot): readonly string[] => arrivals.references(snapshot);
  const dossiers = openDossiers({
    catalog,
    ledger: log.ledger,
    trust: () => trust.trust,
    tierOf: async ({ namespace, repository }) =>
      (await settings.tierOf(namespace, repository)) ?? configuration.tier,
    references: referencesOf,
  });
  // Own writes are told at once and again by the watch; forgetting twice is harmless, forgetting late is not.
  const writer = openLedgerWriter(log.ledger, (entries) => dossiers.forget(entries));
  const policies = await openPolicies({
    directory: policiesDirectory(configuration),
    blobs: stores.blobs,
    clock,
    write: async (statement) => void (await writer.write(systemNamespace, [statement], stores.keys.evidence)),
    inForce: async () =>
      policyOf((await findSystemEntries(database, predicateTypes.policy)).at(-1)?.statement.predicate),
    changed: (set) => {
      metrics.policyFaults.set(set.problems.length);
      logger.info({ policyDigest: set.digest, problems: set.problems }, 'policy changed');
      reconsideration.everything();
    },
    failed: failed('reading the policies failed'),
  });
  metrics.policyFaults.set(policies.current().problems.length);
  for (const problem of policies.current().problems)
    logger.error({ problem }, 'a policy does not compile and denies');

  const decisions = openDecisions({
    dossiers,
    store: decisionStore,
    policy: policies.current,
    trust: () => trust.trust,
    clock,
    ledgerAge: () => head.ledgerAge(),
    artifactOf: (listing) => arrivals.artifactOf(listing),
    write: (namespace, statements) => writer.write(namespace, statements, stores.keys.decisions),
    verifierId: () => `urn:weighbridge:verifier:${configuration.origin}`,
    counted: (decision) =>
      metrics.decisions.inc({ verdict: decision.verdict, action: decision.question.action }),
  });
  const reconsideration = openReconsideration({
    dossiers,
    decisions,
    store: decisionStore,
    settings,
    catalog,
    failed: failed('reconsidering failed'),
  });
  const arrivals = openArrivals({
    configuration,
    clock,
    blobs: stores.blobs,
    catalog,
    ledger: log.ledger,
    jobs,
    table,
    upstream: openHub({ upstream: configuration.upstream, token: configuration['upstream-token'] }),
    write: async (namespace, statements) =>
      void (await writer.write(namespace, statements, stores.keys.evidence)),
    arrived: (namespace, artifact) => dossiers.forgetArtifact(namespace, artifact),
    took: (seconds) => metrics.intakes.observe(seconds),
    failed: failed('an intake failed'),
  });
  const head = watchHead({
    store: stores.sequence,
    clock,
    startSize: (await log.ledger.head()).size,
    grown: (entries, size) => {
      metrics.logSize.set(size);
      reconsideration.about(dossiers.forget(entries));
    },
    failed: failed('reading the head of the ledger failed'),
  });
  wake = head.wake;
  const listening = listen(database, [
    { channel: headChannel, hear: head.wake },
    { channel: jobChannel, hear: arrivals.wake },
  ]);
  metrics.logSize.set((await log.ledger.head()).size);
  return {
    configuration,
    clock,
    stores,
    log,
    trust,
    writer,
    policies,
    catalog,
    settings,
    tokens: openTokens(database),
    people: openPeople(database),
    decisionStore,
    dossiers,
    decisions,
    arrivals,
    head,
    metrics,
    fatal: fatal.promise,
    systemEntries: (predicateType) => findSystemEntries(database, predicateType),
    newestOf: (namespace, predicateType) => findNewestEntry(database, namespace, predicateType),
    close: async () => {
      await arrivals.close();
      await policies.close();
      await reconsideration.close();
      await head.close();
      await listening.close();
      await table[Symbol.asyncDispose]();
      await log.close();
    },
  };
}

function policyOf(predicate: unknown): string | undefined {
  const digest: unknown =
    typeof predicate === 'object' && predicate !== null && 'policyDigest' in predicate
      ? predicate.policyDigest
      : undefined;
  return typeof digest === 'string' ? digest : undefined;
}
