import type { RepositoryName, RepositoryType } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Environment } from '#evidence/predicates.ts';
import type { Fault } from '#lib/fault.ts';
import type { Redacted } from '#lib/redacted.ts';
import type { Decision, PrincipalClass, Question } from '#policy/decision.ts';

/** Who asks, as the house knows them. `id` is pseudonymous and undefined for `anonymous`. */
export interface Principal {
  readonly class: PrincipalClass;
  readonly id: string | undefined;
  readonly namespace: string;
  /** From the token's binding, else the namespace's default; never from the client (DESIGN §1a). */
  readonly environment: Environment;
}

/**
 * Turns the `Authorization` header into a principal. `namespace` is what the path names (`/hf/<namespace>/…`), undefined
 * for the default namespace. A token that is not ours (an upstream `hf_…` token, say) is an anonymous caller, not an
 * error. Throws Fault `request.unauthenticated` (anonymous callers are not admitted here), `request.forbidden` (a token
 * of another namespace) or `resource.unknown` (no such namespace; say the same for one the caller may not see).
 * The header is never stored, logged or forwarded.
 */
export interface Principals {
  authenticate(
    authorization: Redacted<string> | undefined,
    namespace: string | undefined,
  ): Promise<Principal>;
}

/** A file of a repository at a commit as the tree lists it: enough for HEAD, not yet a promise that the bytes are here. */
export interface ListedFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** git blob id, 40 hex digits (for an LFS file: of its pointer). */
  readonly gitOid: string;
  /** SHA-256 that the LFS pointer declares; undefined for a file that lies in git itself. */
  readonly lfsDigest: Digest | undefined;
}

/** What clients like to be told about a repository. Display only; nothing is decided on it. */
export interface RepositoryCard {
  readonly createdAt: string | undefined;
  readonly lastModified: string | undefined;
  readonly tags: readonly string[];
  readonly pipelineTag: string | undefined;
  readonly libraryName: string | undefined;
  readonly downloads: number;
  readonly likes: number;
}

/** A repository at a commit as one namespace sees it. */
export interface Listing {
  readonly namespace: string;
  readonly repository: RepositoryName;
  /** 40 lower-case hex digits. */
  readonly commit: string;
  /** Code-point order of path, no duplicates, every path valid (`artifact` path rules). */
  readonly files: readonly ListedFile[];
  readonly card: RepositoryCard;
}

export type Resolution =
  | { readonly kind: 'found'; readonly listing: Listing }
  | { readonly kind: 'absent'; readonly what: 'repository' | 'revision' };

/** Where the intake of some files of one commit stands. */
export type Arrival =
  /** Still fetching, scanning or sequencing. `retryAfterSeconds` ≥ 1 is an estimate. */
  | { readonly kind: 'pending'; readonly since: number; readonly retryAfterSeconds: number }
  /**
   * Bytes are verified, stored and linked in the namespace, evidence about them is sequenced: a decision may be asked.
   * `digests` has every path that was asked for.
   */
  | { readonly kind: 'ready'; readonly artifact: Digest; readonly digests: ReadonlyMap<string, Digest> }
  /** The intake ended in a Fault (`upstream.lied`, `upstream.unavailable`, `disk.full` …). */
  | { readonly kind: 'failed'; readonly fault: Fault };

/**
 * How a file reaches a client before its verdict stands. `tail`: streamed as it arrives, its end withheld; `hold`: no byte;
 * `approve`: no byte, and a person must have approved the artifact (which the decision demands, not the gate).
 */
export type DeliveryMode = 'tail' | 'hold' | 'approve';

export interface Delivery {
  readonly mode: DeliveryMode;
  /** A rule of the operator says so, so it holds for every client; else only for clients that are known to be safe with it. */
  readonly everyClient: boolean;
}

/**
 * One file while its only upstream body arrives, shared by everybody who follows it: following starts no second transfer
 * and leaving stops none. Bytes are unverified until the arrival is `ready`.
 */
export interface Following {
  readonly sizeBytes: number;
  /** What the first bytes are, by content: `safetensors`, `gguf`, `npy`, `pickle`, `zip` … `unknown`. */
  readonly format: string;
  readonly delivery: Delivery;
  /**
   * Fills `target` from `offset` as far as bytes are here, and waits while there is none: at least one byte, 0 only at the
   * end of the file. A place far ahead of what has arrived is fetched first where upstream allows it. Rejects with the
   * Fault that ended the transfer, or the signal's reason. All bytes of one following are of one transfer: once bytes that
   * anybody may have read are thrown away, to be fetched again, it rejects for good, wherever it has got to.
   */
  readInto(target: Uint8Array, offset: number, signal: AbortSignal): Promise<number>;
  /** Must be called; never throws. */
  close(): void;
}

export interface RepositoryRef {
  /** `main`, `v1.0` … */
  readonly name: string;
  /** `refs/heads/main`, `refs/tags/v1.0` … */
  readonly ref: string;
  readonly commit: string;
}

export interface RepositoryRefs {
  readonly branches: readonly RepositoryRef[];
  readonly tags: readonly RepositoryRef[];
}

export interface RepositoryQuery {
  readonly type: RepositoryType;
  readonly search: string | undefined;
  readonly author: string | undefined;
  /** 1–1000. */
  readonly limit: number;
  /** Opaque `next` of the page before. */
  readonly after: string | undefined;
}

export interface RepositoryPage {
  readonly repositories: readonly {
    readonly id: string;
    readonly commit: string;
    readonly card: RepositoryCard;
  }[];
  readonly next: string | undefined;
}

/**
 * Brings repositories in. Every call is confined to the namespace. All may throw Fault `upstream.unavailable`,
 * `upstream.lied`, `limit.exceeded`, `database.unavailable`.
 */
export interface Intake {
  /**
   * Revision (`main`, a tag, `refs/pr/1`, a commit, `HEAD` = the default branch) to the listing of one commit. Needs
   * metadata only, no file bytes. A commit that is stored here is answered without upstream; so is a reference while
   * upstream is unreachable.
   */
  resolve(namespace: string, repository: RepositoryName, revision: string): Promise<Resolution>;
  /**
   * Wants these paths of the listing (an empty list warms the intake up: the artifact's manifest and its steering
   * files). Starts the intake if it is not under way (single flight per commit; it belongs to the commit, not to the
   * caller, and goes on when the caller leaves) and waits until it is settled for these paths, `waitMs` have passed or
   * `signal` aborts; the latter two answer `pending`. `waitMs` 0 asks without waiting. The signal is aborted after the
   * answer, too, so that a timer may hang on it.
   */
  want(
    listing: Listing,
    paths: readonly string[],
    wait: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<Arrival>;
  /**
   * The bytes of one path while its intake is under way (started here if need be). Resolves as soon as enough bytes are
   * here to say what the file is; undefined where there is nothing to follow: the file is small or its bytes are here
   * already, or `waitMs` passed. Faults of the transfer reject.
   */
  follow(
    listing: Listing,
    path: string,
    wait: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<Following | undefined>;
  /** Undefined where there is no such repository. */
  refs(namespace: string, repository: RepositoryName): Promise<RepositoryRefs | undefined>;
  /** Repositories of which the namespace holds at least one snapshot, by id. */
  list(namespace: string, query: RepositoryQuery): Promise<RepositoryPage>;
}

/** A decision and what the gate must know to say no in the right words. */
export interface Ruling {
  readonly decision: Decision;
  /**
   * A deny, and copies may be out there: an earlier decision in this namespace let the artifact pass, or there is a
   * revocation. The gate then answers in the way that overrides a client's cache.
   */
  readonly withdrawn: boolean;
}

/** Asks for decisions. An error while deciding is a deny with the error as reason, never an exception. */
export interface Decisions {
  ask(question: Question): Promise<Ruling>;
  /**
   * A deny that already stands for this commit as a whole, whatever file is asked for and whatever is still to arrive
   * (a revocation, an integrity failure); undefined where there is none or the commit is not known yet. Must be quick:
   * every listing asks it first.
   */
  standing(listing: Listing, principal: Principal): Promise<Ruling | undefined>;
}

/** One answer about one file, for counters, logs and the tally. Never carries the caller's address or token. */
export interface PullEvent {
  readonly outcome: 'served' | 'refused' | 'held' | 'failed';
  readonly principal: Principal;
  readonly repository: RepositoryName;
  readonly commit: string;
  readonly path: string;
  readonly artifact: Digest | undefined;
  /** Bytes of body that left, 0 for HEAD. */
  readonly sentBytes: number;
  /** Rule of the first deny reason, or the Fault's code. */
  readonly reason: string | undefined;
}

/** Is told what happened at the gate. Returns at once and never throws. */
export interface PullJournal {
  note(event: PullEvent): void;
}
