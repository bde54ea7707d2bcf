import type { ByteSource } from '#artifact/blob-store.ts';

const stepBytes = 1 << 20;
const overlapBytes = 256;
const zeros = Buffer.alloc(stepBytes);
const startsAtMost = 10_000;
const text = /[c(]i?[A-Za-z_][\w.]{0,100}\n[A-Za-z_][\w.]{0,100}\n/g;

/** Offsets in the range where a pickle may begin: PROTO 0–5 and an opcode, or an import in text form. `cut`: there are more. */
export async function* findPickles(
  source: ByteSource,
  range: { readonly start: number; readonly end: number },
  cut: (reason: string) => void,
): AsyncGenerator<number> {
  let found = 0;
  let last = -1;
  for (let at = range.start; at < range.end; at += stepBytes) {
    const bytes = Buffer.from(await source.read(at, Math.min(stepBytes + overlapBytes, range.end - at)));
    for (const index of startsIn(bytes)) {
      if (at + index <= last) continue;
      last = at + index;
      found += 1;
      if (found > startsAtMost) {
        cut(`the bytes after the pickle begin like pickles in more than ${startsAtMost} places`);
        return;
      }
      yield last;
    }
  }
}

function startsIn(bytes: Buffer): readonly number[] {
  const starts: number[] = [];
  for (let index = bytes.indexOf(0x80); index >= 0; index = bytes.indexOf(0x80, index + 1)) {
    const next = bytes[index + 2] ?? 0;
    if ((bytes[index + 1] ?? 99) <= 5 && (next === 0x95 || (next >= 0x28 && next <= 0x98)))
      starts.push(index);
  }
  for (const match of bytes.toString('latin1').matchAll(text)) starts.push(match.index);
  return starts.sort((left, right) => left - right);
}

/** Are all bytes of the range zero? */
export async function isZero(
  source: ByteSource,
  range: { readonly start: number; readonly end: number },
): Promise<boolean> {
  for (let at = range.start; at < range.end; at += stepBytes) {
    const bytes = await source.read(at, Math.min(stepBytes, range.end - at));
    if (zeros.compare(bytes, 0, bytes.length, 0, bytes.length) !== 0) return false;
  }
  return true;
}
