import type { Writable } from 'node:stream';
import { printable } from '#lib/printable.ts';
import type { AdoptionProgress } from './adopt.ts';
import { sizeWords } from './words.ts';

export interface Terminal {
  readonly stream: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  /** Milliseconds, never set back. */
  readonly now: () => number;
}

const drawEveryMs = 100;

export interface ProgressBar extends AdoptionProgress {
  /** Takes the line away. */
  clear(): void;
}

/**
 * One line on a terminal, drawn over itself at most ten times a second; undefined where the stream is none: nothing is
 * written then. Names of files are made printable before they are cut.
 */
export function openProgressBar({ stream, now }: Terminal): ProgressBar | undefined {
  if (stream.isTTY !== true) return undefined;
  let total = 0;
  let done = 0;
  let startedMs = now();
  let drawnMs = Number.NEGATIVE_INFINITY;
  let path = '';
  const draw = (line: (width: number) => string): void => {
    if (now() - drawnMs < drawEveryMs) return;
    drawnMs = now();
    stream.write(`\r${line(Math.max(20, Math.min(80, stream.columns ?? 80)) - 1)}\x1b[K`);
  };
  return {
    searched: (entries, at) =>
      draw((width) => cut(`searching  ${entries} names  ${printable(at, 300)}`, width)),
    found: ({ models }) => {
      total = models.reduce(
        (sum, { files }) => sum + files.reduce((bytes, one) => bytes + one.identity.sizeBytes, 0),
        0,
      );
      startedMs = now();
      drawnMs = Number.NEGATIVE_INFINITY;
    },
    read: (bytes, at) => {
      done += bytes;
      if (at !== '') path = at;
      draw((width) => progressLine({ total, done, seconds: (now() - startedMs) / 1000, path }, width));
    },
    clear: () => void stream.write('\r\x1b[K'),
  };
}

/** `[#####-----]  41%  1.2 GB of 2.9 GB  310 MB/s  0:05  model.safetensors`, cut to the width. */
export function progressLine(
  at: { readonly total: number; readonly done: number; readonly seconds: number; readonly path: string },
  width: number,
): string {
  const part = at.total === 0 ? 1 : Math.min(1, at.done / at.total);
  const rate = at.seconds > 0 ? at.done / at.seconds : 0;
  const left = rate > 0 ? timeWords((at.total - at.done) / rate) : '-:--';
  const bar = '#'.repeat(Math.floor(part * 12)).padEnd(12, '-');
  const percent = `${Math.floor(part * 100)}%`.padStart(4);
  const words = `[${bar}] ${percent}  ${sizeWords(at.done)} of ${sizeWords(at.total)}  ${sizeWords(Math.round(rate))}/s  ${left}  `;
  return cut(words + printable(at.path, 300), width);
}

function timeWords(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours > 0
    ? `${hours}:${twoDigits(minutes)}:${twoDigits(whole % 60)}`
    : `${minutes}:${twoDigits(whole % 60)}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** Cut at code points; a wide character may take two columns, so a line of those may be cut by the terminal instead. */
function cut(line: string, width: number): string {
  const points = Array.from(line);
  return points.length <= width ? line : `${points.slice(0, width - 1).join('')}…`;
}
