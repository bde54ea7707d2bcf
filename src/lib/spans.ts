/** Bytes `start` up to, not including, `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A set of byte positions as ascending, disjoint spans that do not touch. Every operation is linear in their number. */
export class Spans {
  #spans: readonly Span[];

  constructor(spans: readonly Span[] = []) {
    this.#spans = [];
    for (const span of spans) this.add(span);
  }

  get list(): readonly Span[] {
    return this.#spans;
  }

  get sizeBytes(): number {
    return this.#spans.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Joins with what it overlaps or touches. An empty span changes nothing. */
  add(span: Span): void {
    if (span.end <= span.start) return;
    const last = this.#spans.at(-1);
    if (last?.end === span.start) {
      this.#spans = [...this.#spans.slice(0, -1), { start: last.start, end: span.end }];
      return;
    }
    let { start, end } = span;
    const apart: Span[] = [];
    for (const other of this.#spans) {
      if (other.end < start || other.start > end) apart.push(other);
      else [start, end] = [Math.min(start, other.start), Math.max(end, other.end)];
    }
    this.#spans = [...apart, { start, end }].sort((a, b) => a.start - b.start);
  }

  /** How far the bytes from `offset` on reach without a gap; `offset` itself where it is not in the set. */
  reach(offset: number): number {
    for (const { start, end } of this.#spans) if (start <= offset && offset < end) return end;
    return offset;
  }

  /** The first span below `sizeBytes` that is missing at or after `from`. */
  gap(from: number, sizeBytes: number): Span | undefined {
    const start = this.reach(from);
    if (start >= sizeBytes) return undefined;
    const next = this.#spans.find((span) => span.start > start);
    return { start, end: Math.min(sizeBytes, next?.start ?? sizeBytes) };
  }
}
