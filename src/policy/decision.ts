import type { Digest } from '#artifact/digest.ts';
import type { Environment, RootName, Tier } from '#evidence/predicates.ts';

export type Verdict = 'allow' | 'warn' | 'deny';
export type Action = 'pull' | 'promote' | 'deploy' | 'load' | 'serve';
export type PrincipalClass = 'anonymous' | 'client' | 'person' | 'administrator';

/** Who does what, with which artifact and files, where (DESIGN §1a "A decision has a question"). */
export interface Question {
  readonly principal: PrincipalClass;
  readonly action: Action;
  readonly artifact: Digest;
  /** The paths asked for, in code-point order; `null` asks for the whole artifact. */
  readonly files: readonly string[] | null;
  readonly namespace: string;
  readonly environment: Environment;
}

/** What is known about the artifact apart from evidence: its manifest and how this organisation classes it. */
export interface DecisionSubject {
  readonly artifact: Digest;
  readonly roots: Readonly<Record<RootName, Digest | null>>;
  readonly files: readonly SubjectFile[];
  readonly tier: Tier;
  /** e.g. `hf://models/org/name` with the references that point here. */
  readonly references: readonly string[];
  /** The operator's delivery rules ask for a person's approval. Absent means no, so that earlier decisions reproduce. */
  readonly approvalRequired?: true;
}

export interface SubjectFile {
  readonly path: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly role: 'weights' | 'steering' | 'documentation';
  readonly present: boolean;
}

export interface Reason {
  /** Rule id as the policy names it, or `integrity.*` / `evaluation.*` / `delivery.*` for what no policy can switch off. */
  readonly rule: string;
  readonly effect: Verdict;
  /** One sentence for people, lower case, no full stop. */
  readonly message: string;
  /** Envelope digests that led here. */
  readonly evidence: readonly Digest[];
  /** What is missing, in words, where something is. */
  readonly missing: string | null;
  /** Who can fix it and how. */
  readonly who: string;
  readonly remedy: string;
}

/**
 * The answer of `decide`. JCS bytes of this value are what the VSA signs and what an offline re-check reproduces.
 * Instants are RFC 3339 UTC with whole seconds. `validUntil` is the first instant at which any rule that looked at
 * time could answer differently; null = none did.
 */
export interface Decision {
  readonly version: 1;
  readonly question: Question;
  readonly verdict: Verdict;
  readonly reasons: readonly Reason[];
  readonly evidenceUsed: readonly Digest[];
  readonly policyDigest: Digest;
  readonly trustDigest: Digest;
  readonly checkpoint: { readonly size: number; readonly rootHash: string };
  readonly at: string;
  readonly validUntil: string | null;
}
