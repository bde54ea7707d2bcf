import type { Catalog, Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import { roleOf } from '#artifact/roles.ts';
import { rootsOf } from '#artifact/roots.ts';
import type { Ledger, LogHead } from '#evidence/ledger.ts';
import type { Tier } from '#evidence/predicates.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { systemNamespace } from '#evidence/statement.ts';
import type { LoggedEvidence } from '#evidence/statement.ts';
import { verifyLogged } from '#evidence/verify.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import type { Trust } from '#evidence/trust.ts';
import type { DecisionSubject } from '#policy/decision.ts';

/** Everything that a decision about one artifact in one namespace looks at, up to one checkpoint. */
export interface Dossier {
  readonly namespace: string;
  readonly subject: DecisionSubject;
  /** Verified against the trust root; what did not verify is in `rejected` and counts for nothing. */
  readonly evidence: readonly VerifiedEvidence[];
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
  readonly references: (snapshot: Snapshot) => readonly string[];
}

const keptDossiers = 500;

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
  let newestEvidence = -1;

  const drop = (name: string): void => {
    const entry = kept.get(name);
    if (entry === undefined) return;
    kept.delete(name);
    for (const subject of entry.subjects) bySubject.get(subject)?.delete(name);
  };
  const settle = (name: string, entry: Kept, dossier: Dossier | undefined): void => {
    if (kept.get(name) !== entry) return;
    // Evidence that was sequenced while the dossier was being read may be missing from it: let the next caller read anew.
    if (dossier === undefined || newestEvidence >= dossier.head.size) return drop(name);
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
      entry.dossier.then(
        (dossier) => settle(name, entry, dossier),
        () => drop(name),
      );
      return entry.dossier;
    },
    forget: (entries) => {
      const dropped = new Map<string, { readonly namespace: string; readonly artifact: Digest }>();
      for (const entry of entries) {
        if (entry.statement.predicateType === predicateTypes.decision) continue;
        newestEvidence = Math.max(newestEvidence, entry.logIndex);
        for (const subject of entry.statement.subject) {
          for (const name of bySubject.get(`sha256:${subject.digest.sha256}`) ?? []) {
            const row = kept.get(name);
            const concerned = entry.namespace === systemNamespace || entry.namespace === row?.namespace;
            if (row !== undefined && concerned)
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
    references: snapshots.flatMap((snapshot) => referencesOf(snapshot, ports.references(snapshot))),
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
  for (const entry of logged) {
    if (entry.statement.predicateType === predicateTypes.decision) continue;
    const verified = verifyLogged(entry, ports.trust());
    if (verified.ok) evidence.push(verified.evidence);
    else rejected.push({ evidence: entry, reasons: verified.reasons });
  }
  return { namespace, subject, evidence, rejected, head, snapshots };
}

function referencesOf(snapshot: Snapshot, names: readonly string[]): readonly string[] {
  const base = `hf://${snapshot.repository.type}/${snapshot.repository.id}`;
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
