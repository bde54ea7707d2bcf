import { Type } from 'typebox';
import type { Static } from 'typebox';
import { digestSchema, instantSchema } from './schemas.ts';
import type { Answer } from './type-provider.ts';

/** Gravest first. */
export const severities = ['critical', 'high', 'medium', 'low'] as const;

/** What can be wrong, in the order in which risks of one severity are listed. */
export const riskKinds = [
  'malicious',
  'suspicious',
  'altered',
  'unlisted',
  'outside-link',
  'unknown-origin',
  'unread',
  'inconclusive',
  'pickle-beside-safetensors',
  'remote-code',
  'moved-reference',
  'duplicate',
  'unreferenced',
  'partial',
  'world-writable',
] as const;

const layouts = ['hub-cache', 'hub-folder', 'ollama', 'folder'] as const;
const origins = ['proved', 'claimed', 'contradicted', 'unknown'] as const;

/** Bounds of one report: what a server takes. A run that finds more says so in `incompleteReasons`. */
export const reportBounds = { models: 20_000, risks: 20_000, files: 100_000, pathsPerRisk: 5 } as const;

/** Text of a report: no NUL, no half of a surrogate pair, bounded. Written with `reportText`. */
const text = (maxLength: number) =>
  Type.String({ maxLength, pattern: String.raw`^[^\u0000\ud800-\udfff]*$` });
const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const closed = { additionalProperties: false };

export const adoptedFileSchema = Type.Object(
  {
    path: text(4_200),
    sizeBytes: whole,
    digest: Type.Union([digestSchema, Type.Null()]),
    role: Type.Enum(['weights', 'steering', 'documentation']),
    formats: Type.Array(text(40), { maxItems: 20 }),
    verdict: Type.Enum(['clean', 'suspicious', 'malicious']),
    completeness: Type.Enum(['complete', 'inconclusive']),
  },
  closed,
);

export const adoptedModelSchema = Type.Object(
  {
    name: text(1_000),
    layout: Type.Enum([...layouts]),
    /** Where it lies on the machine that was looked at. Stays in the report; never in evidence. */
    location: text(8_200),
    /** What a hub cache says it is; null for a directory. */
    source: Type.Union([
      Type.Object(
        {
          type: Type.Enum(['models', 'datasets', 'spaces']),
          id: text(300),
          commit: Type.Union([Type.String({ pattern: '^[0-9a-f]{40}$' }), Type.Null()]),
          references: Type.Array(text(300), { maxItems: 100 }),
        },
        closed,
      ),
      Type.Null(),
    ]),
    /** Manifest v1 over the files that are here; null where one of them cannot be read or named. */
    artifact: Type.Union([digestSchema, Type.Null()]),
    fileCount: whole,
    sizeBytes: whole,
    origin: Type.Object({ state: Type.Enum([...origins]), detail: text(1_000) }, closed),
    verdict: Type.Enum(['clean', 'suspicious', 'malicious']),
    completeness: Type.Enum(['complete', 'inconclusive']),
    formats: Type.Array(text(40), { maxItems: 50 }),
    /** Risks of this model by severity. */
    risks: Type.Object({ critical: whole, high: whole, medium: whole, low: whole }, closed),
    /** Code-unit order of path; empty where the report holds too many files (`filesListed`). */
    files: Type.Array(adoptedFileSchema, { maxItems: reportBounds.files }),
  },
  closed,
);

export const adoptionRiskSchema = Type.Object(
  {
    severity: Type.Enum([...severities]),
    kind: Type.Enum([...riskKinds]),
    /** Index into `models`; null for what belongs to no single model. */
    model: Type.Union([whole, Type.Null()]),
    /** The scan rule, where a scan found it. */
    rule: Type.Union([text(100), Type.Null()]),
    message: text(2_000),
    remedy: text(2_000),
    /** Files it is about; `paths` names the first of them. */
    count: whole,
    paths: Type.Array(text(8_200), { maxItems: reportBounds.pathsPerRisk }),
  },
  closed,
);

/** The answer of `weighbridge adopt`, its JSON, and what a server takes. docs/reference/adopt.md explains it. */
export const adoptionReportSchema = Type.Object(
  {
    version: Type.Literal(1),
    at: instantSchema,
    scanner: Type.Object({ name: text(100), version: text(100), ruleSetDigest: digestSchema }, closed),
    roots: Type.Array(text(4_200), { minItems: 1, maxItems: 1_000 }),
    complete: Type.Boolean(),
    incompleteReasons: Type.Array(text(9_000), { maxItems: 100 }),
    filesListed: Type.Boolean(),
    totals: Type.Object(
      {
        models: whole,
        files: whole,
        sizeBytes: whole,
        /** Bytes of different content, and what would be saved if each stood once. */
        distinctBytes: whole,
        duplicateBytes: whole,
        partialBytes: whole,
        unreferencedBytes: whole,
        origins: Type.Object({ proved: whole, claimed: whole, contradicted: whole, unknown: whole }, closed),
        risks: Type.Object({ critical: whole, high: whole, medium: whole, low: whole }, closed),
      },
      closed,
    ),
    /** What this run did, as opposed to what an earlier one had left in the state file. */
    work: Type.Object(
      { filesHashed: whole, filesKnown: whole, bytesHashed: whole, blobsScanned: whole },
      closed,
    ),
    models: Type.Array(adoptedModelSchema, { maxItems: reportBounds.models }),
    risks: Type.Array(adoptionRiskSchema, { maxItems: reportBounds.risks }),
  },
  closed,
);

export type AdoptionReport = Answer<Static<typeof adoptionReportSchema>>;
export type AdoptedModel = Answer<Static<typeof adoptedModelSchema>>;
export type AdoptedFile = Answer<Static<typeof adoptedFileSchema>>;
export type AdoptionRisk = Answer<Static<typeof adoptionRiskSchema>>;
export type Severity = (typeof severities)[number];
export type RiskKind = (typeof riskKinds)[number];
export type Origin = AdoptedModel['origin'];

/** Foreign text as a report may hold it. */
export function reportText(value: string, maxLength: number): string {
  const plain = value.toWellFormed().replaceAll('\0', '\u{fffd}');
  return plain.length <= maxLength ? plain : `${plain.slice(0, maxLength - 1).toWellFormed()}…`;
}

/** 2 where a risk is high or critical, 1 where not everything could be looked at, 0 otherwise. */
export function exitOfAdoption({ totals, complete }: AdoptionReport): 0 | 1 | 2 {
  if (totals.risks.critical + totals.risks.high > 0) return 2;
  return complete ? 0 : 1;
}
