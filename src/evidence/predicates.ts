import type { Digest } from '#artifact/digest.ts';

/**
 * The predicates that Weighbridge writes. Each URI is an identifier in signed history and never changes its meaning;
 * a new meaning takes a new version. Standard predicates keep their own URIs.
 */
export const predicateTypes = {
  trustRoot: 'https://weighbridge.dev/evidence/trust-root/v1',
  policy: 'https://weighbridge.dev/evidence/policy/v1',
  observed: 'https://weighbridge.dev/evidence/observed/v1',
  scan: 'https://weighbridge.dev/evidence/scan/v1',
  approval: 'https://weighbridge.dev/evidence/approval/v1',
  waiver: 'https://weighbridge.dev/evidence/waiver/v1',
  revocation: 'https://weighbridge.dev/evidence/revocation/v1',
  tally: 'https://weighbridge.dev/evidence/tally/v1',
  upstreamIncident: 'https://weighbridge.dev/evidence/upstream-incident/v1',
  sandbox: 'https://weighbridge.dev/evidence/sandbox/v1',
  adoption: 'https://weighbridge.dev/evidence/adoption/v1',
  bom: 'https://cyclonedx.org/bom',
  decision: 'https://slsa.dev/verification_summary/v1',
  modelSignature: 'https://model_signing/signature/v1.0',
} as const;

export type Environment = 'development' | 'staging' | 'production';
export type Tier = 'low' | 'medium' | 'high';
/** The three roots of an artifact (DESIGN §1a "Identity"); an approval names the one it binds. */
export type RootName = 'all' | 'loading' | 'weights';

/** Who made evidence, precisely enough to know what must be made again when rules change. */
export interface ProducerIdentity {
  readonly name: string;
  readonly version: string;
  readonly ruleSetDigest: Digest;
}

/** Subject: the artifact. What arrived, from where, when. Also what `reindex` rebuilds snapshots from. */
export interface ObservedPredicate {
  readonly producer: ProducerIdentity;
  readonly observedAt: string;
  readonly source: {
    /**
     * Where the files came from (docs/reference/sources.md), e.g. `hf://models/org/name@<commit>`, `https://host/file`,
     * `upload://models/org/name`. Anything but `hf:` came by an intake, whose name stays taken. Never a query, a credential, a
     * caller's host or path.
     */
    readonly uri: string;
    readonly repositoryType: 'models' | 'datasets' | 'spaces';
    readonly repository: string;
    readonly commit: string;
    /** The references that resolved to the commit when it was asked for, e.g. `main`. */
    readonly references: readonly string[];
  };
  /** Code-point order of path. `sha256` without prefix. */
  readonly files: readonly ObservedFile[];
  /** True while the snapshot is above the small-file bound and not complete. */
  readonly provisional: boolean;
}

export interface ObservedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  /** git blob id (SHA-1, or of the LFS pointer), as upstream lists it. */
  readonly gitOid: string;
  readonly lfs: boolean;
  /** Bytes are here and verified; otherwise absent, which is neither clean nor malicious. */
  readonly present: boolean;
}

export type ScanVerdict = 'clean' | 'suspicious' | 'malicious';
export type Completeness = 'complete' | 'inconclusive';
export type Severity = 'low' | 'medium' | 'high' | 'critical';

export interface Finding {
  /** Stable rule id, e.g. `PKL-CALL-DENIED`. */
  readonly ruleId: string;
  readonly severity: Severity;
  /** What would happen, in words: ``would call `os.system("id")` ``. Lower case, no full stop. */
  readonly message: string;
  /** Container path, member, byte offset, opcode index, as far as they apply. Nothing here depends on a file's name. */
  readonly location: {
    readonly member?: string;
    readonly offset?: number;
    readonly opcode?: number;
    readonly pointer?: string;
    /** Only in evidence about an artifact: which file. */
    readonly path?: string;
  };
  readonly remedy: string;
}

/**
 * Subjects: up to `limits.statementSubjects` blobs (scope `blob`, name-free facts) or one artifact (scope `artifact`, what
 * paths make of the bytes). One result per subject, in the order of the subjects, so that an intake of many small files
 * is a few log entries. A result holds for the blob wherever its bytes appear.
 */
export interface ScanPredicate {
  readonly producer: ProducerIdentity;
  readonly scannedAt: string;
  readonly scope: 'blob' | 'artifact';
  readonly results: readonly ScanResult[];
}

export interface ScanResult {
  /** Hex SHA-256 of the subject that this result is about. */
  readonly sha256: string;
  /** Every reading the content admits, e.g. `pickle`, `pytorch-zip`, `safetensors`, `gguf`, `json`, `text`, `unknown`. */
  readonly formats: readonly string[];
  readonly sizeBytes: number;
  readonly verdict: ScanVerdict;
  readonly completeness: Completeness;
  /** Why it is inconclusive; empty when complete. */
  readonly incompleteReasons: readonly string[];
  readonly findings: readonly Finding[];
}

/**
 * `quiet`: everything was loaded and nothing happened that a clean load does not do. `acted`: something did. `failed`: a
 * library refused a file. `inconclusive`: not everything was loaded, or the run did not end by itself.
 */
export type SandboxOutcome = 'quiet' | 'acted' | 'failed' | 'inconclusive';

/** Subject: the artifact. It was really loaded and called, isolated, and this is what it did (docs/reference/sandbox.md). */
export interface SandboxPredicate {
  readonly producer: ProducerIdentity;
  readonly exercisedAt: string;
  readonly runner: 'bubblewrap' | 'unshare';
  readonly limits: Readonly<Record<string, number>>;
  /** Was code that the artifact brings along allowed to run as the library's own option allows it? */
  readonly trustRemoteCode: boolean;
  readonly python: string;
  /** Code-point order of name. */
  readonly libraries: readonly { readonly name: string; readonly version: string }[];
  /** What was in the sandbox; `sha256` without prefix, code-point order of path. */
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
  readonly outcome: SandboxOutcome;
  /** Why it is `failed` or `inconclusive`; empty otherwise. */
  readonly reasons: readonly string[];
  readonly steps: readonly SandboxStep[];
  /** Acts first, bare starts of a process after the others, each in the order of its first time; `times` counts the same words. */
  readonly events: readonly SandboxDeed[];
  /** Different events beyond `limits.sandboxEvents`. */
  readonly eventsOmitted: number;
}

export interface SandboxDeed {
  readonly grade: 'act' | 'note';
  readonly kind: string;
  readonly words: string;
  readonly times: number;
}

/** One call of a library. What it says is what the process said of itself: code of the artifact can forge it. */
export interface SandboxStep {
  readonly loader: string;
  /** Empty for the whole directory. */
  readonly path: string;
  readonly outcome: 'loaded' | 'failed' | 'unavailable';
  readonly detail: string | null;
  /** Was it called with the canonical inputs, or at least read out completely? */
  readonly exercised: boolean;
  /** SHA-256 of the JCS bytes of all outputs, those beyond `limits.sandboxListedOutputs` too; null where there are none. */
  readonly baseline: string | null;
  readonly outputs: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly dtype: string;
    readonly sha256: string;
  }[];
}

/** Subject: the root digest that the approval binds. */
export interface ApprovalPredicate {
  readonly approvedAt: string;
  /** Pseudonymous id of the person; the table that names them is erasable. */
  readonly person: string;
  readonly reason: string;
  readonly root: RootName;
  readonly namespace: string;
  readonly environments: readonly Environment[];
  readonly expiresAt: string | null;
}

/** Subject: the root digest it covers. Never for integrity rules. */
export interface WaiverPredicate {
  readonly waivedAt: string;
  readonly rule: string;
  readonly people: readonly string[];
  readonly reason: string;
  readonly namespace: string;
  readonly environments: readonly Environment[];
  readonly expiresAt: string;
  readonly breakGlass: boolean;
}

/** Subject: an artifact (or root) digest. Negative evidence; has no bypass. */
export interface RevocationPredicate {
  readonly revokedAt: string;
  readonly person: string;
  readonly reason: string;
  readonly namespace: string;
}

/** Subject: the policy set's digest. Says from which log index on it is in force. */
export interface PolicyPredicate {
  readonly activatedAt: string;
  readonly policyDigest: Digest;
  readonly names: readonly string[];
}

/**
 * What an upstream did wrong. Lies (`upstream.lied`), which are refused: `wrong-digest`, `wrong-size` (announced), `short`,
 * `long`, `encoded` (another content coding than asked), `wrong-range`, `changed-commit` (the same commit with other files,
 * bytes or another name), `omitted` (listed and not there), `redirect-refused`, `malformed-tree`, `malformed-answer`.
 * Being away (`upstream.unavailable`), which is retried first: `stall`, `rate-limited`, `server-error`, `unreachable`.
 */
export const incidentKinds = [
  'wrong-digest',
  'wrong-size',
  'short',
  'long',
  'encoded',
  'wrong-range',
  'changed-commit',
  'omitted',
  'redirect-refused',
  'malformed-tree',
  'malformed-answer',
  'stall',
  'rate-limited',
  'server-error',
  'unreachable',
] as const;
export type IncidentKind = (typeof incidentKinds)[number];

/**
 * Subjects: SHA-256 of the UTF-8 source URI (the subject's name is the URI), then the declared digest of the file where there is
 * one. Evidence about the source: no decision about the bytes rests on it, because they may be fine elsewhere.
 */
export interface UpstreamIncidentPredicate {
  readonly producer: ProducerIdentity;
  readonly at: string;
  readonly source: {
    /** `hf://<type>/<id>@<commit>`; without `@…` while no commit was known, so that no caller's text is signed. */
    readonly uri: string;
    /** Host, and port where it is not the scheme's own. */
    readonly upstream: string;
  };
  readonly kind: IncidentKind;
  /** Lower case, no full stop; what the refused client was told. */
  readonly message: string;
  /** Path in the repository; null where the incident is about the whole commit. */
  readonly path: string | null;
}

/**
 * Subjects: the digest of the report, then up to 999 artifacts that it found, with one result for each of them in `results`. What somebody
 * found on machines of theirs before Weighbridge stood in front: a statement about what is there, on which no decision
 * rests. Paths, host names and names of directories stay in the report, which is a blob and no evidence.
 */
export interface AdoptionPredicate {
  readonly adoptedAt: string;
  /** Pseudonymous id of the person. */
  readonly person: string;
  readonly namespace: string;
  readonly report: { readonly sha256: string; readonly sizeBytes: number; readonly at: string };
  /** Above 999 artifacts a report has several statements; `part` counts from 1. */
  readonly part: number;
  readonly parts: number;
  readonly scanner: ProducerIdentity;
  /** False where the run could not look at everything. */
  readonly complete: boolean;
  readonly totals: AdoptionTotals;
  readonly results: readonly AdoptionResult[];
}

export interface AdoptionTotals {
  readonly models: number;
  readonly files: number;
  readonly sizeBytes: number;
  readonly origins: Readonly<Record<'proved' | 'claimed' | 'contradicted' | 'unknown', number>>;
  readonly risks: Readonly<Record<Severity, number>>;
}

export interface AdoptionResult {
  /** Hex SHA-256 of the artifact. */
  readonly sha256: string;
  /** `hf://models/org/name@<commit>` where a hub cache held it; null otherwise. */
  readonly source: string | null;
  readonly origin: 'proved' | 'claimed' | 'contradicted' | 'unknown';
  readonly verdict: ScanVerdict;
  readonly completeness: Completeness;
  readonly risks: Readonly<Record<Severity, number>>;
}
