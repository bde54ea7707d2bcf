/** Which bytes of a source were touched, as disjoint ranges in order; each byte counts once however often it comes. */
export class Coverage {
  readonly #ranges: { start: number; end: number }[] = [];

  get bytes(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Adds `start` up to, not including, `end`. */
  add(start: number, end: number): void {
    if (end <= start) return;
    let first = this.#firstEndingAt(start);
    const merged = { start, end };
    const from = first;
    for (; first < this.#ranges.length; first += 1) {
      const range = this.#ranges[first];
      if (range === undefined || range.start > end) break;
      merged.start = Math.min(merged.start, range.start);
      merged.end = Math.max(merged.end, range.end);
    }
    this.#ranges.splice(from, first - from, merged);
  }

  /** Index of the first range that ends at or after `at`. */
  #firstEndingAt(at: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.end ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
