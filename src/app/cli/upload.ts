import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { hexOf } from '#artifact/digest.ts';
import type { ManifestFile } from '#artifact/manifest.ts';
import { walkTree } from '#artifact/walk.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import { callServer, sendToServer } from './connection.ts';
import type { CommandContext, CommandInput } from './command.ts';
import type { ProgressLine } from './progress-line.ts';

export interface Upload {
  readonly input: CommandInput;
  readonly context: CommandContext;
  /** Absolute; a file or a folder. */
  readonly path: string;
  readonly line: ProgressLine;
  /** Orders the intake and gives its id; called when the tree is known to be good. */
  readonly order: () => Promise<string>;
}

/**
 * A local tree to the server. Reading is the safe walk's: links, devices and changing files are refused, and every file is
 * sent with the digest that the walk took, so that what is swapped between the two readings is refused by the server.
 */
export async function uploadTree({ input, context, path, line, order }: Upload): Promise<string> {
  let read = 0;
  const { files } = await walkTree(path, {
    onFile: ({ sizeBytes }) => {
      read += sizeBytes;
      line.show({ what: 'reading', done: read, total: undefined });
    },
  });
  const folder = (await stat(path)).isDirectory();
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const id = await order();
  let sent = 0;
  for (const file of files) {
    const handle = await openLocal(folder ? join(path, file.path) : path, file);
    try {
      const bytes = async function* (): AsyncGenerator<Uint8Array> {
        for await (const chunk of handle.createReadStream({ autoClose: false })) {
          sent += (chunk as Uint8Array).length;
          line.show({ what: 'uploading', done: sent, total });
          yield chunk as Uint8Array;
        }
      };
      await sendToServer(input, context, {
        path: `/wb/v1/uploads/${id}/files/${file.path.split('/').map(encodeURIComponent).join('/')}`,
        headers: {
          'content-type': 'application/octet-stream',
          'content-length': String(file.sizeBytes),
          'content-digest': `sha-256=:${Buffer.from(hexOf(file.digest), 'hex').toString('base64')}:`,
        },
        bytes: bytes(),
      });
    } finally {
      await handle.close();
    }
  }
  await callServer(input, context, { method: 'POST', path: `/wb/v1/uploads/${id}/complete` });
  return id;
}

async function openLocal(path: string, file: ManifestFile): Promise<FileHandle> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { size } = await handle.stat();
    if (size === file.sizeBytes) return handle;
    await handle.close();
    throw new Fault('file.changed', `\`${file.path}\` changed while it was uploaded`);
  } catch (cause) {
    if (cause instanceof Fault || !isErrno(cause)) throw cause;
    throw new Fault('file.changed', `\`${file.path}\` changed while it was uploaded`, { cause });
  }
}
