import type { RepositoryName } from '#artifact/catalog.ts';
import { digestOf, hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Ledger } from '#evidence/ledger.ts';
import { incidentKinds, predicateTypes } from '#evidence/predicates.ts';
import type { IncidentKind, ProducerIdentity, UpstreamIncidentPredicate } from '#evidence/predicates.ts';
import { makeStatement } from '#evidence/statement.ts';
import type { Statement } from '#evidence/statement.ts';
import { BoundedMap } from '#lib/bounded-map.ts';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import type { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { printable } from '#lib/printable.ts';

/** What was asked for when the upstream did it. */
export interface IncidentSource {
  readonly namespace: string;
  readonly repository: RepositoryName;
  /** Undefined while upstream has not named one. */
  readonly commit: string | undefined;
  readonly path: string | undefined;
  /** SHA-256 that the tree declares for the file. */
  readonly declared: Digest | undefined;
}

export interface IncidentPorts {
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** Host of the upstream, with its port where that is not the scheme's own. */
  readonly upstream: string;
  readonly write: (namespace: string, statements: readonly Statement[]) => Promise<void>;
  /** Is told of every incident, also of those that are not recorded again. */
  readonly counted: (kind: IncidentKind) => void;
  readonly failed: (error: unknown) => void;
}

/** Keeps what an upstream did wrong as evidence about the source. */
export interface Incidents {
  /** Looks whether the Fault is the upstream's doing and records it in the background. Never throws. */
  note(source: IncidentSource, fault: Fault): void;
  /** Waits for what is being recorded. */
  close(): Promise<void>;
}

/** An hour: the same about the same source is no news within it. */
const quietMs = 3_600_000;
const away: ReadonlySet<IncidentKind> = new Set(['stall', 'rate-limited', 'server-error', 'unreachable']);

/** No rules: the digest is over the empty rule set. */
const incidentIdentity: ProducerIdentity = {
  name: 'weighbridge-intake',
  version: '1',
  ruleSetDigest: digestOf(new TextEncoder().encode('{}')),
};

export function openIncidents(ports: IncidentPorts): Incidents {
  const { clock } = ports;
  const newest = new BoundedMap<string, number>(limits.incidentsPerHour * 4);
  const writing = new Set<Promise<void>>();
  let recent: number[] = [];
  const record = async (name: string, source: IncidentSource, incident: UpstreamIncidentPredicate) => {
    try {
      if (await isKnown(ports, source.namespace, incident)) return;
      await ports.write(source.namespace, [statementOf(source, incident)]);
    } catch (error) {
      // Not recorded, so the next one like it may be.
      newest.delete(name);
      ports.failed(error);
    }
  };
  return {
    note: (source, fault) => {
      const kind = kindOf(fault);
      if (kind === undefined) return;
      ports.counted(kind);
      const nowMs = clock.now();
      const incident = predicateOf(ports, source, { kind, fault });
      // Being away is about the upstream, whatever was asked for.
      const about = away.has(kind) ? '' : `${incident.source.uri} ${incident.path ?? ''}`;
      const name = `${source.namespace} ${kind} ${about}`;
      if (nowMs - (newest.get(name) ?? -Infinity) < quietMs) return;
      recent = recent.filter((atMs) => nowMs - atMs < quietMs);
      if (recent.length >= limits.incidentsPerHour) return;
      recent.push(nowMs);
      newest.set(name, nowMs);
      const work: Promise<void> = record(name, source, incident).finally(() => writing.delete(work));
      writing.add(work);
    },
    close: async () => {
      await Promise.all(writing);
    },
  };
}

/** The kind of incident that a Fault stands for; undefined where it is ours, or nothing was sent. */
function kindOf({ code, details }: Fault): IncidentKind | undefined {
  if (details['refusedHere'] === true) return undefined;
  const kind = incidentKinds.find((known) => known === details['kind']);
  if (code === 'upstream.lied') return kind ?? 'malformed-answer';
  return code === 'upstream.unavailable' ? kind : undefined;
}

function predicateOf(
  { clock, upstream }: IncidentPorts,
  { repository, commit, path }: IncidentSource,
  { kind, fault }: { readonly kind: IncidentKind; readonly fault: Fault },
): UpstreamIncidentPredicate {
  const source = `hf://${repository.type}/${repository.id}`;
  return {
    producer: incidentIdentity,
    at: formatInstant(clock.now()),
    source: { uri: commit === undefined ? source : `${source}@${commit}`, upstream },
    kind,
    message: printable(fault.message, 500),
    path: path === undefined ? null : printable(path, 4_096),
  };
}

function statementOf(source: IncidentSource, incident: UpstreamIncidentPredicate): Statement {
  const { uri } = incident.source;
  return makeStatement({
    namespace: source.namespace,
    predicateType: predicateTypes.upstreamIncident,
    subject: [
      { name: uri, digest: { sha256: hexOf(sourceDigest(uri)) } },
      ...(source.declared === undefined ? [] : [{ digest: { sha256: hexOf(source.declared) } }]),
    ],
    predicate: incident,
  });
}

/** SHA-256 of the UTF-8 source URI: the subject under which evidence about a source is found. */
export function sourceDigest(uri: string): Digest {
  return digestOf(new TextEncoder().encode(uri));
}

/** Has the ledger the same incident, younger than an hour? A restart is no reason to say it again. */
async function isKnown(
  { ledger, clock }: IncidentPorts,
  namespace: string,
  incident: UpstreamIncidentPredicate,
): Promise<boolean> {
  const logged = await ledger.find({
    namespace,
    subjects: [sourceDigest(incident.source.uri)],
    predicateTypes: [predicateTypes.upstreamIncident],
  });
  return logged.some(({ statement }) => {
    const known = readIncident(statement);
    return (
      known?.kind === incident.kind &&
      known.path === incident.path &&
      clock.now() - Date.parse(known.at) < quietMs
    );
  });
}

/** The predicate of an incident as it stands in the ledger; undefined where it is not readable. */
export function readIncident({ predicate }: Statement): UpstreamIncidentPredicate | undefined {
  return isIncident(predicate) ? predicate : undefined;
}

function isIncident(value: unknown): value is UpstreamIncidentPredicate {
  if (typeof value !== 'object' || value === null) return false;
  if (!('kind' in value && 'at' in value && 'path' in value && 'message' in value && 'source' in value))
    return false;
  const { kind, at, path, message, source } = value;
  if (typeof source !== 'object' || source === null || !('uri' in source && 'upstream' in source))
    return false;
  const texts = [at, message, source.uri, source.upstream].every((text) => typeof text === 'string');
  return (
    texts && (path === null || typeof path === 'string') && incidentKinds.some((known) => known === kind)
  );
}
