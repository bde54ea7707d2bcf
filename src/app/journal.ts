import type { Digest } from '#artifact/digest.ts';
import type { PullEvent, PullJournal } from '#gates/pull/ports.ts';
import type { Metrics } from './metrics.ts';

/** One line of a tally: how often an outcome happened to an artifact within the minute. */
export interface TallyLine {
  readonly outcome: PullEvent['outcome'];
  readonly artifact: Digest | null;
  readonly reason: string | null;
  readonly count: number;
}

/** Namespace and its lines of one minute, ready to become one `tally` statement. */
export interface TallyBatch {
  readonly namespace: string;
  readonly lines: readonly TallyLine[];
}

/** Distinct lines held per minute; what comes on top is counted together under a null artifact. */
const heldLines = 10_000;

/**
 * Counts what the pull gate did. Serves and refusals are not logged one by one (an unauthenticated caller could fill the
 * log): `drain` gives the counts since the last call, which the tally appends once a minute; what it could not append it
 * gives back with `restore`.
 */
export function openJournal(
  metrics: Metrics,
): PullJournal & { drain(): readonly TallyBatch[]; restore(batch: TallyBatch): void } {
  let namespaces = new Map<string, Map<string, TallyLine>>();
  const add = (namespace: string, line: TallyLine): void => {
    const lines = namespaces.get(namespace) ?? new Map<string, TallyLine>();
    namespaces.set(namespace, lines);
    const held = lines.has(nameOf(line)) || lines.size < heldLines;
    const { outcome, artifact, reason } = held ? line : { ...line, artifact: null, reason: null };
    const name = nameOf({ outcome, artifact, reason });
    lines.set(name, { outcome, artifact, reason, count: (lines.get(name)?.count ?? 0) + line.count });
  };
  const note = (event: PullEvent): void => {
    metrics.pulls.inc({ outcome: event.outcome });
    if (event.sentBytes > 0) metrics.sentBytes.inc(event.sentBytes);
    if (event.outcome !== 'served' && event.outcome !== 'refused') return;
    const { outcome, artifact = null, reason = null } = event;
    add(event.principal.namespace, { outcome, artifact, reason, count: 1 });
  };
  const drain = (): readonly TallyBatch[] => {
    const drained = namespaces;
    namespaces = new Map();
    return [...drained].map(([namespace, lines]) => ({ namespace, lines: [...lines.values()] }));
  };
  const restore = ({ namespace, lines }: TallyBatch): void => {
    for (const line of lines) add(namespace, line);
  };
  return { note, drain, restore };
}

function nameOf({ outcome, artifact, reason }: Omit<TallyLine, 'count'>): string {
  return `${outcome} ${artifact} ${reason}`;
}
