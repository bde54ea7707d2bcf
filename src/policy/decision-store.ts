import type { Digest } from '#artifact/digest.ts';
import type { Decision, Question } from './decision.ts';

/** A decision that was signed and logged. */
export interface KeptDecision {
  readonly decision: Decision;
  readonly logIndex: number;
  readonly envelopeDigest: Digest;
}

/** Decisions by their question; every call is confined to the namespace of the question. Nothing is overwritten. */
export interface DecisionStore {
  /** The newest decision about exactly this question. */
  find(question: Question): Promise<KeptDecision | undefined>;
  save(kept: KeptDecision): Promise<void>;
  /** Was exactly this question ever answered with anything but a deny? */
  wasAllowed(question: Question): Promise<boolean>;
  /** The newest per question about an artifact, in log order. */
  list(namespace: string, artifact: Digest): Promise<readonly KeptDecision[]>;
  /** All decisions of the namespace, newest first; `before` is the log index of the last one shown. */
  recent(
    namespace: string,
    page: { readonly limit: number; readonly before?: number },
  ): Promise<readonly KeptDecision[]>;
}
