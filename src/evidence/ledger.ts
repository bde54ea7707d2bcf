import type { Digest } from '#artifact/digest.ts';
import type { Envelope, LoggedEvidence, Statement } from './statement.ts';

/** One signed statement on its way into the ledger. */
export interface PendingEntry {
  readonly namespace: string;
  readonly statement: Statement;
  readonly envelope: Envelope;
}

/** The head of the log: a C2SP tlog-checkpoint. */
export interface LogHead {
  readonly size: number;
  /** Base64 RFC 6962 Merkle tree hash. */
  readonly rootHash: string;
  /** The whole signed note. */
  readonly checkpoint: string;
  /** Milliseconds, UTC, when it was signed; `at` of a decision is never before it. */
  readonly signedAtMs: number;
}

export interface EvidenceQuery {
  readonly namespace: string;
  /** Any of these subject digests (artifact, roots, blobs, policy). */
  readonly subjects: readonly Digest[];
  readonly predicateTypes?: readonly string[];
  /** Only what the log of this size contains. */
  readonly beforeIndex?: number;
}

/**
 * The append-only order of all evidence and decisions. `append` resolves only when the entries are durable, have
 * their log index and are under a signed checkpoint; entries of one call get consecutive indexes. Putting the
 * byte-identical envelope again gives the index it already has. Nothing is edited or deleted.
 * Errors: `ledger.unavailable`, `ledger.diverged` (fatal), `envelope.invalid`.
 */
export interface Ledger {
  append(entries: readonly PendingEntry[]): Promise<readonly LoggedEvidence[]>;
  /** In log order. */
  find(query: EvidenceQuery): Promise<readonly LoggedEvidence[]>;
  head(): Promise<LogHead>;
}
