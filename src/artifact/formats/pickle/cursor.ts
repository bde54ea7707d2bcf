import { limits } from '#lib/limits.ts';

/** Thrown when the opcode needs more bytes than the window holds: the reader refills and runs the opcode again. */
export const needBytes = Symbol('need bytes');
/** Thrown when the source ends inside an opcode. */
export const endOfBytes = Symbol('end of bytes');
/** Thrown when a text line is longer than `limits.pickleLineBytes`. */
export const lineTooLong = Symbol('line too long');

export const windowBytes = 1 << 20;
const none = Number.POSITIVE_INFINITY;

export interface FrameEvents {
  crossed(frameEnd: number): void;
  nested(frameEnd: number): void;
  beyondEnd(): void;
  lineAtEnd(): void;
}

/**
 * A window over the source that hands out the pieces of opcodes. Frames matter here and nowhere else: CPython reads in
 * pieces (opcode byte, length, payload, line), and where a piece crosses the end of a frame the C unpickler that reads
 * a file drops the rest of the frame (python/cpython#154848) while all others read on. `byFrames` chooses which.
 * `safe` is the smaller of window end and frame end, so that the common case costs one comparison.
 */
export class Cursor {
  bytes: Uint8Array = new Uint8Array(0);
  /** Offset of `bytes[0]` in the source. */
  base: number;
  /** Index of the next byte; may lie beyond the window after a skipped payload. */
  at = 0;
  safe = 0;
  /** How many bytes from the start of the opcode the next window must have. */
  need = 0;
  frameEnd = none;
  readonly end: number;
  readonly byFrames: boolean;
  readonly #events: FrameEvents;

  constructor(
    range: { readonly start: number; readonly end: number },
    byFrames: boolean,
    events: FrameEvents,
  ) {
    this.base = range.start;
    this.end = range.end;
    this.byFrames = byFrames;
    this.#events = events;
  }

  get position(): number {
    return this.base + this.at;
  }

  get insideFrame(): boolean {
    return this.frameEnd !== none && this.position < this.frameEnd;
  }

  /** The window that begins at `offset`. */
  refill(offset: number, bytes: Uint8Array): void {
    this.base = offset;
    this.bytes = bytes;
    this.at = 0;
    this.#bound();
  }

  restart(offset: number, frameEnd: number): void {
    this.at = offset - this.base;
    this.frameEnd = frameEnd;
    this.#bound();
  }

  /** Index of the first of `n` bytes, all of them in the window. */
  take(n: number): number {
    const from = this.at;
    if (from + n <= this.safe) {
      this.at = from + n;
      return from;
    }
    return this.#takeSlowly(n);
  }

  /** Offset in the source of `n` bytes that need not be in the window. */
  skip(n: number): number {
    this.#cross(n);
    const offset = this.position;
    if (offset + n > this.end) throw endOfBytes;
    this.at += n;
    this.#bound();
    return offset;
  }

  /** How many of the next `n` bytes the window must show: asks for a refill when it shows fewer. */
  show(n: number): void {
    if (this.at + n > this.bytes.length && this.position + n <= this.end) this.#ask(n);
  }

  /** Index of a line and of its newline. At the end of the bytes pure Python takes what is there less its last byte. */
  line(): { readonly from: number; readonly to: number } {
    for (;;) {
      const from = this.at;
      const newline = this.bytes.indexOf(10, from);
      const inWindow = newline >= 0;
      const lineEnd = inWindow ? newline + 1 : this.bytes.length;
      if (this.frameEnd !== none && this.base + lineEnd > this.frameEnd) {
        this.#cross(this.base + lineEnd - this.position);
        if (this.at !== from) continue;
      }
      if (inWindow) {
        this.at = lineEnd;
        this.#bound();
        return { from, to: newline };
      }
      if (this.base + this.bytes.length < this.end) {
        if (lineEnd - from > limits.pickleLineBytes) throw lineTooLong;
        this.#ask(2 * Math.max(0, lineEnd - from) + windowBytes);
      }
      this.#events.lineAtEnd();
      this.at = lineEnd;
      return { from, to: Math.max(from, lineEnd - 1) };
    }
  }

  /** FRAME operand: C checks that the bytes are there and rewinds, so a frame is a piece like any other. */
  frame(lengthBytes: number): void {
    const from = this.position;
    if (this.frameEnd !== none && from < this.frameEnd) {
      this.#events.nested(this.frameEnd);
      if (this.byFrames && from + lengthBytes <= this.frameEnd) return;
      if (this.byFrames) this.at += this.frameEnd - from;
    }
    this.frameEnd = this.position + lengthBytes;
    if (this.frameEnd > this.end) {
      this.#events.beyondEnd();
      this.frameEnd = none;
    }
    this.#bound();
  }

  #takeSlowly(n: number): number {
    this.#cross(n);
    if (this.position + n > this.end) throw endOfBytes;
    if (this.at + n > this.bytes.length) this.#ask(n);
    const from = this.at;
    this.at = from + n;
    return from;
  }

  #cross(n: number): void {
    if (this.frameEnd === none) return;
    const from = this.position;
    if (from + n <= this.frameEnd) return;
    const frameEnd = this.frameEnd;
    this.frameEnd = none;
    if (from < frameEnd) {
      this.#events.crossed(frameEnd);
      if (this.byFrames) this.at += frameEnd - from;
    }
    this.#bound();
  }

  #ask(n: number): never {
    this.need = n;
    throw needBytes;
  }

  #bound(): void {
    this.safe = Math.min(this.bytes.length, this.frameEnd - this.base);
  }
}
