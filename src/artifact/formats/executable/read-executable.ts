import type { ByteSource } from '../../blob-store.ts';
import type { ReadingOutcome } from '../reading.ts';

export interface ExecutableFacts extends ReadingOutcome<never> {
  readonly kind: 'ELF' | 'PE' | 'Mach-O' | 'Java class';
}

const unread = 'native code is not analysed';

/** Does the source begin as a native program, library or Java class? Also where it is a valid polyglot. */
export function detectExecutable(head: Uint8Array): boolean {
  return kindOf(head) !== undefined;
}

/** Names the kind only: what the code would do is not analysed, so the facts are never complete. */
export async function readExecutable(source: ByteSource): Promise<ExecutableFacts | undefined> {
  const kind = kindOf(await source.read(0, 4096));
  return kind === undefined ? undefined : { kind, flaws: [], incompleteReasons: [unread] };
}

function kindOf(head: Uint8Array): ExecutableFacts['kind'] | undefined {
  if (head.byteLength < 64) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const magic = view.getUint32(0, false);
  if (magic === 0x7f454c46) return 'ELF';
  if (magic === 0xfeedface || magic === 0xfeedfacf || magic === 0xcefaedfe || magic === 0xcffaedfe)
    return 'Mach-O';
  if (magic === 0xcafebabe) return view.getUint32(4, false) < 30 ? 'Mach-O' : 'Java class';
  if (view.getUint16(0, false) !== 0x4d5a) return undefined;
  const at = view.getUint32(60, true);
  // The PE header may lie beyond the head; `MZ` with a plausible pointer is enough to be named.
  if (at + 4 > head.byteLength) return at < 0x10000 ? 'PE' : undefined;
  return view.getUint32(at, false) === 0x50450000 ? 'PE' : undefined;
}
