import type { ReadingOutcome } from '../reading.ts';
import type { GgmlType } from './gguf-types.ts';

export type GgufFlawCode =
  | 'gguf.version'
  | 'gguf.count'
  | 'gguf.key-invalid'
  | 'gguf.duplicate-key'
  | 'gguf.value-invalid'
  | 'gguf.alignment'
  | 'gguf.tensor-invalid'
  | 'gguf.duplicate-tensor'
  | 'gguf.overlap'
  | 'gguf.gap'
  | 'gguf.padding'
  | 'gguf.trailing'
  | 'gguf.truncated';

/** Arrays are kept as their element type and length only; texts up to 1 MiB. */
export type GgufValue =
  | number
  | bigint
  | boolean
  | string
  | { readonly elementType: number; readonly length: number };

export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  readonly shape: readonly bigint[];
  readonly elements: bigint;
  /** From the start of the data section. */
  readonly begin: bigint;
  readonly sizeBytes: bigint;
}

export interface GgufFacts extends ReadingOutcome<GgufFlawCode> {
  readonly version: number;
  readonly bigEndian: boolean;
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensor[];
  /** Texts of `tokenizer.chat_template` and `tokenizer.chat_template.*`, with the key and its offset. */
  readonly chatTemplates: readonly { readonly key: string; readonly text: string; readonly offset: number }[];
}
