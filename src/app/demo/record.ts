import { setTimeout as pause } from 'node:timers/promises';
import { isDigest } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';

/** A call of the interface for people; gives the parsed answer. */
export type CallPeople = (call: {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
}) => Promise<unknown>;

/** What the ledger has about the newest artifact of a repository. */
export interface ArtifactRecord {
  readonly artifact: Digest;
  /** Of the worst decision about a pull that stands. */
  readonly verdict: string;
  readonly decision: string;
  readonly logIndex: number;
  /** In log order. */
  readonly evidence: readonly {
    readonly logIndex: number;
    readonly envelopeDigest: string;
    readonly summary: string;
  }[];
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? new Map<string, unknown>(Object.entries(value)).get(name)
    : undefined;
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Undefined where there is no artifact of that name or nothing was decided about it. */
export async function findRecord(call: CallPeople, id: string): Promise<ArtifactRecord | undefined> {
  const found = await call({
    method: 'GET',
    path: `/wb/v1/artifacts?search=${encodeURIComponent(id)}&limit=1`,
  });
  const artifact = memberOf(listOf(memberOf(found, 'items'))[0], 'artifact');
  if (!isDigest(artifact)) return undefined;
  const detail = await call({ method: 'GET', path: `/wb/v1/artifacts/${artifact}` });
  const pulls = listOf(memberOf(detail, 'decisions')).filter(
    (entry) => memberOf(memberOf(memberOf(entry, 'decision'), 'question'), 'action') === 'pull',
  );
  const decided = pulls.find((entry) => verdictOf(entry) === 'deny') ?? pulls[0];
  if (decided === undefined) return undefined;
  return {
    artifact,
    verdict: verdictOf(decided),
    decision: String(memberOf(decided, 'envelopeDigest')),
    logIndex: Number(memberOf(decided, 'logIndex')),
    evidence: listOf(memberOf(detail, 'evidence'))
      .map((row) => ({
        logIndex: Number(memberOf(row, 'logIndex')),
        envelopeDigest: String(memberOf(row, 'envelopeDigest')),
        summary: String(memberOf(row, 'summary')),
      }))
      .toSorted((a, b) => a.logIndex - b.logIndex),
  };
}

const verdictOf = (entry: unknown): string => String(memberOf(memberOf(entry, 'decision'), 'verdict'));

/** What the ledger has against a source. */
export interface IncidentRecord {
  readonly logIndex: number;
  readonly kind: string;
  readonly source: string;
}

const incidentTries = 50;

/**
 * The newest incident of a repository at this commit; undefined where none is recorded within 5 s: it is written behind
 * the answer.
 */
export async function findIncident(
  call: CallPeople,
  source: { readonly id: string; readonly commit: string },
): Promise<IncidentRecord | undefined> {
  for (let attempt = 0; attempt < incidentTries; attempt++) {
    const seen = listOf(memberOf(await call({ method: 'GET', path: '/wb/v1/upstreams' }), 'incidents'));
    for (const incident of seen) {
      const uri = String(memberOf(incident, 'source'));
      if (uri !== `hf://models/${source.id}@${source.commit}`) continue;
      return {
        logIndex: Number(memberOf(incident, 'logIndex')),
        kind: String(memberOf(incident, 'kind')),
        source: uri,
      };
    }
    await pause(100);
  }
  return undefined;
}
