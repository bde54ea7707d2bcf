import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hexOf } from '#artifact/digest.ts';
import type { Completeness, Finding, ScanVerdict } from '#evidence/predicates.ts';
import { printable } from '#lib/printable.ts';
import type { TaskSource } from '#lib/worker-pool.ts';
import { judge, type Judgement } from './finding.ts';
import { listLocalFiles, type LocalFile } from './local-files.ts';
import { scanIdentity } from './rule-set.ts';
import type { Scanner } from './scanner.ts';

/** One file in a report. `sha256` is null and `format` `unknown` where its bytes could not be read. */
export interface ScannedFile {
  readonly path: string;
  /** Every reading the content admits, joined by `+`. */
  readonly format: string;
  readonly verdict: ScanVerdict;
  readonly completeness: Completeness;
  readonly incompleteReasons: readonly string[];
  readonly sha256: string | null;
  readonly sizeBytes: number;
  readonly findings: readonly Finding[];
}

/** The answer of `weighbridge scan`, and its JSON. The same bytes under the same names give the same report. */
export interface ScanReport {
  readonly verdict: ScanVerdict;
  readonly completeness: Completeness;
  readonly scanner: { readonly name: string; readonly version: string; readonly ruleSetDigest: string };
  readonly files: readonly ScannedFile[];
}

/** One local file, as an artifact of its own. Fault `file.unreadable` where there is none. */
export async function scanFile(scanner: Scanner, path: string, signal?: AbortSignal): Promise<ScanReport> {
  return scanTree(scanner, [path], signal);
}

/**
 * Local files and directories, each an artifact of its own: blobs by content, then what their paths make of them.
 * Directories are walked without following links; what cannot be read is an inconclusive file of the report. No file
 * at all is inconclusive too. Fault `file.unreadable` where a path does not exist.
 */
export async function scanTree(
  scanner: Scanner,
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<ScanReport> {
  const files: ScannedFile[] = [];
  for (const path of paths) files.push(...(await scanOne(scanner, path, signal)));
  const verdicts = new Set(files.map(({ verdict }) => verdict));
  const complete = files.length > 0 && files.every(({ completeness }) => completeness === 'complete');
  const { name, version, ruleSetDigest } = scanIdentity;
  return {
    verdict: verdicts.has('malicious') ? 'malicious' : verdicts.has('suspicious') ? 'suspicious' : 'clean',
    completeness: complete ? 'complete' : 'inconclusive',
    scanner: { name, version, ruleSetDigest },
    files,
  };
}

/** 2 where something was found, 1 where the scan is inconclusive, 0 where everything is clean and complete. */
export function exitOfScan(report: ScanReport): 0 | 1 | 2 {
  if (report.verdict !== 'clean') return 2;
  return report.completeness === 'complete' ? 0 : 1;
}

async function scanOne(
  scanner: Scanner,
  root: string,
  signal: AbortSignal | undefined,
): Promise<readonly ScannedFile[]> {
  const listed = await listLocalFiles(root, signal);
  const single = (await stat(root)).isFile();
  const blobs = await Promise.all(listed.map((file) => scanBlobOf(scanner, file, signal)));
  const artifact = await scanner.scanArtifact(
    listed.map((file, index) => ({
      path: file.path,
      sizeBytes: file.kind === 'file' ? file.sizeBytes : 0,
      formats: blobs[index]?.formats ?? [],
      source: file.kind === 'file' ? sourceOf(file.localPath, file.sizeBytes) : undefined,
    })),
    signal,
  );
  const scanned = listed.map((file, index): ScannedFile => {
    const blob = blobs[index] ?? judge(['unknown'], [], []);
    const own = artifact.findings.filter(({ location }) => location.path === file.path);
    const reasons = artifact.incompleteReasons.filter((reason) => reason.startsWith(`\`${file.path}\` `));
    const judged = judge(blob.formats, [...blob.findings, ...own], [...blob.incompleteReasons, ...reasons]);
    return {
      path: single ? root : join(root, file.path),
      format: judged.formats.join('+'),
      verdict: judged.verdict,
      completeness: judged.completeness,
      incompleteReasons: judged.incompleteReasons,
      sha256: file.kind === 'file' ? hexOf(file.digest) : null,
      sizeBytes: file.kind === 'file' ? file.sizeBytes : 0,
      findings: judged.findings,
    };
  });
  return artifact.formats.includes('unknown') ? [...scanned, failedPaths(root, artifact)] : scanned;
}

/** The scan of the paths itself did not end: nothing can be said about what they make of the bytes. */
function failedPaths(root: string, { incompleteReasons }: Judgement): ScannedFile {
  const { formats, verdict, completeness, findings } = judge(['unknown'], [], incompleteReasons);
  const format = formats.join('+');
  return {
    path: root,
    format,
    verdict,
    completeness,
    incompleteReasons,
    sha256: null,
    sizeBytes: 0,
    findings,
  };
}

async function scanBlobOf(
  scanner: Scanner,
  file: LocalFile,
  signal: AbortSignal | undefined,
): Promise<Judgement> {
  if (file.kind === 'unread') return judge(['unknown'], [], [file.reason]);
  const before = await stat(file.localPath, { bigint: true });
  const judgement = await scanner.scanBlob(sourceOf(file.localPath, file.sizeBytes), signal);
  const after = await stat(file.localPath, { bigint: true });
  const same =
    before.ino === after.ino && before.ctimeNs === after.ctimeNs && after.size === BigInt(file.sizeBytes);
  if (same) return judgement;
  const { formats, findings, incompleteReasons } = judgement;
  return judge(formats, findings, [...incompleteReasons, 'the file changed while it was scanned']);
}

/** A file that workers open themselves; `read` serves whoever has no worker. */
function sourceOf(localPath: string, sizeBytes: number): TaskSource {
  return {
    sizeBytes,
    localPath,
    async read(offset, lengthBytes) {
      const length = Math.max(0, Math.min(lengthBytes, sizeBytes - offset));
      await using handle = await open(localPath, 'r');
      const bytes = new Uint8Array(length);
      const { bytesRead } = await handle.read(bytes, 0, length, offset);
      return bytes.subarray(0, bytesRead);
    },
  };
}

/** The report for people: one line per file that is not clean, its findings below, a summary at the end. */
export function renderScan(report: ScanReport): string {
  const lines: string[] = [];
  for (const file of report.files) {
    if (file.verdict === 'clean' && file.completeness === 'complete' && file.findings.length === 0) continue;
    lines.push(`${printable(file.path)}: ${file.verdict}, ${file.completeness} (${file.format})`);
    lines.push(...renderFindings(file.findings));
    for (const reason of file.incompleteReasons) lines.push(`  inconclusive: ${printable(reason)}`);
  }
  const count = report.files.length;
  lines.push(`${count} ${count === 1 ? 'file' : 'files'}: ${report.verdict}, ${report.completeness}`);
  return `${lines.join('\n')}\n`;
}

/** Two indented lines for each finding. */
export function renderFindings(findings: readonly Finding[]): readonly string[] {
  return findings.flatMap(({ ruleId, severity, message, location, remedy }) => [
    `  ${severity} ${ruleId}: ${printable(message)}${place(location)}`,
    `    hint: ${printable(remedy)}`,
  ]);
}

function place({ member, offset, opcode, pointer }: Finding['location']): string {
  const parts = [
    member === undefined ? undefined : `in ${printable(member)}`,
    offset === undefined ? undefined : `byte ${offset}`,
    opcode === undefined ? undefined : `opcode ${opcode}`,
    pointer === undefined || pointer === '' ? undefined : printable(pointer),
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}
