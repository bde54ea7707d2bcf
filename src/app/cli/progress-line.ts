import type { CommandContext } from './command.ts';
import { print } from './command.ts';

export interface Progress {
  readonly what: string;
  /** Bytes. */
  readonly done: number;
  readonly total: number | undefined;
}

/** One line that is written over and over. */
export interface ProgressLine {
  show(progress: Progress): void;
  /** Takes the line away. */
  close(): Promise<void>;
}

const everyMs = 100;
const cells = 24;

/** A progress bar where the stream is a terminal; nothing at all where it is not. */
export function openProgressLine(stream: CommandContext['stderr']): ProgressLine {
  if (stream.isTTY !== true) return { show: () => {}, close: async () => {} };
  let shownMs = -Infinity;
  let dirty = false;
  return {
    show: (progress) => {
      const nowMs = performance.now();
      if (nowMs - shownMs < everyMs) return;
      shownMs = nowMs;
      dirty = true;
      stream.write(`\r\x1b[2K${renderProgress(progress)}`);
    },
    close: async () => {
      if (dirty) await print(stream, '\r\x1b[2K');
    },
  };
}

export function renderProgress({ what, done, total }: Progress): string {
  if (total === undefined || total === 0) return `${what} ${bytesOf(done)}`;
  const share = Math.min(1, done / total);
  const full = Math.round(share * cells);
  const bar = `${'#'.repeat(full)}${'.'.repeat(cells - full)}`;
  return `${what} [${bar}] ${Math.floor(share * 100)} % of ${bytesOf(total)}`;
}

function bytesOf(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}
