import { readFile, unlink, writeFile } from 'node:fs/promises';
import { isErrno } from '#lib/fault.ts';
import { syncBlobDirectory } from './blob-directory.ts';

/** Ends the name of a mark, which stands beside the partial that it is about and outlives it. */
export const markSuffix = '.streamed';

/** Durably: bytes of this session leave unverified. A mark of another session stays. */
export async function mark(place: string, path: string, session: string | undefined): Promise<void> {
  // Nothing is noted any more: the transfer was published a moment ago, and what leaves is verified.
  if (session === undefined || (await readMark(path)) !== undefined) return;
  // A name alone says enough: a mark whose text a power failure took names no session.
  await writeFile(`${path}${markSuffix}`, session, { mode: 0o600 });
  await syncBlobDirectory(place);
}

/** Is there a mark of any other session than the one under way? */
export async function isMixed(path: string, session: () => Promise<string | undefined>): Promise<boolean> {
  const known = await readMark(path);
  return known !== undefined && known !== (await session());
}

/** The bytes of this session turned out to be the blob. */
export async function forgetMark(path: string, session: string): Promise<void> {
  if ((await readMark(path)) !== session) return;
  await unlink(`${path}${markSuffix}`).catch(() => {});
}

async function readMark(path: string): Promise<string | undefined> {
  try {
    return await readFile(`${path}${markSuffix}`, 'utf8');
  } catch (error) {
    if (isErrno(error) && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
