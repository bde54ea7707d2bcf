import { bool, instant, int, listOf, optionalInstant, optionalString, record, string } from './cel/types.ts';
import type { Type } from './cel/types.ts';

const finding = record('finding', { ruleId: string, severity: string, message: string });

const scan = record('scan', {
  exists: bool,
  verdict: string,
  completeness: string,
  findings: listOf(finding),
  incompleteReasons: listOf(string),
  formats: listOf(string),
  producers: listOf(string),
  scannedAt: optionalInstant,
});

const file = record('file', {
  path: string,
  role: string,
  digest: string,
  sizeBytes: int,
  present: bool,
  asked: bool,
  inBom: bool,
  scan,
});

const rootLists = record('approvers', {
  all: listOf(string),
  loading: listOf(string),
  weights: listOf(string),
});

/**
 * Every variable that a rule may name, with its type. docs/reference/policies.md describes each; the facts of a
 * decision (`facts.ts`) fill exactly this shape. `file` exists only in rules that say `for: files`.
 */
export const artifactVariables: Readonly<Record<string, Type>> = {
  question: record('question', {
    principal: string,
    action: string,
    files: listOf(string),
    whole: bool,
    namespace: string,
    environment: string,
  }),
  artifact: record('artifact', {
    digest: string,
    roots: record('roots', { all: optionalString, loading: optionalString, weights: optionalString }),
    fileCount: int,
    references: listOf(string),
  }),
  tier: string,
  environment: string,
  files: listOf(file),
  scan,
  observed: record('observed', {
    exists: bool,
    source: string,
    repositoryType: string,
    repository: string,
    commit: string,
    references: listOf(string),
    observedAt: optionalInstant,
    provisional: bool,
  }),
  bom: record('bom', { exists: bool, fileCount: int, licenses: listOf(string) }),
  sandbox: record('sandbox', {
    exists: bool,
    outcome: string,
    acts: listOf(string),
    reasons: listOf(string),
    exercisedAt: optionalInstant,
  }),
  approvals: listOf(
    record('approval', { person: string, root: string, approvedAt: instant, expiresAt: optionalInstant }),
  ),
  approvers: rootLists,
  waivers: listOf(
    record('waiver', { rule: string, people: listOf(string), breakGlass: bool, expiresAt: instant }),
  ),
};

export const fileVariables: Readonly<Record<string, Type>> = { ...artifactVariables, file };
