import { limits } from '#lib/limits.ts';
import { parseInstant } from './cel/time.ts';
import type { Digest } from '#artifact/digest.ts';
import type { RootName } from '#evidence/predicates.ts';
import type { DecisionTime } from './cel/time.ts';
import type { SubjectFile } from './decision.ts';
import type { WaiverFacts } from './facts.ts';

const hourMs = 3_600_000;
const breakGlassHours = 4;

/**
 * Does the waiver have the form that lets it waive anything? Two distinct people, or one for break-glass; it ends, after
 * it began, within `limits.waiverDays` (4 hours for break-glass). Returns why not, or null.
 */
export function waiverDefect(waiver: WaiverFacts): string | null {
  const { people, breakGlass, waivedAt, expiresAt } = waiver.reading;
  const distinct = new Set(people.map((person) => person.trim()).filter((person) => person !== ''));
  if (distinct.size < (breakGlass ? 1 : 2))
    return breakGlass ? 'it names nobody' : 'it needs two different people';
  const lengthMs = (parseInstant(expiresAt) ?? 0) - (parseInstant(waivedAt) ?? Number.MAX_SAFE_INTEGER);
  if (lengthMs <= 0) return 'it ends before it begins';
  const mostMs = breakGlass ? breakGlassHours * hourMs : limits.waiverDays * 24 * hourMs;
  return lengthMs > mostMs ? `it lasts longer than ${mostMs / hourMs} hours` : null;
}

/** The root that a waiver must name to cover a file: one that changes when the file changes. Null = the artifact. */
function coversRole(roots: readonly RootName[], role: SubjectFile['role'] | null): boolean {
  if (roots.includes('all')) return true;
  if (role === 'documentation') return false;
  return roots.includes('loading') || (role === 'weights' && roots.includes('weights'));
}

/**
 * The waiver that lifts this rule for this file (or for the artifact, `role` null), if one is in force: the one that
 * lasts longest. Looking at a waiver is looking at time: when it begins or ends is recorded, and so is the waiver.
 */
export function waiverFor(
  rule: string,
  role: SubjectFile['role'] | null,
  waivers: readonly WaiverFacts[],
  context: { readonly time: DecisionTime; readonly used: Set<Digest> },
): WaiverFacts | undefined {
  const { time, used } = context;
  let found: WaiverFacts | undefined;
  for (const waiver of waivers) {
    if (waiver.reading.rule !== rule || !coversRole(waiver.roots, role) || waiverDefect(waiver) !== null)
      continue;
    used.add(waiver.evidence);
    const begun = time.reached(parseInstant(waiver.reading.waivedAt) ?? Number.MAX_SAFE_INTEGER);
    const ended = time.reached(parseInstant(waiver.reading.expiresAt) ?? 0);
    if (!begun || ended) continue;
    if (found === undefined || endOf(waiver) > endOf(found)) found = waiver;
  }
  return found;
}

const endOf = (waiver: WaiverFacts): number => parseInstant(waiver.reading.expiresAt) ?? 0;
