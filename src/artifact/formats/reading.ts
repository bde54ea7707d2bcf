import type { ByteSource } from '../blob-store.ts';

/**
 * Something in the bytes that a strict reader of the format refuses, or that hides bytes from it. A fact, not a
 * judgement: producers decide how bad it is. `code` is stable; `offset` counts bytes from the start of the source.
 */
export interface Flaw<Code extends string = string> {
  readonly code: Code;
  /** What is wrong, in words; lower case, foreign text in backticks. */
  readonly message: string;
  readonly offset?: number;
  /** Tensor, key or JSON pointer, as far as it applies. */
  readonly pointer?: string;
}

/** What every reader says besides its own facts. */
export interface ReadingOutcome<Code extends string = string> {
  readonly flaws: readonly Flaw<Code>[];
  /** Why some bytes are not accounted for (limits, broken structure); empty where every byte is. */
  readonly incompleteReasons: readonly string[];
}

/** Tensors of one file, as its header declares them. Parameters are exact up to 2^53 and `undefined` above. */
export interface TensorSummary {
  readonly count: number;
  readonly parameters: number | undefined;
  /** Number of elements by data type, in order of the type's name. */
  readonly elementsByType: readonly (readonly [type: string, elements: number])[];
}

/** Adds up element counts without overflow. */
export function summarizeTensors(
  tensors: Iterable<{ readonly type: string; readonly elements: bigint }>,
): TensorSummary {
  const byType = new Map<string, bigint>();
  let count = 0;
  let total = 0n;
  for (const tensor of tensors) {
    count += 1;
    total += tensor.elements;
    byType.set(tensor.type, (byType.get(tensor.type) ?? 0n) + tensor.elements);
  }
  return {
    count,
    parameters: total <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(total) : undefined,
    elementsByType: [...byType]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([type, elements]) => [type, Number(elements)] as const),
  };
}

/** A source over bytes in memory. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    sizeBytes: bytes.byteLength,
    read: (offset, lengthBytes) => Promise.resolve(bytes.subarray(offset, offset + lengthBytes)),
  };
}
