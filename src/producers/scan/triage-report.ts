import { hexOf, type Digest } from '#artifact/digest.ts';
import type { Completeness, Finding } from '#evidence/predicates.ts';
import { printable } from '#lib/printable.ts';
import { judge, type Judgement } from './finding.ts';
import { scanIdentity } from './rule-set.ts';
import { renderFindings } from './scan-tree.ts';

/** `nothing found` is not `clean`: no triage says that. */
export type TriageVerdict = 'malicious' | 'suspicious' | 'nothing found';

/** A file of a repository as its listing declares it. */
export interface DeclaredFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** SHA-256 of a file in LFS; undefined for a file in git itself. */
  readonly sha256: Digest | undefined;
  /** git blob id of a file in git itself. */
  readonly gitOid: string;
}

/** What is known of one file at the end. */
export interface TriagedBlob {
  readonly file: DeclaredFile;
  /** Complete only where all bytes came and have the declared digest. */
  readonly judgement: Judgement;
  readonly coveredBytes: number;
  /** All bytes, verified, of a file that is read again for its path's sake. */
  readonly kept: Uint8Array | undefined;
}

/** The repository at the commit that was looked at. */
export interface TriageAbout {
  readonly type: 'models' | 'datasets' | 'spaces';
  readonly id: string;
  /** As it was asked for. */
  readonly revision: string;
  readonly commit: string;
}

export interface TriagedFile {
  readonly path: string;
  /** Every reading that the bytes at hand admit, joined by `+`. */
  readonly format: string;
  readonly verdict: TriageVerdict;
  readonly completeness: Completeness;
  readonly incompleteReasons: readonly string[];
  /** SHA-256 in hex as the listing declares it; null for a file in git. */
  readonly declaredSha256: string | null;
  readonly sizeBytes: number;
  /** Bytes that a reader looked at; all of them where the whole file came and has the declared digest. */
  readonly bytesCovered: number;
  readonly findings: readonly Finding[];
}

/** The answer of `weighbridge scan hf://…` and of `POST /wb/v1/triage`. */
export interface TriageReport {
  readonly kind: 'triage';
  readonly repository: TriageAbout;
  readonly verdict: TriageVerdict;
  readonly completeness: Completeness;
  readonly bytesCovered: number;
  readonly bytesTotal: number;
  /** What came over the network for it, read-ahead included. */
  readonly bytesFetched: number;
  /** HTTP requests for bytes of files, redirects included. */
  readonly requests: number;
  readonly scanner: { readonly name: string; readonly version: string; readonly ruleSetDigest: string };
  readonly files: readonly TriagedFile[];
}

interface Effort {
  readonly artifact: Judgement;
  readonly requests: number;
  readonly bytesFetched: number;
}

export function reportOf(
  repository: TriageAbout,
  blobs: readonly TriagedBlob[],
  { artifact, requests, bytesFetched }: Effort,
): TriageReport {
  const files = blobs.map((blob) => fileOf(blob, artifact));
  const verdicts = new Set(files.map(({ verdict }) => verdict));
  const complete =
    files.length > 0 &&
    artifact.completeness === 'complete' &&
    files.every(({ completeness }) => completeness === 'complete');
  const { name, version, ruleSetDigest } = scanIdentity;
  return {
    kind: 'triage',
    repository,
    verdict: verdicts.has('malicious')
      ? 'malicious'
      : verdicts.has('suspicious')
        ? 'suspicious'
        : 'nothing found',
    completeness: complete ? 'complete' : 'inconclusive',
    bytesCovered: sum(files.map(({ bytesCovered }) => bytesCovered)),
    bytesTotal: sum(files.map(({ sizeBytes }) => sizeBytes)),
    bytesFetched,
    requests,
    scanner: { name, version, ruleSetDigest },
    files,
  };
}

function fileOf({ file, judgement, coveredBytes }: TriagedBlob, artifact: Judgement): TriagedFile {
  const { path, sizeBytes, sha256 } = file;
  const own = artifact.findings.filter(({ location }) => location.path === path);
  const reasons = artifact.incompleteReasons.filter((reason) => reason.startsWith(`\`${path}\` `));
  const judged = judge(
    judgement.formats,
    [...judgement.findings, ...own],
    [...judgement.incompleteReasons, ...reasons],
  );
  return {
    path,
    format: judged.formats.join('+'),
    verdict: judged.verdict === 'clean' ? 'nothing found' : judged.verdict,
    completeness: judged.completeness,
    incompleteReasons: judged.incompleteReasons,
    declaredSha256: sha256 === undefined ? null : hexOf(sha256),
    sizeBytes,
    bytesCovered: coveredBytes,
    findings: judged.findings,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** 2 where something was found, 0 only where every byte was read and checked and nothing was found, else 1. */
export function exitOfTriage({ verdict, completeness }: TriageReport): 0 | 1 | 2 {
  if (verdict !== 'nothing found') return 2;
  return completeness === 'complete' ? 0 : 1;
}

/** How a reason begins that says only that bytes were left where they are. */
const leftThere = /^not read: \d+ of \d+ bytes$/;

/** The report for people: files with findings or with a reason of their own, then what was read and what it is worth. */
export function renderTriage(report: TriageReport): string {
  const lines: string[] = [];
  for (const file of report.files) {
    const reasons = file.incompleteReasons.filter((reason) => !leftThere.test(reason));
    if (file.findings.length === 0 && reasons.length === 0) continue;
    lines.push(`${printable(file.path)}: ${file.verdict}, ${file.completeness} (${file.format})`);
    lines.push(...renderFindings(file.findings));
    for (const reason of reasons) lines.push(`  inconclusive: ${printable(reason)}`);
  }
  const { repository, bytesCovered, bytesTotal, requests, files } = report;
  const partly = files.filter(({ completeness }) => completeness !== 'complete').length;
  lines.push(
    `${printable(repository.id)}@${repository.commit.slice(0, 12)}: ${report.verdict}, ${report.completeness}`,
    `read ${bytesCovered} of ${bytesTotal} bytes (${shareOf(bytesCovered, bytesTotal)} %) in ${requests} requests; ${partly === 0 ? 'every file to its end' : `${partly} of ${files.length} files not to their end`}`,
    'a triage is not a scan: no gate opens for it',
  );
  return `${lines.join('\n')}\n`;
}

/** Per cent, never rounded up to all of it: `100`, `99`, `0.96`, `under 0.001`. */
export function shareOf(part: number, whole: number): string {
  const share = whole === 0 ? 100 : (100 * part) / whole;
  if (share >= 10) return String(Math.floor(share));
  if (share > 0 && share < 0.001) return 'under 0.001';
  return share === 0 ? '0' : share.toPrecision(2);
}
