import type { LogFiles } from '#evidence/log/log-files.ts';
import { isLogPath } from '#evidence/log/tile.ts';
import { Fault } from '#lib/fault.ts';

/** A published log in memory that a test may look at and damage. `writes` is every path in the order of writing. */
export interface MemoryLogFiles extends LogFiles {
  readonly bytes: Map<string, Uint8Array>;
  readonly writes: string[];
}

export function openMemoryLogFiles(): MemoryLogFiles {
  const bytes = new Map<string, Uint8Array>();
  const writes: string[] = [];
  return {
    bytes,
    writes,
    read: async (path) => bytes.get(path),
    write: async (files) => {
      if (!files.every(({ path }) => isLogPath(path))) throw new Fault('path.invalid', 'not a path of a log');
      for (const file of files) {
        bytes.set(file.path, Uint8Array.from(file.bytes));
        writes.push(file.path);
      }
    },
    list: async function* list() {
      for (const [path, content] of bytes) yield { path, sizeBytes: content.length };
    },
    remove: async (paths) => {
      for (const path of paths) bytes.delete(path);
    },
  };
}
