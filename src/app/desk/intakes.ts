import { predicateTypes } from '#evidence/predicates.ts';
import type { IntakeRow } from '#adapters/postgres/intakes.ts';
import type { Digest } from '#artifact/digest.ts';
import { formatInstant } from '#lib/clock.ts';
import { explain } from '#policy/explain.ts';
import type { IntakeView, IntakesDesk } from '../routes/intakes.ts';
import type { House } from '../wire.ts';
import { newestScans, summariseScans } from './scan-view.ts';

/** Intakes as people see them. */
export function openIntakesDesk(house: House): IntakesDesk {
  const { sources } = house;
  return {
    order: (caller, body) => sources.order(caller, body),
    show: async (caller, id) => {
      const row = await sources.show(caller.namespace, id);
      return { ...viewOf(row), outcome: await outcomeOf(house, caller.namespace, row) };
    },
    list: async (caller, limit) => {
      const rows = await sources.list(caller.namespace, limit);
      return rows.map(viewOf);
    },
    upload: (caller, id, part) => sources.upload(caller.namespace, id, part),
    complete: (caller, id) => sources.complete(caller.namespace, id),
  };
}

function viewOf(row: IntakeRow): Omit<IntakeView, 'outcome'> {
  const { id, state, source, repository, reference, environment, progress, commit, artifact } = row;
  const { type } = repository;
  return {
    id,
    state,
    source,
    repository: { type, id: repository.id },
    reference,
    environment,
    progress,
    commit,
    artifact,
    fault: faultOf(row.fault),
    createdAt: formatInstant(row.createdAtMs),
    finishedAt: row.finishedAtMs === null ? null : formatInstant(row.finishedAtMs),
  };
}

function faultOf(value: unknown): IntakeView['fault'] {
  if (typeof value !== 'object' || value === null) return null;
  const text = (name: string): string => {
    const found: unknown = Object.getOwnPropertyDescriptor(value, name)?.value;
    return typeof found === 'string' ? found : '';
  };
  const hint = text('hint');
  return { code: text('code'), message: text('message'), hint: hint === '' ? null : hint };
}

/** What the house says now about what arrived; a decision that was taken since counts, not the one of that day. */
async function outcomeOf(house: House, namespace: string, row: IntakeRow): Promise<IntakeView['outcome']> {
  if (row.state !== 'done' || row.artifact === null) return null;
  const { artifact, environment, paths } = row;
  const { decision } = await house.decisions.ask({
    principal: 'client',
    action: 'pull',
    artifact,
    files: paths === null ? null : [...paths],
    namespace,
    environment,
  });
  return {
    verdict: decision.verdict,
    explanation: explain(decision),
    ...(await scanned(house, namespace, artifact)),
    link: `/console/artifacts/${artifact}`,
  };
}

async function scanned(house: House, namespace: string, artifact: Digest) {
  const dossier = await house.dossiers.open(namespace, artifact);
  if (dossier === undefined) return { scan: 'unknown', completeness: 'inconclusive', findings: 0 } as const;
  const { verdict, completeness } = summariseScans(dossier);
  const own = new Set<Digest>([artifact, ...dossier.subject.files.map(({ digest }) => digest)]);
  const scans = newestScans(
    dossier.evidence.filter(({ statement }) => statement.predicateType === predicateTypes.scan),
  );
  let findings = 0;
  for (const [digest, scan] of scans) if (own.has(digest)) findings += scan.findings.length;
  return { scan: verdict, completeness, findings };
}
