import { hexOf } from '#artifact/digest.ts';
import type { Fields } from './cel/types.ts';
import type { Proven, ScanFacts } from './evidence-index.ts';
import type { Facts, FileFacts } from './facts.ts';
import type { SandboxReading, ScanReading } from './readings.ts';

const verdicts = ['clean', 'suspicious', 'malicious'] as const;

/** Facts do not change: what was made of them once is what it would be the next time. */
const scanValues = new WeakMap<ScanFacts, Fields>();

function scanValue(scan: ScanFacts): Fields {
  const known = scanValues.get(scan);
  if (known !== undefined) return known;
  const value = summaryOf(scan);
  scanValues.set(scan, value);
  return value;
}

/** The scans of one thing as one: the worst verdict, complete only if all are, the oldest instant. */
function summaryOf(scan: ScanFacts): Fields {
  const readings = scan.newest.map(({ reading }) => reading);
  const worst = readings.reduce((sum, { verdict }) => Math.max(sum, verdicts.indexOf(verdict)), 0);
  const all = <T>(of: (reading: ScanReading) => readonly T[]): readonly T[] => [
    ...new Set(readings.flatMap(of)),
  ];
  return {
    exists: readings.length > 0,
    verdict: readings.length === 0 ? 'none' : (verdicts[worst] ?? 'malicious'),
    completeness:
      readings.length === 0
        ? 'none'
        : readings.every(({ completeness }) => completeness === 'complete')
          ? 'complete'
          : 'inconclusive',
    findings: readings.flatMap(({ findings }) =>
      findings.map(({ ruleId, severity, message }) => ({ ruleId, severity, message })),
    ),
    incompleteReasons: all(({ incompleteReasons }) => incompleteReasons),
    formats: all(({ formats }) => formats),
    producers: all(({ producer }) => [producer]),
    scannedAt: readings.map(({ scannedAt }) => scannedAt).toSorted()[0] ?? null,
  };
}

function fileValue(entry: FileFacts, inBom: boolean): Fields {
  const { file } = entry;
  return {
    path: file.path,
    role: file.role,
    digest: file.digest,
    sizeBytes: BigInt(file.sizeBytes),
    present: file.present,
    asked: entry.asked,
    inBom,
    scan: scanValue(entry.scan),
  };
}

/** What the variables of rules hold: `artifact` for all rules, one more `file` for each needed file. */
export interface RuleValues {
  readonly artifact: Fields;
  readonly files: readonly { readonly facts: FileFacts; readonly variables: Fields }[];
}

/** Facts in the shape of `variables.ts`, as of `atMs`: approvals and waivers that are in force then. */
export function ruleValues(facts: Facts, atMs: number): RuleValues {
  const { question, subject } = facts;
  const files = facts.files.map((entry) =>
    fileValue(entry, facts.bom?.reading.digests.has(hexOf(entry.file.digest)) ?? false),
  );
  const approvals = facts.approvals.filter(
    ({ approvedAtMs, expiresAtMs }) => approvedAtMs <= atMs && (expiresAtMs === null || atMs < expiresAtMs),
  );
  const peopleOf = (...roots: readonly string[]): readonly string[] =>
    [
      ...new Set(
        approvals.filter(({ reading }) => roots.includes(reading.root)).map(({ reading }) => reading.person),
      ),
    ].toSorted();
  const artifact: Fields = {
    question: {
      principal: question.principal,
      action: question.action,
      files: question.files ?? [],
      whole: question.files === null,
      namespace: question.namespace,
      environment: question.environment,
    },
    artifact: {
      digest: subject.artifact,
      roots: { ...subject.roots },
      fileCount: BigInt(subject.files.length),
      references: subject.references,
    },
    tier: subject.tier,
    environment: question.environment,
    files,
    scan: scanValue(facts.scan),
    observed: observedValue(facts.observed.at(-1)),
    bom: {
      exists: facts.bom !== undefined,
      fileCount: BigInt(facts.bom?.reading.digests.size ?? 0),
      licenses: facts.bom?.reading.licenses ?? [],
    },
    sandbox: sandboxValue(facts.sandbox?.reading),
    approvals: approvals.map(({ reading }) => ({
      person: reading.person,
      root: reading.root,
      approvedAt: reading.approvedAt,
      expiresAt: reading.expiresAt,
    })),
    approvers: {
      all: peopleOf('all'),
      loading: peopleOf('all', 'loading'),
      weights: peopleOf('all', 'loading', 'weights'),
    },
    waivers: facts.waivers.map(({ reading }) => ({
      rule: reading.rule,
      people: reading.people,
      breakGlass: reading.breakGlass,
      expiresAt: reading.expiresAt,
    })),
  };
  return {
    artifact,
    files: facts.files.map((entry, index) => ({
      facts: entry,
      variables: { ...artifact, file: files[index] ?? null },
    })),
  };
}

function observedValue(observed: Proven<Facts['observed'][number]['reading']> | undefined): Fields {
  const reading = observed?.reading;
  return {
    exists: reading !== undefined,
    source: reading?.source ?? '',
    repositoryType: reading?.repositoryType ?? '',
    repository: reading?.repository ?? '',
    commit: reading?.commit ?? '',
    references: reading?.references ?? [],
    observedAt: reading?.observedAt ?? null,
    provisional: reading?.provisional ?? false,
  };
}

function sandboxValue(reading: SandboxReading | undefined): Fields {
  return {
    exists: reading !== undefined,
    outcome: reading?.outcome ?? 'none',
    acts: reading?.acts ?? [],
    reasons: reading?.reasons ?? [],
    exercisedAt: reading?.exercisedAt ?? null,
  };
}
