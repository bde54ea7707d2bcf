import type { Digest } from '#artifact/digest.ts';
import type { BlobDescriptor, ByteSource } from '#artifact/blob-store.ts';
import type { ProducerIdentity } from '#evidence/predicates.ts';
import type { Statement } from '#evidence/statement.ts';

/** A file of an artifact as producers see it. */
export interface ProducedFile extends BlobDescriptor {
  readonly path: string;
  readonly gitOid: string;
  readonly lfs: boolean;
  readonly present: boolean;
}

/** What a producer may look at. Bytes come through `open`, which is undefined for an absent file. */
export interface ProducerInput {
  readonly artifact: Digest;
  readonly files: readonly ProducedFile[];
  readonly source: {
    readonly uri: string;
    readonly repositoryType: 'models' | 'datasets' | 'spaces';
    readonly repository: string;
    readonly commit: string;
    readonly references: readonly string[];
  };
  /** RFC 3339 UTC, whole seconds: the one instant that all statements of this run carry. */
  readonly at: string;
  readonly signal: AbortSignal;
  open(
    digest: Digest,
  ): Promise<(ByteSource & { readonly localPath: string | undefined } & AsyncDisposable) | undefined>;
  /** Earlier statements about these subjects by the same producer identity: reuse instead of producing again. */
  known(subjects: readonly Digest[], identity: ProducerIdentity): Promise<ReadonlyMap<Digest, Statement>>;
}

/**
 * Code that makes evidence. It reads artifacts, never policy, never another producer. It returns unsigned statements;
 * the wire signs and appends them. A producer that cannot read something says so in its statement (`inconclusive`)
 * and throws only where it could not run at all.
 */
export interface Producer {
  readonly identity: ProducerIdentity;
  readonly predicateType: string;
  produce(input: ProducerInput): Promise<readonly Statement[]>;
}
