import { parseInstant } from './cel/time.ts';
import type { Environment, RootName, SandboxOutcome, WaiverPredicate } from '#evidence/predicates.ts';

/** What decisions look at in a scan statement. */
export interface ScanReading {
  readonly producer: string;
  readonly scope: 'blob' | 'artifact';
  readonly verdict: 'clean' | 'suspicious' | 'malicious';
  readonly completeness: 'complete' | 'inconclusive';
  readonly formats: readonly string[];
  readonly incompleteReasons: readonly string[];
  readonly findings: readonly {
    readonly ruleId: string;
    readonly severity: string;
    readonly message: string;
    /** In evidence about an artifact: the file that it is about. */
    readonly path: string | null;
  }[];
  readonly scannedAt: string;
}

export interface ObservedReading {
  readonly observedAt: string;
  readonly source: string;
  readonly repositoryType: string;
  readonly repository: string;
  readonly commit: string;
  readonly references: readonly string[];
  readonly provisional: boolean;
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
}

export interface BomReading {
  /** SHA-256 of every file component, hex. */
  readonly digests: ReadonlySet<string>;
  readonly licenses: readonly string[];
}

export interface SandboxReading {
  /** Name, version and rule set of the producer: a run by another one is another opinion. */
  readonly producer: string;
  readonly outcome: SandboxOutcome;
  /** What it did, in words; notes are left out. */
  readonly acts: readonly string[];
  readonly reasons: readonly string[];
  readonly exercisedAt: string;
}

export interface ApprovalReading {
  readonly person: string;
  readonly root: RootName;
  readonly namespace: string;
  readonly environments: readonly string[];
  readonly approvedAt: string;
  readonly expiresAt: string | null;
}

type Members = Readonly<Record<string, unknown>>;

function members(value: unknown): Members | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Members)
    : undefined;
}

const isText = (value: unknown): value is string => typeof value === 'string';

function texts(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every(isText) ? value : undefined;
}

const among = <const T extends string>(value: unknown, known: readonly T[]): T | undefined =>
  known.find((candidate) => candidate === value);

const environmentsOf = (value: unknown): readonly Environment[] | undefined =>
  Array.isArray(value) && value.length > 0
    ? value.flatMap((entry) => among(entry, ['development', 'staging', 'production']) ?? [])
    : undefined;

/**
 * The results of a scan predicate (evidence/predicates.ts) by hex SHA-256 of what they are about; undefined where it does
 * not have that shape or speaks twice about one thing.
 */
export function scansOf(predicate: unknown): ReadonlyMap<string, ScanReading> | undefined {
  const value = members(predicate);
  const producer = members(value?.['producer'])?.['name'];
  const scope = among(value?.['scope'], ['blob', 'artifact']);
  const scannedAt = value?.['scannedAt'];
  const results = value?.['results'];
  if (!isText(producer) || !isText(scannedAt) || parseInstant(scannedAt) === undefined) return undefined;
  if (scope === undefined || !Array.isArray(results)) return undefined;
  const readings = new Map<string, ScanReading>();
  for (const entry of results) {
    const result = members(entry);
    const sha256 = result?.['sha256'];
    const verdict = among(result?.['verdict'], ['clean', 'suspicious', 'malicious']);
    const completeness = among(result?.['completeness'], ['complete', 'inconclusive']);
    const formats = texts(result?.['formats']);
    const incompleteReasons = texts(result?.['incompleteReasons']);
    const findings = findingsOf(result?.['findings']);
    if (!isText(sha256) || readings.has(sha256) || verdict === undefined || completeness === undefined)
      return undefined;
    if (formats === undefined || incompleteReasons === undefined || findings === undefined) return undefined;
    readings.set(sha256, {
      producer,
      scope,
      verdict,
      completeness,
      formats,
      incompleteReasons,
      findings,
      scannedAt,
    });
  }
  return readings;
}

function findingsOf(value: unknown): ScanReading['findings'] | undefined {
  if (!Array.isArray(value)) return undefined;
  const findings: ScanReading['findings'][number][] = [];
  for (const entry of value) {
    const finding = members(entry);
    const ruleId = finding?.['ruleId'];
    const severity = finding?.['severity'];
    const message = finding?.['message'];
    if (!isText(ruleId) || !isText(severity) || !isText(message)) return undefined;
    const path = members(finding?.['location'])?.['path'];
    findings.push({ ruleId, severity, message, path: isText(path) ? path : null });
  }
  return findings;
}

/** An observed predicate, or undefined where it does not have that shape. */
export function observedOf(predicate: unknown): ObservedReading | undefined {
  const value = members(predicate);
  const source = members(value?.['source']);
  const [uri, repositoryType, repository, commit] = [
    source?.['uri'],
    source?.['repositoryType'],
    source?.['repository'],
    source?.['commit'],
  ];
  const observedAt = value?.['observedAt'];
  const references = texts(source?.['references']);
  const provisional = value?.['provisional'];
  const files = observedFiles(value?.['files']);
  if (!isText(observedAt) || parseInstant(observedAt) === undefined) return undefined;
  if (!isText(uri) || !isText(repositoryType) || !isText(repository) || !isText(commit)) return undefined;
  if (references === undefined || typeof provisional !== 'boolean' || files === undefined) return undefined;
  return { observedAt, source: uri, repositoryType, repository, commit, references, provisional, files };
}

function observedFiles(value: unknown): ObservedReading['files'] | undefined {
  if (!Array.isArray(value)) return undefined;
  const files: { path: string; sha256: string }[] = [];
  for (const entry of value) {
    const file = members(entry);
    const path = file?.['path'];
    const sha256 = file?.['sha256'];
    if (!isText(path) || !isText(sha256)) return undefined;
    files.push({ path, sha256 });
  }
  return files;
}

/** A CycloneDX document, or undefined where it is none. Components may hold components, four deep. */
export function bomOf(predicate: unknown): BomReading | undefined {
  const value = members(predicate);
  if (value?.['bomFormat'] !== 'CycloneDX' || !Array.isArray(value['components'] ?? [])) return undefined;
  const digests = new Set<string>();
  const collect = (components: unknown, depth: number): void => {
    if (!Array.isArray(components) || depth > 4) return;
    for (const entry of components) {
      const component = members(entry);
      const hashes = component?.['hashes'];
      for (const hash of Array.isArray(hashes) ? hashes : []) {
        const { alg, content } = members(hash) ?? {};
        if (alg === 'SHA-256' && isText(content)) digests.add(content);
      }
      collect(component?.['components'], depth + 1);
    }
  };
  collect(value['components'], 0);
  const main = members(members(value['metadata'])?.['component']);
  collect(main === undefined ? [] : [main], 0);
  return { digests, licenses: licensesOf(main?.['licenses']) };
}

function licensesOf(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  const names = value.flatMap((entry): readonly string[] => {
    const choice = members(entry);
    const license = members(choice?.['license']);
    const name = choice?.['expression'] ?? license?.['id'] ?? license?.['name'];
    return isText(name) ? [name] : [];
  });
  return [...new Set(names)].toSorted();
}

/** A sandbox predicate, or undefined where it does not have that shape. */
export function sandboxOf(predicate: unknown): SandboxReading | undefined {
  const value = members(predicate);
  const producer = members(value?.['producer']);
  const [name, version, rules] = [producer?.['name'], producer?.['version'], producer?.['ruleSetDigest']];
  const outcome = among(value?.['outcome'], ['quiet', 'acted', 'failed', 'inconclusive']);
  const exercisedAt = value?.['exercisedAt'];
  const reasons = texts(value?.['reasons']);
  const events = value?.['events'];
  if (!isText(name) || !isText(version) || !isText(rules) || outcome === undefined) return undefined;
  if (!isText(exercisedAt) || parseInstant(exercisedAt) === undefined) return undefined;
  if (reasons === undefined || !Array.isArray(events)) return undefined;
  const acts: string[] = [];
  for (const entry of events) {
    const event = members(entry);
    const words = event?.['words'];
    if (!isText(words)) return undefined;
    if (event?.['grade'] !== 'note') acts.push(words);
  }
  return { producer: `${name} ${version} ${rules}`, outcome, acts, reasons, exercisedAt };
}

/** An approval predicate with its instants, or undefined: what cannot be read approves nothing. */
export function approvalOf(predicate: unknown):
  | {
      readonly reading: ApprovalReading;
      readonly approvedAtMs: number;
      readonly expiresAtMs: number | null;
    }
  | undefined {
  const value = members(predicate);
  const person = value?.['person'];
  const root = among(value?.['root'], ['all', 'loading', 'weights']);
  const namespace = value?.['namespace'];
  const environments = environmentsOf(value?.['environments']);
  const approvedAt = value?.['approvedAt'];
  const expiresAt = value?.['expiresAt'];
  const approvedAtMs = parseInstant(approvedAt);
  const expiresAtMs = expiresAt === null ? null : parseInstant(expiresAt);
  if (!isText(person) || person === '' || root === undefined || !isText(namespace)) return undefined;
  if (environments === undefined || !isText(approvedAt) || approvedAtMs === undefined) return undefined;
  if (expiresAtMs === undefined || !(expiresAt === null || isText(expiresAt))) return undefined;
  return {
    reading: { person, root, namespace, environments, approvedAt, expiresAt },
    approvedAtMs,
    expiresAtMs,
  };
}

/** A waiver predicate, or undefined: what cannot be read waives nothing. */
export function waiverOf(predicate: unknown): WaiverPredicate | undefined {
  const value = members(predicate);
  const rule = value?.['rule'];
  const people = texts(value?.['people']);
  const reason = value?.['reason'];
  const namespace = value?.['namespace'];
  const environments = environmentsOf(value?.['environments']);
  const waivedAt = value?.['waivedAt'];
  const expiresAt = value?.['expiresAt'];
  const breakGlass = value?.['breakGlass'];
  if (!isText(rule) || people === undefined || !isText(reason) || !isText(namespace)) return undefined;
  if (environments === undefined || !isText(waivedAt) || !isText(expiresAt)) return undefined;
  if (parseInstant(waivedAt) === undefined || parseInstant(expiresAt) === undefined) return undefined;
  if (typeof breakGlass !== 'boolean') return undefined;
  return { waivedAt, rule, people, reason, namespace, environments, expiresAt, breakGlass };
}

/** Reason and namespace of a revocation; undefined where it cannot be read (it still revokes). */
export function revocationOf(
  predicate: unknown,
): { readonly reason: string; readonly namespace: string } | undefined {
  const value = members(predicate);
  const reason = value?.['reason'];
  const namespace = value?.['namespace'];
  return isText(reason) && isText(namespace) ? { reason, namespace } : undefined;
}
