import { hexOf } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { systemNamespace } from '#evidence/statement.ts';
import { limits } from '#lib/limits.ts';
import { approvalOf, bomOf, observedOf, revocationOf, sandboxOf, scansOf, waiverOf } from './readings.ts';
import type { Digest } from '#artifact/digest.ts';
import type { RootName, WaiverPredicate } from '#evidence/predicates.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import type { DecisionSubject, Question, SubjectFile } from './decision.ts';
import type {
  ApprovalReading,
  BomReading,
  ObservedReading,
  SandboxReading,
  ScanReading,
} from './readings.ts';

/** A reading of a statement together with where it stands. */
export interface Proven<T> {
  readonly reading: T;
  readonly evidence: Digest;
  readonly logIndex: number;
}

/** The scans of one thing: of each producer the newest; the worst of them counts. */
export interface ScanFacts {
  readonly newest: readonly Proven<ScanReading>[];
}

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
  readonly observed: readonly Proven<ObservedReading>[];
  readonly bom: Proven<BomReading> | undefined;
  /** The newest run; of several by the same producer one in which the artifact acted, because a repetition proves nothing. */
  readonly sandbox: Proven<SandboxReading> | undefined;
  readonly approvals: readonly ApprovalFacts[];
  readonly waivers: readonly WaiverFacts[];
  readonly revocations: readonly RevocationFacts[];
  /** Newest of its kind about its subject and not readable: never ignored. */
  readonly malformed: readonly { readonly evidence: Digest; readonly predicateType: string }[];
}

const rootNames: readonly RootName[] = ['all', 'loading', 'weights'];
const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Verified evidence to facts. What is not about this artifact, one of its roots or one of its files, or belongs to
 * another namespace, is ignored (a revocation in the system namespace holds in all of them); the order in which evidence is passed does not matter. Statements of other kinds are
 * ignored; statements of these kinds that do not have their shape are never good news: they end up in `malformed`.
 */
export function collectFacts(
  question: Question,
  subject: DecisionSubject,
  evidence: readonly VerifiedEvidence[],
): Facts {
  const about = relevant(question, subject, evidence);
  const needed = neededFiles(question, subject);
  const reader = new Reader(about);
  const files = needed.files.map((entry) => ({
    ...entry,
    scan: reader.scan(entry.file.digest, 'blob'),
  }));
  return {
    question,
    subject,
    files,
    unknownPaths: needed.unknownPaths,
    scan: concerning(reader.scan(subject.artifact, 'artifact'), subject, needed.files),
    observed: reader.all(subject.artifact, predicateTypes.observed, observedOf),
    bom: reader.all(subject.artifact, predicateTypes.bom, bomOf).at(-1),
    sandbox: decisiveRun(reader.all(subject.artifact, predicateTypes.sandbox, sandboxOf)),
    approvals: collectApprovals(question, subject, about),
    waivers: collectWaivers(question, subject, about),
    revocations: collectRevocations(subject, needed.files, about),
    malformed: reader.malformed.toSorted((a, b) => order(a.evidence, b.evidence)),
  };
}

/** A run by a newer version of the sandbox replaces older ones; a second run by the same one does not undo the first. */
function decisiveRun(runs: readonly Proven<SandboxReading>[]): Proven<SandboxReading> | undefined {
  const newest = runs.at(-1);
  const same = runs.filter(({ reading }) => reading.producer === newest?.reading.producer);
  return same.findLast(({ reading }) => reading.outcome === 'acted') ?? newest;
}

/** One statement about the subject, with those of its subjects that are meant. */
interface About {
  readonly entry: VerifiedEvidence;
  readonly digests: readonly Digest[];
}

function relevant(
  question: Question,
  subject: DecisionSubject,
  evidence: readonly VerifiedEvidence[],
): readonly About[] {
  const known = new Map<string, Digest>([[hexOf(subject.artifact), subject.artifact]]);
  for (const name of rootNames) {
    const root = subject.roots[name];
    if (root !== null) known.set(hexOf(root), root);
  }
  for (const { digest } of subject.files) known.set(hexOf(digest), digest);
  const seen = new Set<Digest>();
  const result: About[] = [];
  for (const entry of evidence) {
    if (seen.has(entry.envelopeDigest)) continue;
    seen.add(entry.envelopeDigest);
    const everywhere =
      entry.statement.predicateType === predicateTypes.revocation && entry.namespace === systemNamespace;
    if (entry.namespace !== question.namespace && !everywhere) continue;
    const digests = entry.statement.subject
      .map(({ digest }) => known.get(digest.sha256))
      .filter((digest) => digest !== undefined);
    if (digests.length > 0) result.push({ entry, digests });
  }
  return result.toSorted(
    (a, b) => a.entry.logIndex - b.entry.logIndex || order(a.entry.envelopeDigest, b.entry.envelopeDigest),
  );
}

function neededFiles(
  question: Question,
  subject: DecisionSubject,
): {
  readonly files: readonly { readonly file: SubjectFile; readonly asked: boolean }[];
  readonly unknownPaths: readonly string[];
} {
  const asked = question.files === null ? null : new Set(question.files);
  const paths = new Set(subject.files.map((file) => file.path));
  return {
    files: subject.files
      .map((file) => ({ file, asked: asked === null || asked.has(file.path) }))
      .filter(({ file, asked }) => asked || file.role === 'steering'),
    unknownPaths: [...(asked ?? [])].filter((path) => !paths.has(path)),
  };
}

/**
 * A scan of the artifact as far as it concerns the needed files: findings about files that the question does not need
 * (other weights) are left out, and where none remains the verdict is clean, because a verdict follows from its
 * findings. A list of findings that may have been cut off is taken as it is.
 */
function concerning(
  scan: ScanFacts,
  subject: DecisionSubject,
  needed: readonly { readonly file: SubjectFile }[],
): ScanFacts {
  const others = new Set(subject.files.map(({ path }) => path));
  for (const { file } of needed) others.delete(file.path);
  const narrow = (reading: ScanReading): ScanReading => {
    const findings = reading.findings.filter(({ path }) => path === null || !others.has(path));
    const left = findings.length === reading.findings.length;
    if (left || reading.findings.length >= limits.findingsPerFile) return reading;
    return { ...reading, findings, verdict: findings.length === 0 ? 'clean' : reading.verdict };
  };
  return { newest: scan.newest.map((proven) => ({ ...proven, reading: narrow(proven.reading) })) };
}

/** Reads the statements of one kind about one subject, and notes those that cannot be read. */
class Reader {
  readonly malformed: { readonly evidence: Digest; readonly predicateType: string }[] = [];
  readonly #bySubject = new Map<string, VerifiedEvidence[]>();
  readonly #scans = new Map<Digest, ReadonlyMap<string, ScanReading> | undefined>();

  constructor(about: readonly About[]) {
    for (const { entry, digests } of about) {
      for (const digest of digests) {
        const key = `${entry.statement.predicateType}\n${digest}`;
        const list = this.#bySubject.get(key);
        if (list === undefined) this.#bySubject.set(key, [entry]);
        else list.push(entry);
      }
    }
  }

  /** In log order. An unreadable statement counts as bad news unless a readable one came after it. */
  all<T>(
    digest: Digest,
    predicateType: string,
    read: (predicate: unknown, entry: VerifiedEvidence) => T | undefined,
  ): readonly Proven<T>[] {
    const result: Proven<T>[] = [];
    let unreadable: VerifiedEvidence | undefined;
    for (const entry of this.#bySubject.get(`${predicateType}\n${digest}`) ?? []) {
      const reading = read(entry.statement.predicate, entry);
      if (reading === undefined) unreadable = entry;
      else {
        unreadable = undefined;
        result.push({ reading, evidence: entry.envelopeDigest, logIndex: entry.logIndex });
      }
    }
    if (
      unreadable !== undefined &&
      !this.malformed.some(({ evidence }) => evidence === unreadable.envelopeDigest)
    )
      this.malformed.push({ evidence: unreadable.envelopeDigest, predicateType });
    return result;
  }

  scan(digest: Digest, scope: 'blob' | 'artifact'): ScanFacts {
    const newest = new Map<string, Proven<ScanReading>>();
    for (const scan of this.all(digest, predicateTypes.scan, (_, entry) => this.#resultOf(digest, entry))) {
      if (scan.reading.scope !== scope) continue;
      newest.delete(scan.reading.producer);
      newest.set(scan.reading.producer, scan);
    }
    return { newest: [...newest.values()] };
  }

  /** A statement has results about up to a thousand blobs: it is read once. */
  #resultOf(digest: Digest, entry: VerifiedEvidence): ScanReading | undefined {
    if (!this.#scans.has(entry.envelopeDigest))
      this.#scans.set(entry.envelopeDigest, scansOf(entry.statement.predicate));
    return this.#scans.get(entry.envelopeDigest)?.get(hexOf(digest));
  }
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
    if (entry.statement.predicateType !== predicateTypes.approval) continue;
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
    if (entry.statement.predicateType !== predicateTypes.waiver) continue;
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
    if (entry.statement.predicateType !== predicateTypes.revocation) continue;
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
