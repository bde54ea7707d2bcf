import type { CallNode, ExtensionNode, ImportNode, PersistentNode, Place, Value } from './values.ts';

/** How one stream ended. Only `stop` is a whole pickle; what precedes another end may still have been executed. */
export type StreamEnd = 'stop' | 'end-of-bytes' | 'unknown-opcode' | 'limit';

export interface PickleStream {
  readonly start: number;
  /** Offset after the last byte that was read. */
  readonly end: number;
  /** Highest PROTO operand; 0 without one. */
  readonly protocol: number;
  readonly opcodes: number;
  readonly ending: StreamEnd;
  /** Where every CPython reading would raise; what follows was read nevertheless. */
  readonly failure: (Place & { readonly message: string }) | undefined;
  /** What `load` returns, as far as it can be known. */
  readonly result: Value | undefined;
}

/** A place where the readings in the world (C from bytes, C from a file, pure Python, opcode walkers) part. */
export interface Divergence extends Place {
  readonly kind:
    | 'frame-crossed'
    | 'frame-nested'
    | 'frame-beyond-end'
    | 'stop-inside-frame'
    | 'number-form'
    | 'line-at-end'
    | 'empty-name'
    | 'protocol-number'
    | 'argument-type';
  readonly message: string;
}

/** SETITEM(S), APPEND(S), ADDITEMS or BUILD on something that is neither a builtin container nor a call's result. */
export interface Mutation extends Place {
  readonly via: 'BUILD' | 'SETITEM' | 'APPEND' | 'ADDITEMS';
  readonly target: Value;
  readonly value: Value;
}

/** A string or byte string that is itself a pickle that imports something. Offsets inside `reading` are its own. */
export interface NestedPickle extends Place {
  readonly encoding: 'raw' | 'latin1' | 'base64' | 'hex';
  readonly reading: PickleReading;
}

/** Which reading of the bytes: opcodes in a row, or as the C unpickler reads a file whose frames lie. */
export type FrameReading = 'in-a-row' | 'by-frames';

/**
 * Everything that loading these bytes as pickle could do, without doing it. Facts only: what is tolerable is for the
 * caller. Where `incomplete` is not empty the file may do more than is listed.
 */
export interface PickleReading {
  readonly sizeBytes: number;
  readonly streams: readonly PickleStream[];
  readonly imports: readonly ImportNode[];
  readonly calls: readonly CallNode[];
  readonly mutations: readonly Mutation[];
  readonly persistentIds: readonly PersistentNode[];
  readonly extensions: readonly ExtensionNode[];
  readonly divergences: readonly Divergence[];
  readonly nested: readonly NestedPickle[];
  /** Where the contents of the strings begin that were read as pickles to their ends, the harmless ones included. */
  readonly stringsRead: ReadonlySet<number>;
  /** First container whose expanded tree is beyond reason for its bytes. */
  readonly expansion: (Place & { readonly objects: number }) | undefined;
  /** Offset after the last stream that was read from the start without a gap. */
  readonly end: number;
  /** Bytes after `end` that are no further stream; whether any of them is not zero. */
  readonly trailing:
    | { readonly offset: number; readonly lengthBytes: number; readonly zero: boolean }
    | undefined;
  readonly incomplete: readonly string[];
}

export interface PickleOptions {
  /** Part of the source to read; the whole by default. */
  readonly start?: number;
  readonly end?: number;
  /** Stop after so many streams and leave the rest to the caller (legacy torch files: 5). */
  readonly maxStreams?: number;
  /** How deep inside other pickles this one lies. */
  readonly depth?: number;
}
