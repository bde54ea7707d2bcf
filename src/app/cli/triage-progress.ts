import type { TriageProgress } from '#producers/scan/triage.ts';
import type { CommandContext } from './command.ts';

/** One line on a terminal that is written over as files are done; nothing where the output is no terminal. */
export function showProgress(stderr: CommandContext['stderr']): {
  show(progress: TriageProgress): void;
  clear(): void;
} {
  if (stderr.isTTY !== true) return { show: () => undefined, clear: () => undefined };
  return {
    show: ({ files, filesDone, bytesFetched }) => {
      const fetched = (bytesFetched / (1024 * 1024)).toFixed(1);
      stderr.write(`\r\x1b[2K${filesDone} of ${files} files, ${fetched} MiB fetched`);
    },
    clear: () => void stderr.write('\r\x1b[2K'),
  };
}
