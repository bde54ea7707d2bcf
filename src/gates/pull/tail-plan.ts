import type { ListedFile } from './ports.ts';

/**
 * What is withheld of a tailed file until its verdict: its last MiB. Less would not do: a zip is found again without its
 * last 65 535 bytes.
 */
const heldBytes = 1024 * 1024;
/** Kept back below the held offset to be sent byte by byte, so that clients notice that the server is alive. */
const trickleBytes = 4096;
/** Below this nothing is gained: huggingface_hub writes, and shows progress, in blocks of this size. */
const leastBytes = 10 * 1024 * 1024;

/** Bytes `start` up to, not including, `end` of a file. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

/** How far the answer to one range may go before the verdict. Offsets in the file, not in the answer. */
export interface TailPlan {
  readonly part: Part;
  /** Up to here bytes leave as they arrive. */
  readonly freeEnd: number;
  /** Up to here bytes leave one at a time. Never past the held offset. */
  readonly trickleEnd: number;
}

export function isTailed(file: ListedFile): boolean {
  return file.sizeBytes >= leastBytes;
}

/** The first byte of a tailed file that leaves only after the verdict, whatever range it is asked for in. */
export function heldOffset(file: ListedFile): number {
  return file.sizeBytes - heldBytes;
}

export function planTail(file: ListedFile, part: Part): TailPlan {
  const held = heldOffset(file);
  return {
    part,
    freeEnd: Math.min(part.end, held - trickleBytes),
    trickleEnd: Math.min(part.end, held),
  };
}
