import { readFileSync } from 'node:fs';

/**
 * Resident memory of all processes that these tasks belong to, in bytes; shared pages count once per process, so that it
 * is an upper bound. Tasks that have ended count nothing.
 */
export function residentBytes(tasks: Iterable<number>): number {
  const processes = new Map<number, number>();
  for (const task of tasks) {
    try {
      const status = readFileSync(`/proc/${task}/status`, 'latin1');
      const group = Number(/^Tgid:\s+(\d+)/m.exec(status)?.[1] ?? task);
      processes.set(group, Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024);
    } catch {
      // It ended since the trace was read.
    }
  }
  return [...processes.values()].reduce((sum, bytes) => sum + bytes, 0);
}
