import type { Catalog, Snapshot } from '#artifact/catalog.ts';
import { digestOfHex, hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { buildManifest } from '#artifact/manifest.ts';
import { openDecisions } from '#app/decisions/decisions.ts';
import type { DecisionBook, DecisionPorts } from '#app/decisions/decisions.ts';
import type { DecisionStore, KeptDecision } from '#policy/decision-store.ts';
import { openDossiers } from '#app/decisions/dossiers.ts';
import type { Dossiers } from '#app/decisions/dossiers.ts';
import { openLedgerWriter } from '#app/ledger-writer.ts';
import type { LedgerWriter } from '#app/ledger-writer.ts';
import type { Ledger } from '#evidence/ledger.ts';
import { openSequencer } from '#evidence/log/sequence.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { makeStatement, systemNamespace } from '#evidence/statement.ts';
import type { Statement } from '#evidence/statement.ts';
import { makeTrustRoot, openTrust, signTrustRoot } from '#evidence/trust.ts';
import { formatInstant } from '#lib/clock.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { compilePolicySet } from '#policy/compile.ts';
import type { CompiledPolicySet } from '#policy/compile.ts';
import type { Question } from '#policy/decision.ts';
import { openMemorySequenceStore } from './memory-sequence-store.ts';
import type { MemorySequenceStore } from './memory-sequence-store.ts';
import { digestNamed } from './policy-case.ts';
import { ed25519Signer } from './signing.ts';

export const houseStartMs = Date.parse('2026-03-01T00:00:00Z');

/** The rooms that decide, over a real sequencer, with every store in memory and a clock that the test sets. */
export interface DecisionHouse {
  readonly clock: { ms: number };
  readonly age: { stale: boolean; signedAtMs: number };
  readonly store: MemorySequenceStore;
  readonly ledger: Ledger;
  readonly kept: KeptDecision[];
  readonly snapshot: Snapshot;
  readonly question: Question;
  readonly dossiers: Dossiers;
  readonly decisions: DecisionBook;
  readonly writer: LedgerWriter;
  /** Members may be replaced: the next call goes to the replacement. */
  readonly ports: {
    policy: () => CompiledPolicySet;
    catalog: Catalog;
    find: Ledger['find'];
    needsApproval: () => boolean;
  };
  approve(expiresAt: string | null): Promise<void>;
  revoke(): Promise<void>;
  statement(predicateType: string, predicate: object): Statement;
}

/** Allows what somebody approved, until the approval expires. */
export const approvedOnly = policyNamed('house', 'size(approvals) >= 1');

export function policyNamed(name: string, require: string): CompiledPolicySet {
  const rule = {
    id: 'rule',
    effect: 'deny',
    description: 'x',
    require,
    message: 'no',
    who: 'nobody',
    remedy: 'none',
  };
  const text = JSON.stringify({
    apiVersion: 'weighbridge.dev/policy/v1',
    name,
    description: 'x',
    rules: [rule],
  });
  return compilePolicySet([{ name, text }]);
}

export async function openDecisionHouse(): Promise<DecisionHouse> {
  const clock = { ms: houseStartMs, now: () => clock.ms };
  const age = { stale: false, signedAtMs: 0 };
  const keys = {
    log: ed25519Signer(),
    evidence: ed25519Signer(),
    decisions: ed25519Signer(),
    release: ed25519Signer(),
  };
  const store = openMemorySequenceStore();
  const sequencer = await openSequencer({ store, signer: keys.log, origin: 'test.example/log', clock });
  const root = makeTrustRoot({ origin: 'test.example/log', issuedAt: formatInstant(clock.ms), keys });
  const signed = await signTrustRoot(root, [keys.log, keys.evidence, keys.decisions, keys.release]);
  await sequencer.append([{ namespace: systemNamespace, ...signed }]);
  const trust = openTrust(root);
  const snapshot = makeSnapshot();
  const ports: DecisionHouse['ports'] = {
    policy: () => approvedOnly,
    catalog: memoryCatalog([snapshot]),
    find: findIn(store),
    needsApproval: () => false,
  };
  const ledger: Ledger = {
    append: sequencer.append,
    head: sequencer.head,
    find: (query) => ports.find(query),
  };
  const dossiers = openDossiers({
    catalog: {
      ...ports.catalog,
      findArtifact: (...asked) => ports.catalog.findArtifact(...asked),
      linked: (...asked) => ports.catalog.linked(...asked),
    },
    ledger,
    trust: () => trust,
    tierOf: async () => 'medium',
    needsApproval: () => ports.needsApproval(),
    references: () => ['main'],
    fromHub: async () => true,
  });
  const writer = openLedgerWriter(ledger, (entries) => dossiers.forget(entries));
  const kept: KeptDecision[] = [];
  const decisionPorts: DecisionPorts = {
    dossiers,
    store: memoryDecisions(kept),
    policy: () => ports.policy(),
    trust: () => trust,
    clock,
    ledgerAge: () => age,
    artifactOf: async ({ commit }) => (commit === snapshot.commit ? snapshot.artifact : undefined),
    write: (namespace, statements) => writer.write(namespace, statements, keys.decisions),
    verifierId: () => 'urn:test',
    counted: () => {},
    failed: () => {},
  };
  const statement = (predicateType: string, predicate: object): Statement =>
    makeStatement({
      namespace: 'default',
      subject: [{ digest: { sha256: hexOf(snapshot.artifact) } }],
      predicateType,
      predicate,
    });
  const say = async (predicateType: string, predicate: object): Promise<void> => {
    await writer.write('default', [statement(predicateType, predicate)], keys.evidence);
  };
  const common = { person: 'person-1', reason: 'tested', namespace: 'default' };
  return {
    clock,
    age,
    store,
    ledger,
    kept,
    snapshot,
    dossiers,
    writer,
    ports,
    statement,
    decisions: openDecisions(decisionPorts),
    question: {
      principal: 'client',
      action: 'pull',
      artifact: snapshot.artifact,
      files: ['model.safetensors'],
      namespace: 'default',
      environment: 'development',
    },
    approve: (expiresAt) =>
      say(predicateTypes.approval, {
        ...common,
        approvedAt: formatInstant(clock.ms),
        root: 'all',
        environments: ['development'],
        expiresAt,
      }),
    revoke: () => say(predicateTypes.revocation, { ...common, revokedAt: formatInstant(clock.ms) }),
  };
}

function makeSnapshot(): Snapshot {
  const files = ['config.json', 'model.safetensors'].map((path) => ({
    path,
    digest: digestNamed(path),
    sizeBytes: 10,
    gitOid: '0'.repeat(40),
    lfs: false,
  }));
  return {
    namespace: 'default',
    repository: { type: 'models', id: 'org/name' },
    commit: 'a'.repeat(40),
    artifact: buildManifest(files).digest,
    files,
    provisional: false,
  };
}

/** Snapshots as they are; every file of theirs is present in their namespace. */
export function memoryCatalog(snapshots: readonly Snapshot[]): Catalog {
  return {
    saveSnapshot: async () => {},
    findSnapshot: async (namespace, { type, id }, commit) =>
      snapshots.find(
        (one) =>
          one.namespace === namespace &&
          one.repository.type === type &&
          one.repository.id === id &&
          one.commit === commit,
      ),
    findArtifact: async (namespace, artifact) =>
      snapshots.filter((one) => one.namespace === namespace && one.artifact === artifact),
    listSnapshots: async (namespace) => ({
      snapshots: snapshots.filter((one) => one.namespace === namespace),
      next: undefined,
    }),
    saveReference: async () => {},
    findReference: async () => undefined,
    link: async () => {},
    linked: async (_namespace, digests) => new Set(digests),
  };
}

function findIn(store: MemorySequenceStore): Ledger['find'] {
  return async ({ namespace, subjects, predicateTypes: wanted, beforeIndex }) => {
    const about = new Set<Digest>(subjects);
    return store.entries.filter(
      (entry) =>
        (entry.namespace === namespace || entry.namespace === systemNamespace) &&
        entry.statement.subject.some(({ digest }) => about.has(digestOfHex(digest.sha256))) &&
        (wanted === undefined || wanted.includes(entry.statement.predicateType)) &&
        entry.logIndex < (beforeIndex ?? Infinity),
    );
  };
}

function memoryDecisions(kept: KeptDecision[]): DecisionStore {
  const same = (question: Question) => (one: KeptDecision) =>
    encodeJcsText(one.decision.question) === encodeJcsText(question);
  return {
    find: async (question) => kept.findLast(same(question)),
    save: async (one) => void kept.push(one),
    wasAllowed: async (question) =>
      kept.some((one) => same(question)(one) && one.decision.verdict !== 'deny'),
    recent: async () => kept.toReversed(),
    list: async (_namespace, artifact) => kept.filter((one) => one.decision.question.artifact === artifact),
  };
}
