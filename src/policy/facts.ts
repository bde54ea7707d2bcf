import { predicateTypes } from '#evidence/predicates.ts';
import { limits } from '#lib/limits.ts';
import { EvidenceIndex, order, rootNames } from './evidence-index.ts';
import { approvalOf, revocationOf, waiverOf } from './readings.ts';
import type { Digest } from '#artifact/digest.ts';
import type { RootName, WaiverPredicate } from '#evidence/predicates.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import type { DecisionSubject, Question, SubjectFile } from './decision.ts';
import type { About, Malformed, Observed, Proven, Read, ScanFacts } from './evidence-index.ts';
import type { ApprovalReading, BomReading, SandboxReading, ScanReading } from './readings.ts';

export interface FileFacts {
  readonly file: SubjectFile;
  readonly asked: boolean;
  readonly scan: ScanFacts;
}

export interface ApprovalFacts extends Proven<ApprovalReading> {
  readonly approvedAtMs: number;
  readonly expiresAtMs: number | null;
}

export interface WaiverFacts extends Proven<WaiverPredicate> {
  /** The roots of this artifact that it names. */
  readonly roots: readonly RootName[];
}

/** Bad news about the artifact, one of its roots, or a file that the question needs. */
export interface RevocationFacts {
  readonly evidence: Digest;
  readonly what: string;
  readonly reason: string;
}

/** Everything that verified evidence says about the subject of one question, in log order. */
export interface Facts {
  readonly question: Question;
  readonly subject: DecisionSubject;
  /** Files that the question needs: asked for, and all that steer loading. Code-point order of path. */
  readonly files: readonly FileFacts[];
  /** Paths asked for that the artifact does not have. */
  readonly unknownPaths: readonly string[];
  readonly scan: ScanFacts;
  readonly observed: readonly Observed[];
  readonly bom: Proven<BomReading> | undefined;
  /** The newest run; of several by the same producer one in which the artifact acted, because a repetition proves nothing. */
  readonly sandbox: Proven<SandboxReading> | undefined;
  readonly approvals: readonly ApprovalFacts[];
  readonly waivers: readonly WaiverFacts[];
  readonly revocations: readonly RevocationFacts[];
  /** Newest of its kind about its subject and not readable: never ignored. */
  readonly malformed: readonly Malformed[];
}

/**
 * Verified evidence to facts. What is not about this artifact, one of its roots or one of its files, or belongs to
 * another namespace, is ignored (a revocation in the system namespace holds in all of them); the order in which evidence is passed does not matter. Statements of other kinds are
 * ignored; statements of these kinds that do not have their shape are never good news: they end up in `malformed`.
 */
export function collectFacts(
  question: Question,
  subject: DecisionSubject,
  evidence: readonly VerifiedEvidence[] | EvidenceIndex,
): Facts {
  const index = indexFor(question, subject, evidence);
  const needed = index.needed(question.files);
  const malformed = new Map<Digest, Malformed>();
  const take = <T>(read: Read<T>): T => {
    if (read.malformed !== undefined) malformed.set(read.malformed.evidence, read.malformed);
    return read.value;
  };
  const files = needed.files.map((entry) => ({
    ...entry,
    scan: take(index.scan(entry.file.digest, 'blob')),
  }));
  return {
    question,
    subject,
    files,
    unknownPaths: needed.unknownPaths,
    scan: concerning(take(index.scan(subject.artifact, 'artifact')), index, needed.files),
    observed: take(index.observed()),
    bom: take(index.bom()),
    sandbox: decisiveRun(take(index.sandbox())),
    approvals: collectApprovals(question, subject, index.ofType(predicateTypes.approval)),
    waivers: collectWaivers(question, subject, index.ofType(predicateTypes.waiver)),
    revocations: collectRevocations(subject, needed.files, index.ofType(predicateTypes.revocation)),
    malformed: [...malformed.values()].toSorted((a, b) => order(a.evidence, b.evidence)),
  };
}

/** A run by a newer version of the sandbox replaces older ones; a second run by the same one does not undo the first. */
function decisiveRun(runs: readonly Proven<SandboxReading>[]): Proven<SandboxReading> | undefined {
  const newest = runs.at(-1);
  const same = runs.filter(({ reading }) => reading.producer === newest?.reading.producer);
  return same.findLast(({ reading }) => reading.outcome === 'acted') ?? newest;
}

/** An index that was made for another subject or namespace is not believed: it is made again. */
function indexFor(
  question: Question,
  subject: DecisionSubject,
  evidence: readonly VerifiedEvidence[] | EvidenceIndex,
): EvidenceIndex {
  if (!(evidence instanceof EvidenceIndex)) return new EvidenceIndex(question.namespace, subject, evidence);
  if (evidence.subject === subject && evidence.namespace === question.namespace) return evidence;
  return new EvidenceIndex(question.namespace, subject, evidence.evidence);
}

/**
 * A scan of the artifact as far as it concerns the needed files: findings about files that the question does not need
 * (other weights) are left out, and where none remains the verdict is clean, because a verdict follows from its
 * findings. A list of findings that may have been cut off is taken as it is.
 */
function concerning(
  scan: ScanFacts,
  index: EvidenceIndex,
  needed: readonly { readonly file: SubjectFile }[],
): ScanFacts {
  if (scan.newest.every(({ reading }) => reading.findings.length === 0)) return scan;
  const paths = new Set(needed.map(({ file }) => file.path));
  const isOther = (path: string): boolean => index.placeOf.has(path) && !paths.has(path);
  const narrow = (reading: ScanReading): ScanReading => {
    const findings = reading.findings.filter(({ path }) => path === null || !isOther(path));
    const left = findings.length === reading.findings.length;
    if (left || reading.findings.length >= limits.findingsPerFile) return reading;
    return { ...reading, findings, verdict: findings.length === 0 ? 'clean' : reading.verdict };
  };
  return { newest: scan.newest.map((proven) => ({ ...proven, reading: narrow(proven.reading) })) };
}

function rootsNamed(subject: DecisionSubject, digests: readonly Digest[]): readonly RootName[] {
  return rootNames.filter((name) => {
    const root = subject.roots[name];
    return root !== null && digests.includes(root);
  });
}

function collectApprovals(
  question: Question,
  subject: DecisionSubject,
  about: readonly About[],
): readonly ApprovalFacts[] {
  const result: ApprovalFacts[] = [];
  for (const { entry, digests } of about) {
    const read = approvalOf(entry.statement.predicate);
    if (read === undefined) continue;
    const { reading } = read;
    if (reading.namespace !== question.namespace) continue;
    if (!reading.environments.includes(question.environment)) continue;
    if (!rootsNamed(subject, digests).includes(reading.root)) continue;
    result.push({ ...read, evidence: entry.envelopeDigest, logIndex: entry.logIndex });
  }
  return result;
}

function collectWaivers(
  question: Question,
  subject: DecisionSubject,
  about: readonly About[],
): readonly WaiverFacts[] {
  const result: WaiverFacts[] = [];
  for (const { entry, digests } of about) {
    const reading = waiverOf(entry.statement.predicate);
    if (reading === undefined || reading.namespace !== question.namespace) continue;
    if (!reading.environments.includes(question.environment)) continue;
    const roots = rootsNamed(subject, digests);
    if (roots.length > 0)
      result.push({ reading, roots, evidence: entry.envelopeDigest, logIndex: entry.logIndex });
  }
  return result;
}

function collectRevocations(
  subject: DecisionSubject,
  needed: readonly { readonly file: SubjectFile }[],
  about: readonly About[],
): readonly RevocationFacts[] {
  const result: RevocationFacts[] = [];
  for (const { entry, digests } of about) {
    const reading = revocationOf(entry.statement.predicate);
    const revoked = new Set<string>(digests);
    const root = rootNames.find((name) => revoked.has(subject.roots[name] ?? ''));
    const file = needed.find((candidate) => revoked.has(candidate.file.digest));
    const what = revoked.has(subject.artifact)
      ? 'this artifact'
      : root !== undefined
        ? `the artifact's \`${root}\` root`
        : file === undefined
          ? undefined
          : `the file \`${file.file.path}\``;
    if (what !== undefined)
      result.push({ evidence: entry.envelopeDigest, what, reason: reading?.reason ?? 'not readable' });
  }
  return result;
}
