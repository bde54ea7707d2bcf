import type { Digest } from '#artifact/digest.ts';
import { printable } from '#lib/printable.ts';

/** What the tour says, as text for a terminal or for a pipe. Words of artifacts are escaped before they come here. */
export interface Narration {
  title(text: string): Promise<void>;
  /** A paragraph. */
  tell(text: string): Promise<void>;
  /** `label  value`, with further values below the first. */
  row(label: string, ...values: readonly string[]): Promise<void>;
  /** Words of somebody else, set in under the rows. */
  quote(text: string): Promise<void>;
  verdict(expected: boolean, text: string): Promise<void>;
}

const labelWidth = 10;
const lineWidth = 100;

/** With `colour`, titles are bold and outcomes green or red; without, the same text and nothing else. */
export function openNarration(write: (text: string) => Promise<void>, colour: boolean): Narration {
  const paint = (code: number, text: string): string => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  return {
    title: (text) => write(`\n${paint(1, text)}\n`),
    tell: (text) => write(`${wrap(text, 2)}\n`),
    quote: (text) => write(`${wrap(text, labelWidth + 3)}\n`),
    row: (label, ...values) =>
      write(
        values
          .map((value, index) => `  ${paint(2, (index === 0 ? label : '').padEnd(labelWidth))} ${value}\n`)
          .join(''),
      ),
    verdict: (expected, text) =>
      write(`  ${expected ? paint(32, 'as expected') : paint(31, 'NOT AS EXPECTED')}: ${text}\n`),
  };
}

/** Lines of at most `lineWidth` where words allow it, each after `indent` spaces. */
function wrap(text: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > lineWidth) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((one) => ' '.repeat(indent) + one).join('\n');
}

/** Enough of a digest to find it again. */
export const short = (digest: Digest | string): string =>
  `${printable(digest).slice(0, 'sha256:'.length + 16)}…`;
