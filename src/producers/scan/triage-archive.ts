import type { ByteSource } from '#artifact/blob-store.ts';
import { readPickle } from '#artifact/formats/pickle/read-pickle.ts';
import type { PyTorchReading, TorchPickle } from '#artifact/formats/pytorch/reading.ts';
import { isNotRead } from '#artifact/sparse-source.ts';
import { Fault } from '#lib/fault.ts';
import { readLocalHeader, readZipDirectory, type Span, type ZipHeader } from '#lib/zip-directory.ts';
import { openZipMember } from '#lib/zip.ts';

/** Around a local header: the name, the padding in its extra field and the first bytes of the member. */
const headerBytes = 4096;
/** Two stretches so near to each other are fetched as one. */
const nearBytes = 64 * 1024;
const atOnce = 16;
const objectName = /(^|\/)data\.pkl$/;

export type FetchedMembers =
  | { readonly kind: 'no-archive' | 'fetched' }
  /** The members are further apart than there are requests: the archive cannot be read as a whole. */
  | { readonly kind: 'too-many'; readonly reason: string };

/**
 * Reads what a reader of the archive will want (pickles whole, of other members the header) in few requests at the
 * same time, pickles first; a reader by itself asks for one after another. What cannot be had is left to the reader.
 */
export async function fetchMembers(source: ByteSource, requests: number): Promise<FetchedMembers> {
  const directory = await orUndefined(() => readZipDirectory(source));
  if (directory === undefined) return { kind: 'no-archive' };
  const pickles = spansOf(
    directory.headers.filter(({ name }) => name.endsWith('.pkl')),
    true,
  );
  const others = spansOf(
    directory.headers.filter(({ name }) => !name.endsWith('.pkl')),
    false,
  );
  await fetchSpans(source, pickles);
  if (pickles.length + others.length > requests) {
    const reason = `not read: the ${directory.headers.length} members of the archive need more requests than a triage makes`;
    return { kind: 'too-many', reason };
  }
  await fetchSpans(source, others);
  return { kind: 'fetched' };
}

function spansOf(headers: readonly ZipHeader[], whole: boolean): readonly Span[] {
  const wanted = headers
    .filter(({ headerOffset }) => headerOffset >= 0)
    .map(({ headerOffset, compressedBytes }) => ({
      start: headerOffset,
      end: headerOffset + headerBytes + (whole ? compressedBytes : 0),
    }))
    .sort((a, b) => a.start - b.start);
  const merged: Span[] = [];
  for (const span of wanted) {
    const last = merged.at(-1);
    if (last === undefined || span.start > last.end + nearBytes) merged.push(span);
    else merged[merged.length - 1] = { start: last.start, end: Math.max(last.end, span.end) };
  }
  return merged;
}

async function fetchSpans(source: ByteSource, spans: readonly Span[]): Promise<void> {
  for (let at = 0; at < spans.length; at += atOnce) {
    const some = spans.slice(at, at + atOnce);
    await Promise.all(some.map(({ start, end }) => orUndefined(() => source.read(start, end - start))));
  }
}

/** The pickles that `torch.load` reads, by the directory alone; undefined where there are none or no archive. */
export async function readObjectPickles(source: ByteSource): Promise<PyTorchReading | undefined> {
  const directory = await readZipDirectory(source);
  const objects = directory?.headers.filter(({ name }) => objectName.test(name)) ?? [];
  if (directory === undefined || objects.length === 0) return undefined;
  const pickles: TorchPickle[] = [];
  const incomplete = new Set(['not read: members of the archive other than its pickles']);
  for (const header of objects) {
    try {
      const reading = await readMember(source, header);
      pickles.push({ member: header.name, role: 'object', reading });
      for (const reason of reading.incomplete) incomplete.add(reason);
    } catch (thrown) {
      if (!isNotRead(thrown) && !(thrown instanceof Fault)) throw thrown;
      incomplete.add(thrown.message);
    }
  }
  return {
    form: 'zip',
    pickles,
    storages: [],
    anomalies: directory.anomalies,
    problems: [],
    torchScript: false,
    incomplete: [...incomplete],
  };
}

async function readMember(source: ByteSource, header: ZipHeader): ReturnType<typeof readPickle> {
  const local = await readLocalHeader(source, header.headerOffset);
  if (local === undefined) throw new Fault('bundle.invalid', 'a pickle has no local header');
  const opened = await openZipMember(source, {
    ...header,
    dataOffset: local.headerOffset + local.headerBytes,
    encrypted: (header.flags & 0x41) !== 0,
    according: 'central',
  });
  return readPickle(opened);
}

async function orUndefined<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (thrown) {
    if (isNotRead(thrown)) return undefined;
    throw thrown;
  }
}
