import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Spans } from '#lib/spans.ts';

/** More spans than this come from nobody: a fill moves a few times at most. */
const mostSpans = 10_000;

/** What is known about the bytes of a partial. */
export interface PartialNote {
  readonly spans: Spans;
  /** Names the bytes: what was once written under one session, noted or not, is what it was. */
  readonly session: string;
  /** Nothing was written that is not noted. */
  readonly closed: boolean;
  /** Which start of the machine it was written under: another one may have lost bytes. Empty where that is not known. */
  readonly boot: string;
}

/** Linux names each start of the machine; elsewhere every start of the process counts as one. */
export const thisBoot: string = readBoot();

function readBoot(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return randomUUID();
  }
}

export function newSession(): string {
  return randomUUID();
}

const nothing = (): PartialNote => ({ spans: new Spans(), session: newSession(), closed: false, boot: '' });

/**
 * The note beside a partial: `{"sizeBytes": n, "spans": [[start, end], …], "session", "closed", "boot"}`, ends exclusive.
 * Anything else, or a note about another size, says that nothing is written: the bytes are then fetched anew.
 */
export function parsePartialNote(text: string, sizeBytes: number): PartialNote {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return nothing();
  }
  if (typeof value !== 'object' || value === null) return nothing();
  const listed: unknown = 'spans' in value ? value.spans : undefined;
  const declared: unknown = 'sizeBytes' in value ? value.sizeBytes : undefined;
  const session: unknown = 'session' in value ? value.session : undefined;
  if (declared !== sizeBytes || !Array.isArray(listed) || listed.length > mostSpans) return nothing();
  const spans = new Spans();
  for (const pair of listed as readonly unknown[]) {
    if (!Array.isArray(pair)) return nothing();
    const [start, end] = pair as readonly unknown[];
    if (!isPlace(start, sizeBytes) || !isPlace(end, sizeBytes)) return nothing();
    spans.add({ start, end });
  }
  if (typeof session !== 'string') return { ...nothing(), spans };
  const closed = 'closed' in value && value.closed === true;
  const boot = 'boot' in value && typeof value.boot === 'string' ? value.boot : '';
  return { spans, session, closed, boot };
}

export function formatPartialNote(note: PartialNote, sizeBytes: number): string {
  const { spans, session, closed, boot } = note;
  return JSON.stringify({
    sizeBytes,
    spans: spans.list.map(({ start, end }) => [start, end]),
    session,
    closed,
    boot,
  });
}

function isPlace(value: unknown, sizeBytes: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= sizeBytes;
}
