import { Fault } from '#lib/fault.ts';
import type { Catalog, Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import { explain } from '#policy/explain.ts';
import type { Dossier, Dossiers } from '../decisions/dossiers.ts';
import { sandboxOf } from '#policy/readings.ts';
import type { KeptDecision } from '#policy/decision-store.ts';
import type { Caller } from '../routes/people.ts';
import type { ArtifactDetail, ArtifactRow, EvidenceRow } from '../routes/schemas.ts';
import { newestScans, scanSummary, summariseScans } from './scan-view.ts';

export interface InventoryPorts {
  readonly catalog: Catalog;
  readonly dossiers: Dossiers;
  readonly references: (snapshot: Snapshot) => readonly string[];
  readonly kept: (namespace: string, artifact: Digest) => Promise<readonly KeptDecision[]>;
}

/** One page of what the namespace holds, newest first. */
export async function listArtifacts(
  ports: InventoryPorts,
  caller: Caller,
  page: { readonly search?: string; readonly limit: number; readonly before?: string },
): Promise<{ readonly items: readonly ArtifactRow[]; readonly next: string | null }> {
  const { snapshots, next } = await ports.catalog.listSnapshots(caller.namespace, page);
  const items: ArtifactRow[] = [];
  for (const snapshot of snapshots) {
    const dossier = await ports.dossiers.open(caller.namespace, snapshot.artifact);
    if (dossier !== undefined) items.push(await rowOf(ports, snapshot, dossier));
  }
  return { items, next: next ?? null };
}

async function rowOf(ports: InventoryPorts, snapshot: Snapshot, dossier: Dossier): Promise<ArtifactRow> {
  const kept = await ports.kept(snapshot.namespace, snapshot.artifact);
  const environment = kept[0]?.decision.question.environment;
  const standing = worstOf(kept.filter(({ decision }) => decision.question.environment === environment));
  return {
    artifact: snapshot.artifact,
    repository: snapshot.repository,
    commit: snapshot.commit,
    references: ports.references(snapshot),
    fileCount: snapshot.files.length,
    sizeBytes: snapshot.files.reduce((sum, file) => sum + file.sizeBytes, 0),
    presentCount: dossier.subject.files.filter((file) => file.present).length,
    ...summariseScans(dossier),
    decision:
      standing === undefined
        ? null
        : {
            verdict: standing.decision.verdict,
            environment: standing.decision.question.environment,
            at: standing.decision.at,
            validUntil: standing.decision.validUntil,
          },
    tier: dossier.subject.tier,
  };
}

/** Everything about one artifact. Fault `resource.unknown` where the namespace does not see it. */
export async function showArtifact(
  ports: InventoryPorts,
  caller: Caller,
  artifact: Digest,
): Promise<ArtifactDetail> {
  const dossier = await ports.dossiers.open(caller.namespace, artifact);
  if (dossier === undefined)
    throw new Fault('resource.unknown', `there is no artifact \`${artifact}\` in \`${caller.namespace}\``);
  const scans = newestScans(dossier.evidence);
  const kept = await ports.kept(caller.namespace, artifact);
  return {
    artifact,
    roots: dossier.subject.roots,
    snapshots: dossier.snapshots.map((snapshot) => ({
      repository: snapshot.repository,
      commit: snapshot.commit,
      references: ports.references(snapshot),
      provisional: snapshot.provisional,
    })),
    tier: dossier.subject.tier,
    files: dossier.subject.files.map((file) => {
      const scan = scans.get(file.digest);
      return {
        path: file.path,
        digest: file.digest,
        sizeBytes: file.sizeBytes,
        role: file.role,
        present: file.present,
        scan:
          scan === undefined
            ? null
            : {
                verdict: scan.verdict,
                completeness: scan.completeness,
                formats: scan.formats,
                findings: scan.findings,
              },
      };
    }),
    findings: scans.get(artifact)?.findings ?? [],
    evidence: dossier.evidence.map((entry) => evidenceRow(entry, dossier)),
    decisions: standingDecisions(kept).map(({ decision, logIndex, envelopeDigest }) => ({
      environment: decision.question.environment,
      decision,
      explanation: explain(decision),
      logIndex,
      envelopeDigest,
    })),
  };
}

/**
 * Kept decisions come newest first; of each environment and action the worst is shown, the newest of those: a file that
 * may be read does not make an artifact look allowed of which another file was refused.
 */
function standingDecisions(kept: readonly KeptDecision[]): readonly KeptDecision[] {
  const groups = Map.groupBy(kept, ({ decision: { question } }) => {
    const { environment, action, files } = question;
    return `${environment} ${action} ${files === null ? 'all' : 'some'}`;
  });
  return [...groups.values()].flatMap((group) => worstOf(group) ?? []);
}

export function worstOf(kept: readonly KeptDecision[]): KeptDecision | undefined {
  const verdict = (['deny', 'warn', 'allow'] as const).find((one) =>
    kept.some(({ decision }) => decision.verdict === one),
  );
  return kept.find(({ decision }) => decision.verdict === verdict);
}

const summaries: Readonly<Record<string, string>> = {
  [predicateTypes.observed]: 'observed at its source',
  [predicateTypes.scan]: 'scanned',
  [predicateTypes.sandbox]: 'loaded in the sandbox',
  [predicateTypes.bom]: 'what every file that is here contains, in CycloneDX',
  [predicateTypes.approval]: 'approved by a person',
  [predicateTypes.waiver]: 'a rule was waived',
  [predicateTypes.revocation]: 'revoked by a person',
  [predicateTypes.adoption]: 'found by an adoption',
  [predicateTypes.modelSignature]: 'signed with the release key',
};

const instantMembers = [
  'observedAt',
  'scannedAt',
  'exercisedAt',
  'approvedAt',
  'waivedAt',
  'revokedAt',
  'adoptedAt',
  'timeVerified',
];

/** The outcome and the first thing that it did, in words. */
function sandboxSummary({ statement }: VerifiedEvidence): string | undefined {
  if (statement.predicateType !== predicateTypes.sandbox) return undefined;
  const reading = sandboxOf(statement.predicate);
  if (reading === undefined) return undefined;
  const said = reading.acts[0] ?? reading.reasons[0];
  return `loaded in the sandbox: ${reading.outcome}${said === undefined ? '' : `, ${said}`}`;
}

function evidenceRow(entry: VerifiedEvidence, dossier: Dossier): EvidenceRow {
  const { predicateType, predicate } = entry.statement;
  const members = typeof predicate === 'object' && predicate !== null ? Object.entries(predicate) : [];
  const at: unknown = members.find(([name]) => instantMembers.includes(name))?.[1];
  const reason: unknown = members.find(([name]) => name === 'reason')?.[1];
  const summary =
    scanSummary(entry, dossier) ?? sandboxSummary(entry) ?? summaries[predicateType] ?? predicateType;
  return {
    logIndex: entry.logIndex,
    envelopeDigest: entry.envelopeDigest,
    predicateType,
    at: typeof at === 'string' ? at : null,
    summary: typeof reason === 'string' ? `${summary}: ${reason}` : summary,
    issuerRole: entry.issuer.role,
  };
}
