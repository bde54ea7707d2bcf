import { readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { LogFiles } from '#evidence/log/log-files.ts';
import { isLogPath } from '#evidence/log/tile.ts';
import { writeFilesDurably } from '#lib/durable-file.ts';
import { Fault, isErrno } from '#lib/fault.ts';

/** The published log as files under `directory`, ready to be served as they are (C2SP tlog-tiles). */
export function openLogDirectory(directory: string): LogFiles {
  const locate = (path: string): string => {
    if (!isLogPath(path)) throw new Fault('path.invalid', `\`${path.slice(0, 100)}\` is not a path of a log`);
    return join(directory, path);
  };
  return {
    read: async (path) => {
      if (!isLogPath(path)) return undefined;
      try {
        return await readFile(join(directory, path));
      } catch (thrown) {
        if (isAbsence(thrown)) return undefined;
        throw thrown;
      }
    },
    write: async (files) => {
      if (files.length === 0) return;
      await writeFilesDurably(files.map(({ path, bytes }) => ({ path: locate(path), bytes })));
    },
    list: () => listFiles(directory),
    remove: async (paths) => {
      for (const path of paths) {
        await unlink(locate(path)).catch((thrown: unknown) => {
          if (!isAbsence(thrown)) throw thrown;
        });
      }
    },
  };
}

async function* listFiles(directory: string): AsyncIterable<{ path: string; sizeBytes: number }> {
  try {
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = join(entry.parentPath, entry.name);
      const path = relative(directory, file).split(sep).join('/');
      if (isLogPath(path)) yield { path, sizeBytes: (await stat(file)).size };
    }
  } catch (thrown) {
    if (!isAbsence(thrown)) throw thrown;
  }
}

function isAbsence(thrown: unknown): boolean {
  return isErrno(thrown) && ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(thrown.code ?? '');
}
