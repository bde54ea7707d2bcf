import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Answer } from './type-provider.ts';

/** Text as the database and canonical JSON can hold it: no NUL, no half of a surrogate pair. */
export const writable = { pattern: String.raw`^[^\u0000\ud800-\udfff]*$` };

/** JSON shapes of `/wb/v1`. The OpenAPI document and the console's client are generated from these. */
export const nullable = <T extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Object>>(
  schema: T,
) => Type.Union([schema, Type.Null()]);

export const digestSchema = Type.String({ pattern: '^sha256:[0-9a-f]{64}$', description: 'SHA-256 digest' });
export const instantSchema = Type.String({ description: 'RFC 3339, UTC, whole seconds' });
export const environmentSchema = Type.Union([
  Type.Literal('development'),
  Type.Literal('staging'),
  Type.Literal('production'),
]);
const tierSchema = Type.Union([Type.Literal('low'), Type.Literal('medium'), Type.Literal('high')]);
const effectSchema = Type.Union([Type.Literal('allow'), Type.Literal('warn'), Type.Literal('deny')]);
const scanVerdictSchema = Type.Union([
  Type.Literal('clean'),
  Type.Literal('suspicious'),
  Type.Literal('malicious'),
  Type.Literal('unknown'),
]);
const completenessSchema = Type.Union([Type.Literal('complete'), Type.Literal('inconclusive')]);
const rootSchema = Type.Union([Type.Literal('all'), Type.Literal('loading'), Type.Literal('weights')]);

export const findingSchema = Type.Object({
  ruleId: Type.String(),
  severity: Type.Union([
    Type.Literal('low'),
    Type.Literal('medium'),
    Type.Literal('high'),
    Type.Literal('critical'),
  ]),
  message: Type.String(),
  location: Type.Object({
    member: Type.Optional(Type.String()),
    offset: Type.Optional(Type.Number()),
    opcode: Type.Optional(Type.Number()),
    pointer: Type.Optional(Type.String()),
    path: Type.Optional(Type.String()),
  }),
  remedy: Type.String(),
});

export const repositorySchema = Type.Object({
  type: Type.Union([Type.Literal('models'), Type.Literal('datasets'), Type.Literal('spaces')]),
  id: Type.String(),
});

export const artifactRowSchema = Type.Object({
  artifact: digestSchema,
  repository: repositorySchema,
  commit: Type.String(),
  references: Type.Array(Type.String()),
  fileCount: Type.Integer(),
  sizeBytes: Type.Number(),
  presentCount: Type.Integer(),
  verdict: scanVerdictSchema,
  completeness: completenessSchema,
  decision: nullable(
    Type.Object({
      verdict: effectSchema,
      environment: environmentSchema,
      at: instantSchema,
      validUntil: nullable(instantSchema),
    }),
  ),
  tier: tierSchema,
});
export type ArtifactRow = Answer<Static<typeof artifactRowSchema>>;

export const artifactListSchema = Type.Object({
  items: Type.Array(artifactRowSchema),
  next: nullable(Type.String()),
});

export const reasonSchema = Type.Object({
  rule: Type.String(),
  effect: effectSchema,
  message: Type.String(),
  evidence: Type.Array(digestSchema),
  missing: nullable(Type.String()),
  who: Type.String(),
  remedy: Type.String(),
});

export const decisionSchema = Type.Object({
  version: Type.Literal(1),
  question: Type.Object({
    principal: Type.String(),
    action: Type.String(),
    artifact: digestSchema,
    files: Type.Union([Type.Array(Type.String()), Type.Null()]),
    namespace: Type.String(),
    environment: environmentSchema,
  }),
  verdict: effectSchema,
  reasons: Type.Array(reasonSchema),
  evidenceUsed: Type.Array(digestSchema),
  policyDigest: digestSchema,
  trustDigest: digestSchema,
  checkpoint: Type.Object({ size: Type.Integer(), rootHash: Type.String() }),
  at: instantSchema,
  validUntil: nullable(instantSchema),
});

export const explainedDecisionSchema = Type.Object({
  environment: environmentSchema,
  decision: decisionSchema,
  explanation: Type.String(),
});

/** A decision as it stands in the log. */
const keptDecisionSchema = Type.Object({
  environment: environmentSchema,
  decision: decisionSchema,
  explanation: Type.String(),
  logIndex: Type.Integer(),
  envelopeDigest: digestSchema,
});

export const evidenceRowSchema = Type.Object({
  logIndex: Type.Integer(),
  envelopeDigest: digestSchema,
  predicateType: Type.String(),
  at: nullable(instantSchema),
  summary: Type.String(),
  issuerRole: Type.String(),
});
export type EvidenceRow = Answer<Static<typeof evidenceRowSchema>>;

export const artifactDetailSchema = Type.Object({
  artifact: digestSchema,
  roots: Type.Object({
    all: nullable(digestSchema),
    loading: nullable(digestSchema),
    weights: nullable(digestSchema),
  }),
  snapshots: Type.Array(
    Type.Object({
      repository: repositorySchema,
      commit: Type.String(),
      references: Type.Array(Type.String()),
      provisional: Type.Boolean(),
    }),
  ),
  tier: tierSchema,
  files: Type.Array(
    Type.Object({
      path: Type.String(),
      digest: digestSchema,
      sizeBytes: Type.Number(),
      role: Type.Union([Type.Literal('weights'), Type.Literal('steering'), Type.Literal('documentation')]),
      present: Type.Boolean(),
      scan: nullable(
        Type.Object({
          verdict: scanVerdictSchema,
          completeness: completenessSchema,
          formats: Type.Array(Type.String()),
          findings: Type.Array(findingSchema),
        }),
      ),
    }),
  ),
  findings: Type.Array(findingSchema),
  evidence: Type.Array(evidenceRowSchema),
  decisions: Type.Array(keptDecisionSchema),
});
export type ArtifactDetail = Answer<Static<typeof artifactDetailSchema>>;

export const approveBodySchema = Type.Object(
  {
    reason: Type.String({ minLength: 3, maxLength: 2000, ...writable }),
    root: rootSchema,
    environments: Type.Array(environmentSchema, { minItems: 1, uniqueItems: true }),
    expiresAt: nullable(instantSchema),
  },
  { additionalProperties: false },
);

export const denyBodySchema = Type.Object(
  { reason: Type.String({ minLength: 3, maxLength: 2000, ...writable }) },
  { additionalProperties: false },
);

export const appendedSchema = Type.Object({
  logIndex: Type.Integer(),
  envelopeDigest: digestSchema,
});

export const logHeadSchema = Type.Object({
  size: Type.Integer(),
  rootHash: Type.String(),
  checkpoint: Type.String(),
  origin: Type.String(),
  verifierKey: Type.String({ description: 'C2SP signed-note vkey of the log' }),
  trustFingerprint: digestSchema,
  selfAsserted: Type.Boolean({ description: 'true while no outside witness has signed the checkpoint' }),
});

export const whoamiSchema = Type.Object({
  class: Type.String(),
  namespace: Type.String(),
  environment: environmentSchema,
});

export const faultSchema = Type.Object({
  error: Type.Object({
    code: Type.String(),
    message: Type.String(),
    hint: Type.Optional(Type.String()),
    details: Type.Record(Type.String(), Type.Unknown()),
    documentation: Type.String(),
  }),
});

export const askBodySchema = Type.Object(
  {
    artifact: digestSchema,
    action: Type.Union([
      Type.Literal('pull'),
      Type.Literal('promote'),
      Type.Literal('deploy'),
      Type.Literal('load'),
      Type.Literal('serve'),
    ]),
    environment: environmentSchema,
    files: Type.Union([Type.Array(Type.String(writable), { maxItems: 10_000 }), Type.Null()]),
  },
  { additionalProperties: false },
);
