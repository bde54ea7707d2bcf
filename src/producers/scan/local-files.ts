import { lstat, readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Digest } from '#artifact/digest.ts';
import { hashFile } from '#artifact/hash.ts';
import { walkTree, type WalkOptions } from '#artifact/walk.ts';
import { Fault, toFault } from '#lib/fault.ts';
import { compareCodePoints, parsePathName } from '#lib/path-name.ts';
import { limits } from '#lib/limits.ts';

/** A file to scan, or the reason why there is none. Paths are relative to the scanned directory. */
export type LocalFile =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly localPath: string;
      readonly digest: Digest;
      readonly sizeBytes: number;
    }
  | { readonly kind: 'unread'; readonly path: string; readonly reason: string };

/**
 * The files of a directory, or the one file at `path`, with digests. What the strict walk of an artifact refuses as a
 * whole (a link, a FIFO, a name that is no text) costs only that entry here: a scanner must not be blinded by one bad
 * name. Links are never followed, but for a snapshot of a hub cache, whose links lead to its own blobs.
 */
export async function listLocalFiles(path: string, signal?: AbortSignal): Promise<readonly LocalFile[]> {
  const root = resolve(path);
  const single = await isSingleFile(root);
  const cache = /^(.*\/(?:models|datasets|spaces)--[^/]+)\/snapshots\/[^/]+$/.exec(root)?.[1];
  const options: WalkOptions = {
    ...(cache === undefined ? {} : { links: 'inside', linkRoot: cache }),
    ...(signal === undefined ? {} : { signal }),
  };
  try {
    const { files } = await walkTree(path, options);
    return files.map((file): LocalFile => {
      return { kind: 'file', localPath: single ? root : join(root, file.path), ...file };
    });
  } catch (thrown) {
    signal?.throwIfAborted();
    const fault = toFault(thrown);
    if (fault.code === 'artifact.empty') return [];
    if (single || fault.code === 'internal.unexpected') throw fault;
    return listLeniently(root, fault);
  }
}

/** Version control and client caches beside the model are no part of it. */
function isLeftOut(path: string): boolean {
  return path === '.git' || path === '.cache/huggingface';
}

async function isSingleFile(path: string): Promise<boolean> {
  try {
    return !(await lstat(path)).isDirectory() && basename(path) !== '';
  } catch (cause) {
    throw new Fault('file.unreadable', `\`${path}\` cannot be read`, { cause });
  }
}

async function listLeniently(root: string, why: Fault): Promise<readonly LocalFile[]> {
  const files: LocalFile[] = [];
  const pending = [''];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    if (isLeftOut(folder)) continue;
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => undefined);
    if (entries === undefined) {
      files.push({ kind: 'unread', path: folder, reason: 'the folder cannot be read' });
      continue;
    }
    for (const entry of entries) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) pending.push(path);
      else files.push(entry.isFile() ? await hashOne(root, path) : unread(path, 'a link or special file'));
      if (files.length + pending.length > limits.artifactFiles) {
        return [...files, unread('', `more than ${limits.artifactFiles} files: ${why.message}`)];
      }
    }
  }
  return files.sort((a, b) => compareCodePoints(a.path, b.path));
}

async function hashOne(root: string, path: string): Promise<LocalFile> {
  try {
    parsePathName(path);
    const localPath = join(root, path);
    return { kind: 'file', path, localPath, ...(await hashFile(localPath)) };
  } catch (thrown) {
    return unread(path, toFault(thrown).message);
  }
}

function unread(path: string, reason: string): LocalFile {
  return { kind: 'unread', path, reason };
}
