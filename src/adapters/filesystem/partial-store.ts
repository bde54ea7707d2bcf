import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { chmod, open, readFile, readdir, rename, stat, unlink, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOfHex } from '#artifact/digest.ts';
import type { BlobDescriptor } from '#artifact/blob-store.ts';
import type { Partial, PartialKey, PartialStore, WatchedPartial } from '#artifact/partial-store.ts';
import { Fault, isErrno, toFault } from '#lib/fault.ts';
import { durably } from '#lib/fault-point.ts';
import { Spans } from '#lib/spans.ts';
import { createBlobDirectory } from './blob-directory.ts';
import { blobPath, publishBlob, refuseWithoutRoom } from './blob-store.ts';
import {
  formatPartialNote,
  newSession,
  parsePartialNote,
  thisBoot,
  type PartialNote,
} from './partial-note.ts';
import { forgetMark, isMixed, mark, markSuffix } from './stream-marks.ts';

/** A partial that nobody has written to for so long is given up. */
const keptMs = 24 * 3600 * 1000;
/** Whoever took a part of a file may come back for its rest this much later. */
const markKeptMs = 30 * keptMs;
const lookEveryMs = 3600 * 1000;
const noteEveryMs = 200;
const hashStepBytes = 1024 * 1024;

/**
 * Partials as files `<directory>/partial/<name>` beside the blobs, with `<name>.spans` saying which bytes are written. The
 * note follows the bytes: what it says was handed to the system before. It is not synced; what a power failure takes away
 * is found by the hash. `directory` is that of the blob store.
 */
export async function openFilesystemPartialStore(directory: string): Promise<PartialStore> {
  await createBlobDirectory(directory, 'partial');
  const place = join(directory, 'partial');
  await removeOld(place);
  // Transfers that are never completed would otherwise fill the disk until the next start.
  setInterval(() => void removeOld(place).catch(() => {}), lookEveryMs).unref();
  return {
    open: (key) => openPartial(directory, join(place, nameOf(key)), key),
    watch: (key) => watchPartial(join(place, nameOf(key)), key),
    mark: async (key) =>
      mark(place, join(place, nameOf(key)), await sessionOf(join(place, nameOf(key)), key)),
    isMixed: async (key) => isMixed(join(place, nameOf(key)), () => sessionOf(join(place, nameOf(key)), key)),
    identityOf: async (digest) => {
      const stats = await stat(blobPath(directory, digest), { bigint: true }).catch(() => undefined);
      return stats === undefined ? undefined : identityOf(stats);
    },
  };
}

/** Numbers of files are given again; the time of their making is not. */
function identityOf({ dev, ino, birthtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${birthtimeNs}`;
}

function nameOf({ namespace, digest, sizeBytes }: PartialKey): string {
  return createHash('sha256').update(`${namespace}\0${digest}\0${sizeBytes}`).digest('hex');
}

async function removeOld(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const path = join(place, name);
    const stats = await stat(path).catch(() => undefined);
    const mostMs = name.endsWith(markSuffix) ? markKeptMs : keptMs;
    if (stats !== undefined && Date.now() - stats.mtimeMs > mostMs) await unlink(path).catch(() => {});
  }
}

async function openPartial(root: string, path: string, key: PartialKey): Promise<Partial> {
  const note = (await readNote(path, key)) ?? parsePartialNote('', key.sizeBytes);
  await refuseWithoutRoom(root, key.sizeBytes - note.spans.sizeBytes);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  // A writer that was killed just before its partial became a blob has made it read-only.
  await chmod(path, 0o600).catch(ignoreMissing);
  const handle = await durably('partial.create', () => open(path, flags, 0o600));
  const present = new Spans(note.spans.list.filter(({ end }) => end <= key.sizeBytes));
  const { size } = await handle.stat();
  // A note about bytes that are not there was written by a process whose machine lost power.
  const whole = present.list.every(({ end }) => end <= size);
  const spans = whole ? present : new Spans();
  // Killed, it may have written, and let go, more than it noted; that lies there still unless the machine was killed.
  const kept = whole && (note.closed || note.boot === thisBoot);
  const session = kept ? note.session : newSession();
  const unnotedEnd = kept && !note.closed ? size : 0;
  const identity = identityOf(await handle.stat({ bigint: true }));
  const partial = new FilePartial({ root, path, key, handle, spans, identity, session, unnotedEnd });
  // The session stands on the disk before any byte of it can leave.
  await partial.begin();
  return partial;
}

interface PartialPlace {
  readonly root: string;
  readonly path: string;
  readonly key: PartialKey;
  readonly handle: FileHandle;
  readonly spans: Spans;
  readonly identity: string;
  /** Another one as soon as bytes turn out to be others than an earlier writer let go. */
  session: string;
  /** Below this there may be bytes that no note speaks of. */
  readonly unnotedEnd: number;
}

class FilePartial implements Partial {
  readonly #place: PartialPlace;
  readonly #hash = createHash('sha256');
  #hashedBytes = 0;
  #notedAtMs = -Infinity;
  #noted = true;
  #timer: NodeJS.Timeout | undefined;
  #noting: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(place: PartialPlace) {
    this.#place = place;
  }

  get identity() {
    return this.#place.identity;
  }

  begin(): Promise<void> {
    return this.#note();
  }

  get spans() {
    return this.#place.spans.list;
  }

  reach(offset: number): number {
    return this.#place.spans.reach(offset);
  }

  gap(from: number) {
    return this.#place.spans.gap(from, this.#place.key.sizeBytes);
  }

  async write(chunk: Uint8Array, offset: number): Promise<void> {
    const { handle, spans, key } = this.#place;
    const end = offset + chunk.length;
    if (end > key.sizeBytes) throw new Fault('limit.exceeded', 'a partial was written past its end');
    if (offset < this.#place.unnotedEnd) await this.#heedUnnoted(chunk, offset);
    await durably('partial.write', () => writeAt(handle, chunk, offset)).catch(fullDisk);
    if (offset === this.#hashedBytes) {
      this.#hash.update(chunk);
      this.#hashedBytes = end;
    } else {
      // Bytes that came out of order are read back a little at a time, so that the end does not wait for all of them.
      await this.#hashOn(Math.max(hashStepBytes, 2 * chunk.length));
    }
    spans.add({ start: offset, end });
    this.#noted = false;
    if (performance.now() - this.#notedAtMs >= noteEveryMs) await this.#note();
    else this.#noteSoon();
  }

  readInto(target: Uint8Array, offset: number): Promise<number> {
    return readWritten(this.#place.handle, this.#place.spans, target, offset);
  }

  async publish(): Promise<BlobDescriptor> {
    const { root, path, key, handle, spans, session } = this.#place;
    if (spans.gap(0, key.sizeBytes) !== undefined) throw new Error('a partial with gaps cannot be published');
    await this.#hashOn(Infinity);
    const digest = digestOfHex(this.#hash.digest('hex'));
    const { size } = await handle.stat();
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#noting.catch(() => {});
    if (digest !== key.digest || size !== key.sizeBytes) {
      await this.#remove();
      throw new Fault('blob.mismatch', `the bytes are \`${digest}\`, declared was \`${key.digest}\``, {
        details: { digest, expected: key.digest, sizeBytes: size },
      });
    }
    await handle.chmod(0o444);
    await durably('blob.sync', () => handle.sync()).catch(fullDisk);
    await publishBlob(root, path, digest);
    // Stopping here: a note without a partial; the next writer begins with an empty file and finds it contradicted.
    await unlink(`${path}.spans`).catch(ignoreMissing);
    await forgetMark(path, session);
    return { digest, sizeBytes: size };
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await this.#noting;
      if (!this.#ended) await this.#writeNote(true);
    } finally {
      await this.#place.handle.close();
    }
  }

  async #remove(): Promise<void> {
    // The note goes first: a note without bytes is contradicted by the file, bytes without a note are written anew.
    await unlink(`${this.#place.path}.spans`).catch(ignoreMissing);
    await unlink(this.#place.path).catch(ignoreMissing);
  }

  /** Bytes that an earlier writer wrote here and may have let go must be these; where nothing was written are zeros. */
  async #heedUnnoted(chunk: Uint8Array, offset: number): Promise<void> {
    const { handle, unnotedEnd } = this.#place;
    const before = Buffer.alloc(Math.min(chunk.length, unnotedEnd - offset));
    await handle.read(before, 0, before.length, offset);
    if (before.equals(chunk.subarray(0, before.length)) || before.equals(Buffer.alloc(before.length))) return;
    if (before.every((byte, at) => byte === 0 || byte === chunk[at])) return;
    this.#place.session = newSession();
    await this.#note();
  }

  /** Hashes what is written next after what is hashed, up to `mostBytes`. */
  async #hashOn(mostBytes: number): Promise<void> {
    const buffer = Buffer.allocUnsafe(hashStepBytes);
    for (let done = 0; done < mostBytes;) {
      const length = await this.readInto(buffer, this.#hashedBytes);
      if (length === 0) return;
      this.#hash.update(buffer.subarray(0, length));
      this.#hashedBytes += length;
      done += length;
    }
  }

  /** Others follow by the note, so it is not left behind when the source falls silent. */
  #noteSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      // Whoever writes next hears of a failure; here it means only that less is known to be written.
      if (!this.#noted && !this.#ended) this.#note().catch(() => (this.#noted = false));
    }, noteEveryMs).unref();
  }

  /** One after the other: a note replaces the one before. */
  #note(): Promise<void> {
    this.#noting = this.#noting.catch(() => {}).then(() => this.#writeNote());
    return this.#noting;
  }

  async #writeNote(closed = false): Promise<void> {
    const { path, key, spans, session } = this.#place;
    this.#notedAtMs = performance.now();
    this.#noted = true;
    const text = formatPartialNote({ spans, session, closed, boot: thisBoot }, key.sizeBytes);
    const temporary = `${path}.spans.new`;
    await writeFile(temporary, text, { mode: 0o600 }).catch(fullDisk);
    await durably('partial.note', () => rename(temporary, `${path}.spans`));
  }
}

async function watchPartial(path: string, key: PartialKey): Promise<WatchedPartial | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error) && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const identity = identityOf(await handle.stat({ bigint: true }));
  const written = async (): Promise<Spans> => (await readNote(path, key))?.spans ?? new Spans();
  let spans = await written();
  return {
    identity,
    refresh: async () => {
      const stats = await stat(path, { bigint: true }).catch(() => undefined);
      if (stats === undefined || identityOf(stats) !== identity) return false;
      spans = await written();
      return true;
    },
    reach: (offset) => spans.reach(offset),
    readInto: (target, offset) => readWritten(handle, spans, target, offset),
    close: () => handle.close(),
  };
}

/** Undefined where nothing is noted. */
async function readNote(path: string, key: PartialKey): Promise<PartialNote | undefined> {
  try {
    return parsePartialNote(await readFile(`${path}.spans`, 'utf8'), key.sizeBytes);
  } catch (error) {
    if (isErrno(error) && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function sessionOf(path: string, key: PartialKey): Promise<string | undefined> {
  return (await readNote(path, key))?.session;
}

async function readWritten(
  handle: FileHandle,
  spans: Spans,
  target: Uint8Array,
  offset: number,
): Promise<number> {
  const wanted = Math.min(target.length, spans.reach(offset) - offset);
  for (let filled = 0; filled < wanted;) {
    const { bytesRead } = await handle.read(target, filled, wanted - filled, offset + filled);
    if (bytesRead === 0) throw new Fault('blob.corrupt', 'a partial is shorter than what was written to it');
    filled += bytesRead;
  }
  return Math.max(0, wanted);
}

async function writeAt(handle: FileHandle, chunk: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, offset + done);
    done += bytesWritten;
  }
}

function ignoreMissing(error: unknown): void {
  if (!isErrno(error) || error.code !== 'ENOENT') throw error;
}

function fullDisk(error: unknown): never {
  throw isErrno(error) && (error.code === 'ENOSPC' || error.code === 'EDQUOT') ? toFault(error) : error;
}
