import type { ByteSource } from '../../blob-store.ts';
import type { ReadingOutcome } from '../reading.ts';

const stepBytes = 1024 * 1024;

export interface TextFacts extends ReadingOutcome<never> {
  /** The first 64 KiB, for readers of front matter. */
  readonly beginning: string;
}

/** Bytes that text does not hold: NUL and the other C0 controls except TAB, LF, VT, FF, CR and ESC. */
function isBinary(byte: number): boolean {
  return byte < 0x20 && byte !== 0x1b && (byte < 0x09 || byte > 0x0d);
}

/** May the source be text? Looks for control bytes in the head. */
export function detectText(head: Uint8Array): boolean {
  return head.byteLength > 0 && !head.some(isBinary);
}

/**
 * Plain text: valid UTF-8 from the first byte to the last, without binary controls. `undefined` where it is not.
 * What the text means (Markdown, a template, source code) is what a path makes of it, so it is not decided here.
 */
export async function readText(source: ByteSource): Promise<TextFacts | undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let beginning = '';
  for (let offset = 0; offset < source.sizeBytes; offset += stepBytes) {
    const bytes = await source.read(offset, stepBytes);
    if (bytes.some(isBinary)) return undefined;
    try {
      const text = decoder.decode(bytes, { stream: offset + bytes.byteLength < source.sizeBytes });
      if (offset === 0) beginning = text.slice(0, 64 * 1024);
    } catch {
      return undefined;
    }
  }
  return { beginning, flaws: [], incompleteReasons: [] };
}

export interface LfsPointerFacts extends ReadingOutcome<never> {
  readonly sha256: string;
  readonly sizeBytes: number;
}

const pointer =
  /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n(?:ext-[0-9]-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,15})\n$/;

/** The first line of a Git LFS pointer (git-lfs spec v1: smaller than 1024 bytes). */
export function detectLfsPointer(head: Uint8Array, source: ByteSource): boolean {
  return (
    source.sizeBytes < 1024 && Buffer.from(head).toString('latin1').startsWith('version https://git-lfs.')
  );
}

export async function readLfsPointer(source: ByteSource): Promise<LfsPointerFacts | undefined> {
  const match = pointer.exec(Buffer.from(await source.read(0, 1024)).toString('latin1'));
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { sha256: match[1], sizeBytes: Number(match[2]), flaws: [], incompleteReasons: [] };
}
