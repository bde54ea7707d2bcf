import type { ReadingOutcome } from './reading.ts';

export type StoreFlawCode =
  | 'store.count'
  | 'store.elsewhere'
  | 'store.structure'
  | 'store.trailing'
  | 'store.truncated';

/** An embedding store: vectors for a search by similarity. Counts are of its header, undefined where it has none. */
export interface StoreFacts extends ReadingOutcome<StoreFlawCode> {
  /** The kind within the format: a FAISS code, `manifest`, `chroma`. */
  readonly kind: string;
  readonly vectors: number | undefined;
  readonly dimensions: number | undefined;
}

/** A count that no file of this size can hold ends a reader; it becomes the flaw `store.count`. */
export class ImpossibleCount extends Error {
  readonly offset: number;

  constructor(what: string, count: bigint | number, offset: number) {
    super(`${count} ${what} do not fit into the file`);
    this.offset = offset;
  }
}
