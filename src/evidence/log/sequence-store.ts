import type { Digest } from '#artifact/digest.ts';
import type { PendingEntry } from '../ledger.ts';

/** The head as the database keeps it: the public checkpoint and what is needed to grow the tree without reading it. */
export interface StoredHead {
  readonly size: number;
  readonly rootHash: string;
  readonly checkpoint: string;
  readonly signedAtMs: number;
  /** Compact range: the roots of the perfect subtrees of a tree of `size` leaves, left to right, 32 bytes each. */
  readonly frontier: readonly Uint8Array[];
}

export interface SequencedEntry extends PendingEntry {
  readonly logIndex: number;
  /** 65 bytes: 0x01 ‖ SHA-256(PAE) ‖ SHA-256(envelope bytes). */
  readonly leaf: Uint8Array;
  readonly envelopeBytes: Uint8Array;
  readonly envelopeDigest: Digest;
}

/** One database transaction of the sequencer. Nothing is visible to anybody before `withHead` resolves. */
export interface SequenceTransaction {
  /** Entries of these envelope digests that the log has already. */
  existing(digests: readonly Digest[]): Promise<readonly SequencedEntry[]>;
  insert(entries: readonly SequencedEntry[]): Promise<void>;
  writeHead(head: StoredHead): Promise<void>;
}

/** What the sequencer needs from the database. */
export interface SequenceStore {
  /** Runs `work` in one durable transaction that holds the head exclusively against every other replica. */
  withHead<T>(
    work: (head: StoredHead | undefined, transaction: SequenceTransaction) => Promise<T>,
  ): Promise<T>;
  readHead(): Promise<StoredHead | undefined>;
  /** Committed entries `start` up to, not including, `end`, in log order; for projections. */
  readEntries(start: number, end: number): Promise<readonly SequencedEntry[]>;
}
