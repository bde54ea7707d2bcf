import type { ByteSource } from '#artifact/blob-store.ts';
import type { Judgement } from './finding.ts';
import { scanArtifact, type ArtifactFile } from './scan-artifact.ts';
import { scanBlob } from './scan-blob.ts';
import { triageBlob } from './triage-blob.ts';

/** Work for the scan worker. `blob` and `triage` have one source; `artifact` has one per file with `source` set. */
export type ScanTask =
  | { readonly kind: 'blob' }
  | { readonly kind: 'triage'; readonly requests: number }
  | { readonly kind: 'artifact'; readonly files: readonly ArtifactTaskFile[] };

export interface ArtifactTaskFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** The readings of its bytes, where they are here. */
  readonly formats: readonly string[];
  /** Index into the sources of the task; undefined where the bytes are not here. */
  readonly source: number | undefined;
}

export type ScanTaskResult = Judgement;

export async function performScan(task: ScanTask, sources: readonly ByteSource[]): Promise<ScanTaskResult> {
  if (task.kind !== 'artifact') {
    const [source] = sources;
    if (source === undefined) throw new Error('a blob task has one source');
    return task.kind === 'blob' ? scanBlob(source) : triageBlob(source, task.requests);
  }
  const files = task.files.map((file): ArtifactFile => {
    const source = file.source === undefined ? undefined : sources[file.source];
    return { path: file.path, sizeBytes: file.sizeBytes, formats: file.formats, source };
  });
  return scanArtifact(files);
}
