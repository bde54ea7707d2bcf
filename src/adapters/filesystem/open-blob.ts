import { constants } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { Digest } from '#artifact/digest.ts';
import type { OpenBlob } from '#artifact/blob-store.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import { checkSeal, refuseQuarantined } from './seal.ts';

/** Step of streams: measured 2 to 2.8 times the throughput of the default of 64 KiB. */
const streamStepBytes = 1024 * 1024;

/**
 * Opens the file of a blob; undefined where there is none. Fault `blob.corrupt` for a link at or above the file, and for
 * bytes that are not the digest's any more (`checkSeal`).
 */
export async function openBlobFile(
  root: string,
  digest: Digest,
  path: string,
): Promise<OpenBlob | undefined> {
  const opened = await openUnreplaced(path);
  if (opened === undefined) {
    await refuseQuarantined(root, digest);
    return undefined;
  }
  const { handle, place } = opened;
  try {
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile() || place !== path) {
      throw new Fault('blob.corrupt', `\`${digest}\` is not a plain file in the blob store`);
    }
    await checkSeal({ root, digest, path, handle, stats });
    return openBlob(digest, path, handle, Number(stats.size));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * The file and where it really is. Whoever puts the same bytes replaces equal by equal, so the file that was opened may have
 * lost its name meanwhile: then it is opened again.
 */
async function openUnreplaced(
  path: string,
): Promise<{ readonly handle: FileHandle; readonly place: string } | undefined> {
  for (;;) {
    const handle = await openFile(path);
    if (handle === undefined) return undefined;
    const place = await readlink(`/proc/self/fd/${handle.fd}`).catch(async (error: unknown) => {
      await handle.close();
      throw error;
    });
    if (place !== `${path} (deleted)`) return { handle, place };
    await handle.close();
  }
}

async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isErrno(error) && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
    if (isErrno(error) && error.code === 'ELOOP') {
      throw new Fault('blob.corrupt', `a link stands in the blob store at \`${path}\``, { cause: error });
    }
    throw error;
  }
}

function openBlob(digest: Digest, path: string, handle: FileHandle, sizeBytes: number): OpenBlob {
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= handle.close());
  return {
    digest,
    sizeBytes,
    localPath: path,
    read: async (offset, lengthBytes) => {
      refuseOffset(offset, lengthBytes);
      const target = new Uint8Array(Math.max(0, Math.min(lengthBytes, sizeBytes - offset)));
      await fill(handle, digest, target, offset);
      return target;
    },
    readInto: async (target, offset) => {
      refuseOffset(offset, target.length);
      const wanted = target.subarray(0, Math.max(0, Math.min(target.length, sizeBytes - offset)));
      await fill(handle, digest, wanted, offset);
      return wanted.length;
    },
    stream(range = { start: 0, end: sizeBytes }) {
      const { start, end } = range;
      if (
        !Number.isSafeInteger(start) ||
        !Number.isSafeInteger(end) ||
        start < 0 ||
        start > end ||
        end > sizeBytes
      ) {
        throw new Fault('request.invalid', `the range ${start} to ${end} is not inside ${sizeBytes} bytes`);
      }
      if (start === end) return Readable.from([]);
      return handle.createReadStream({
        start,
        end: end - 1,
        highWaterMark: streamStepBytes,
        autoClose: false,
      });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function refuseOffset(offset: number, lengthBytes: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || !(lengthBytes >= 0)) {
    throw new Fault('request.invalid', `nothing can be read at offset \`${offset}\``);
  }
}

/** Fills the whole target with the bytes from `offset` on. */
async function fill(handle: FileHandle, digest: Digest, target: Uint8Array, offset: number): Promise<void> {
  for (let filled = 0; filled < target.length;) {
    const { bytesRead } = await handle.read(target, filled, target.length - filled, offset + filled);
    if (bytesRead === 0) throw new Fault('blob.corrupt', `\`${digest}\` is shorter than when it was opened`);
    filled += bytesRead;
  }
}
