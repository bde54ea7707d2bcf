import { Spans } from '#lib/spans.ts';

/** More spans than this come from nobody: a fill moves a few times at most. */
const mostSpans = 10_000;

/**
 * The note beside a partial: `{"sizeBytes": n, "spans": [[start, end], …]}`, ends exclusive. Anything else, or a note about
 * another size, says that nothing is written: the bytes are then fetched anew.
 */
export function parsePartialNote(text: string, sizeBytes: number): Spans {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return new Spans();
  }
  if (typeof value !== 'object' || value === null) return new Spans();
  const listed: unknown = 'spans' in value ? value.spans : undefined;
  const declared: unknown = 'sizeBytes' in value ? value.sizeBytes : undefined;
  if (declared !== sizeBytes || !Array.isArray(listed) || listed.length > mostSpans) return new Spans();
  const spans = new Spans();
  for (const pair of listed as readonly unknown[]) {
    if (!Array.isArray(pair)) return new Spans();
    const [start, end] = pair as readonly unknown[];
    if (!isPlace(start, sizeBytes) || !isPlace(end, sizeBytes)) return new Spans();
    spans.add({ start, end });
  }
  return spans;
}

function isPlace(value: unknown, sizeBytes: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= sizeBytes;
}
