import type { Digest } from '#artifact/digest.ts';
import type { SnapshotFile } from '#artifact/catalog.ts';
import type { Environment } from '#evidence/predicates.ts';
import type { Decision, Question } from '#policy/decision.ts';

/** What the promote gate asks of the house. */
export interface PromotePorts {
  /** Brings every file of the artifact; a promotion is about the whole. */
  readonly complete: (namespace: string, artifact: Digest) => Promise<PromotedArtifact>;
  readonly ask: (question: Question) => Promise<Decision>;
  /** Signs an OMS v1.0 statement over the files with the release key, logs it, and gives the Sigstore bundle as JSON. */
  readonly sign: (namespace: string, artifact: PromotedArtifact) => Promise<string>;
}

export interface PromotedArtifact {
  readonly artifact: Digest;
  /** Informational name of the model: the last part of its repository id. */
  readonly name: string;
  readonly files: readonly SnapshotFile[];
}

export interface Promotion {
  readonly decision: Decision;
  /** OMS v1.0 bundle (`model.sig`); null where the decision was not an allow. */
  readonly bundle: string | null;
}

/**
 * Signing follows deciding (DESIGN §1a): the release key signs the artifact only after `decide` allowed its promotion into
 * the environment. A `warn` is not an allow here: what carries the release signature has nothing to be warned about.
 */
export async function promote(
  ports: PromotePorts,
  asked: {
    readonly namespace: string;
    readonly artifact: Digest;
    readonly environment: Environment;
    readonly principal: Question['principal'];
  },
): Promise<Promotion> {
  const artifact = await ports.complete(asked.namespace, asked.artifact);
  const decision = await ports.ask({
    principal: asked.principal,
    action: 'promote',
    artifact: asked.artifact,
    files: null,
    namespace: asked.namespace,
    environment: asked.environment,
  });
  if (decision.verdict !== 'allow') return { decision, bundle: null };
  return { decision, bundle: await ports.sign(asked.namespace, artifact) };
}
