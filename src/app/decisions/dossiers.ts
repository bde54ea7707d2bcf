import { setImmediate as turn } from 'node:timers/promises';
import type { Catalog, Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import { roleOf } from '#artifact/roles.ts';
import { rootsOf } from '#artifact/roots.ts';
import type { Ledger, LogHead } from '#evidence/ledger.ts';
import type { Tier } from '#evidence/predicates.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { mapInSlices } from '#lib/slices.ts';
import { systemNamespace } from '#evidence/statement.ts';
import type { LoggedEvidence } from '#evidence/statement.ts';
import { verifyLogged } from '#evidence/verify.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import type { Trust } from '#evidence/trust.ts';
import type { DecisionSubject } from '#policy/decision.ts';
import { EvidenceIndex } from '#policy/evidence-index.ts';

/** Everything that a decision about one artifact in one namespace looks at, up to one checkpoint. */
export interface Dossier {
  readonly namespace: string;
  readonly subject: DecisionSubject;
  /** Verified against the trust root; what did not verify is in `rejected` and counts for nothing. */
  readonly evidence: readonly VerifiedEvidence[];
  /** The same evidence, looked up once for all questions. */
  readonly index: EvidenceIndex;
  readonly rejected: readonly {
    readonly evidence: LoggedEvidence;
    readonly reasons: readonly { readonly code: string; readonly message: string }[];
  }[];
  readonly head: LogHead;
  readonly snapshots: readonly Snapshot[];
}

export interface DossierPorts {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly trust: () => Trust;
  readonly tierOf: (snapshot: Snapshot) => Promise<Tier>;
  /** Do the delivery rules ask for a person's approval? */
  readonly needsApproval: (snapshot: Snapshot) => boolean;
  readonly references: (snapshot: Snapshot) => readonly string[];
  /** Did the snapshot come from the upstream hub, and not by an intake? */
  readonly fromHub: (snapshot: Snapshot) => Promise<boolean>;
}

const keptDossiers = 500;
/** From so many files on reading the evidence is noticed by others. */
const manyFiles = 500;

/** Dossiers in memory, dropped the moment the ledger takes an entry about any of their subjects. */
export interface Dossiers {
  /** Undefined where the namespace does not see the artifact. */
  open(namespace: string, artifact: Digest): Promise<Dossier | undefined>;
  /** Tells what the ledger took; gives the dossiers that were dropped for it. */
  forget(
    entries: readonly LoggedEvidence[],
  ): readonly { readonly namespace: string; readonly artifact: Digest }[];
  forgetArtifact(namespace: string, artifact: Digest): void;
  forgetAll(): void;
}

export function openDossiers(ports: DossierPorts): Dossiers {
  const kept = new Map<string, Kept>();
  const bySubject = new Map<string, Set<string>>();
  /** Not read to the end yet: what they are about is not known, so everything in their namespace concerns them. */
  const loading = new Set<string>();

  const drop = (name: string): void => {
    const entry = kept.get(name);
    if (entry === undefined) return;
    kept.delete(name);
    loading.delete(name);
    for (const subject of entry.subjects) {
      const names = bySubject.get(subject);
      names?.delete(name);
      if (names?.size === 0) bySubject.delete(subject);
    }
  };
  const settle = (name: string, entry: Kept, dossier: Dossier | undefined): void => {
    if (kept.get(name) !== entry) return;
    if (dossier === undefined) return drop(name);
    loading.delete(name);
    entry.subjects = subjectsOf(dossier.subject);
    for (const subject of entry.subjects) {
      const names = bySubject.get(subject) ?? new Set<string>();
      bySubject.set(subject, names.add(name));
    }
  };
  return {
    open: (namespace, artifact) => {
      const name = `${namespace} ${artifact}`;
      const known = kept.get(name);
      if (known !== undefined) return known.dossier;
      if (kept.size >= keptDossiers) drop(kept.keys().next().value ?? '');
      const entry: Kept = { namespace, artifact, dossier: load(ports, namespace, artifact), subjects: [] };
      kept.set(name, entry);
      loading.add(name);
      entry.dossier.then(
        (dossier) => settle(name, entry, dossier),
        () => kept.get(name) === entry && drop(name),
      );
      return entry.dossier;
    },
    forget: (entries) => {
      const dropped = new Map<string, { readonly namespace: string; readonly artifact: Digest }>();
      for (const entry of entries) {
        if (entry.statement.predicateType === predicateTypes.decision) continue;
        // Evidence that is sequenced while a dossier is being read may be missing from it. Whoever asks after the entry
        // was acknowledged must not get that reading: it goes on for those who wait already, and nobody else joins.
        for (const name of loading) {
          const row = kept.get(name);
          if (row !== undefined && concerns(entry, row))
            dropped.set(name, { namespace: row.namespace, artifact: row.artifact });
        }
        for (const subject of entry.statement.subject) {
          for (const name of bySubject.get(`sha256:${subject.digest.sha256}`) ?? []) {
            const row = kept.get(name);
            if (row !== undefined && concerns(entry, row))
              dropped.set(name, { namespace: row.namespace, artifact: row.artifact });
          }
        }
      }
      for (const name of dropped.keys()) drop(name);
      return [...dropped.values()];
    },
    forgetArtifact: (namespace, artifact) => drop(`${namespace} ${artifact}`),
    forgetAll: () => {
      for (const name of kept.keys()) drop(name);
    },
  };
}

interface Kept {
  readonly namespace: string;
  readonly artifact: Digest;
  readonly dossier: Promise<Dossier | undefined>;
  /** Everything the dossier is about; empty until it is read. */
  subjects: readonly Digest[];
}

function concerns(entry: LoggedEvidence, row: Kept): boolean {
  return entry.namespace === systemNamespace || entry.namespace === row.namespace;
}

/** Artifact, roots and files: what evidence in the dossier can be about. */
function subjectsOf(subject: DecisionSubject): readonly Digest[] {
  const digests = new Set<Digest>([subject.artifact, ...subject.files.map((file) => file.digest)]);
  for (const root of Object.values(subject.roots)) if (root !== null) digests.add(root);
  return [...digests];
}

async function load(ports: DossierPorts, namespace: string, artifact: Digest): Promise<Dossier | undefined> {
  const snapshots = await ports.catalog.findArtifact(namespace, artifact);
  const first = snapshots[0];
  if (first === undefined) return undefined;
  const present = await ports.catalog.linked(
    namespace,
    first.files.map((file) => file.digest),
  );
  const subject: DecisionSubject = {
    artifact,
    roots: rootsOf(first.files),
    files: first.files.map((file) => ({
      path: file.path,
      digest: file.digest,
      sizeBytes: file.sizeBytes,
      role: roleOf(file.path),
      present: present.has(file.digest),
    })),
    tier: await strictestTier(ports, snapshots),
    references: (await Promise.all(snapshots.map((snapshot) => referencesOf(ports, snapshot)))).flat(),
    // The same bytes in several repositories need what any of them needs.
    ...(snapshots.some(ports.needsApproval) ? { approvalRequired: true } : {}),
  };
  // The head is read before the evidence: what is sequenced in between is simply left for the next decision.
  const head = await ports.ledger.head();
  const logged = await ports.ledger.find({
    namespace,
    subjects: subjectsOf(subject),
    beforeIndex: head.size,
  });
  const evidence: VerifiedEvidence[] = [];
  const rejected: Dossier['rejected'][number][] = [];
  const trust = ports.trust();
  const others = logged.filter(({ statement }) => statement.predicateType !== predicateTypes.decision);
  for (const { entry, verified } of await mapInSlices(others, (entry) => ({
    entry,
    verified: verifyLogged(entry, trust),
  }))) {
    if (verified.ok) evidence.push(verified.evidence);
    else rejected.push({ evidence: entry, reasons: verified.reasons });
  }
  const index = new EvidenceIndex(namespace, subject, evidence);
  await readInSlices(index);
  return { namespace, subject, evidence, index, rejected, head, snapshots };
}

/** Reads what decisions will ask for, so that the first one does not hold everybody up with all of it at once. */
async function readInSlices(index: EvidenceIndex): Promise<void> {
  const { files } = index.subject;
  if (files.length < manyFiles) return;
  await turn();
  await mapInSlices([() => index.observed(), () => index.bom()], (read) => read());
  await mapInSlices(files, ({ digest }) => index.scan(digest, 'blob'));
  await turn();
}

/** What an intake brought must not look like a repository of the hub: a rule may trust those by their name. */
async function referencesOf(ports: DossierPorts, snapshot: Snapshot): Promise<readonly string[]> {
  const scheme = (await ports.fromHub(snapshot)) ? 'hf' : 'intake';
  const base = `${scheme}://${snapshot.repository.type}/${snapshot.repository.id}`;
  const names = ports.references(snapshot);
  return [`${base}@${snapshot.commit}`, ...names.map((name) => `${base}@${name}`)];
}

const tierOrder: readonly Tier[] = ['low', 'medium', 'high'];

/** The same bytes in several repositories are judged by the strictest of them. */
async function strictestTier(ports: DossierPorts, snapshots: readonly Snapshot[]): Promise<Tier> {
  let strictest: Tier = 'low';
  for (const snapshot of snapshots) {
    const tier = await ports.tierOf(snapshot);
    if (tierOrder.indexOf(tier) > tierOrder.indexOf(strictest)) strictest = tier;
  }
  return strictest;
}
