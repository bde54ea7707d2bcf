import { readZip, type ZipAnomaly } from '#lib/zip.ts';
import type { ByteSource } from '../blob-store.ts';
import { readPyTorch } from './pytorch/read-pytorch.ts';
import type { PyTorchReading } from './pytorch/reading.ts';
import type { ReadingOutcome } from './reading.ts';

export interface PyTorchFacts extends ReadingOutcome<never> {
  readonly pytorch: PyTorchReading;
}

/** A file of `torch.save` in one of its two forms, or undefined. */
export async function readPyTorchFacts(
  source: ByteSource,
  form: PyTorchReading['form'],
): Promise<PyTorchFacts | undefined> {
  const pytorch = await readPyTorch(source);
  if (pytorch?.form !== form) return undefined;
  return { pytorch, flaws: [], incompleteReasons: pytorch.incomplete };
}

export interface ZipFacts extends ReadingOutcome<never> {
  readonly members: readonly string[];
  readonly anomalies: readonly ZipAnomaly[];
}

/** A zip archive that is no known model format: its members are named, not read, so the facts are never complete. */
export async function readZipFacts(source: ByteSource): Promise<ZipFacts | undefined> {
  const zip = await readZip(source);
  if (zip === undefined) return undefined;
  return {
    members: zip.members.map(({ name }) => name),
    anomalies: zip.anomalies,
    flaws: [],
    incompleteReasons: ['the zip archive is of no known model format, so its members are not read'],
  };
}
