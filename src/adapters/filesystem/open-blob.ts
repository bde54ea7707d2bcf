import { constants } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { Digest } from '#artifact/digest.ts';
import type { OpenBlob } from '#artifact/blob-store.ts';
import { Fault, isErrno } from '#lib/fault.ts';

/** Step of streams: measured 2 to 2.8 times the throughput of the default of 64 KiB. */
const streamStepBytes = 1024 * 1024;

/** Opens the file of a blob; undefined where there is none. A link at or above the file is Fault `blob.corrupt`. */
export async function openBlobFile(digest: Digest, path: string): Promise<OpenBlob | undefined> {
  const handle = await openFile(path);
  if (handle === undefined) return undefined;
  try {
    const stats = await handle.stat();
    if (!stats.isFile() || (await readlink(`/proc/self/fd/${handle.fd}`)) !== path) {
      throw new Fault('blob.corrupt', `\`${digest}\` is not a plain file in the blob store`);
    }
    return openBlob(digest, path, handle, stats.size);
  } catch (error) {
    await handle.close();
    throw error;
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
    read: (offset, lengthBytes) => readExactly(handle, digest, { offset, lengthBytes, sizeBytes }),
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

interface ReadSpan {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly sizeBytes: number;
}

async function readExactly(handle: FileHandle, digest: Digest, span: ReadSpan): Promise<Uint8Array> {
  if (!Number.isSafeInteger(span.offset) || span.offset < 0 || !(span.lengthBytes >= 0)) {
    throw new Fault('request.invalid', `nothing can be read at offset \`${span.offset}\``);
  }
  const wanted = Math.max(0, Math.min(span.lengthBytes, span.sizeBytes - span.offset));
  const bytes = new Uint8Array(wanted);
  for (let filled = 0; filled < wanted;) {
    const { bytesRead } = await handle.read(bytes, filled, wanted - filled, span.offset + filled);
    if (bytesRead === 0) throw new Fault('blob.corrupt', `\`${digest}\` is shorter than when it was opened`);
    filled += bytesRead;
  }
  return bytes;
}
