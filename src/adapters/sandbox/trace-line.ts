/** One finished system call as strace writes it. Texts are as in the trace, still escaped. */
export interface TracedCall {
  readonly kind: 'call';
  readonly task: number;
  readonly name: string;
  readonly parameters: readonly string[];
  /** `0`, `3</proc/self/maps>`, `-1 ENOENT (No such file or directory)`, `?`. */
  readonly result: string;
}

export type TraceLine =
  | TracedCall
  | { readonly kind: 'ended'; readonly task: number; readonly signal: string | undefined }
  /** A signal was delivered or a task resumed: of no interest. */
  | { readonly kind: 'other'; readonly task: number }
  | { readonly kind: 'unreadable' };

const unfinished = ' <unfinished ...>';

/**
 * Reads the lines of one trace (`strace -f`), joining what a task began with what it ended when others ran in between.
 * Texts that traced programs choose stand in quotes or angle brackets and are escaped there by strace, so that they can
 * make neither a line nor the end of one. Undefined for the first half of a call.
 */
export class TraceLines {
  readonly #begun = new Map<number, string>();

  read(line: string): TraceLine | undefined {
    const match = /^(\d+) +(.*)$/s.exec(line);
    if (match === null) return { kind: 'unreadable' };
    const task = Number(match[1]);
    const text = match[2] ?? '';
    if (text.startsWith('+++ ')) {
      const begun = this.#begun.get(task);
      this.#begun.delete(task);
      const signal = /^\+\+\+ killed by (SIG\w+)/.exec(text)?.[1];
      return begun !== undefined && signal === undefined && !/^exit(?:_group)?\(/.test(begun)
        ? { kind: 'unreadable' }
        : { kind: 'ended', task, signal };
    }
    if (text.startsWith('--- ') || text.startsWith('[ ') || text.startsWith('strace: '))
      return { kind: 'other', task };
    if (text.endsWith(unfinished)) {
      this.#begun.set(task, text.slice(0, -unfinished.length));
      return undefined;
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(text);
    if (resumed === null) return parseCall(task, text);
    const begun = this.#begun.get(task);
    this.#begun.delete(task);
    // An execve of another thread ends the one that began it, and is resumed under the leader's number.
    if (begun === undefined) return { kind: 'unreadable' };
    return parseCall(task, begun + text.slice(resumed[0].length));
  }
}

function parseCall(task: number, text: string): TraceLine {
  const open = /^(\w+)\(/.exec(text);
  if (open === null) return { kind: 'unreadable' };
  const split = splitParameters(text, open[0].length);
  const result = split === undefined ? null : /^\s*= (.*)$/s.exec(text.slice(split.end));
  if (split === undefined || result === null) return { kind: 'unreadable' };
  return {
    kind: 'call',
    task,
    name: open[1] ?? '',
    parameters: split.parameters,
    result: (result[1] ?? '').trim(),
  };
}

/** The parameters at the top level from `start` on, and where the closing bracket ends. */
export function splitParameters(
  text: string,
  start: number,
): { readonly parameters: readonly string[]; readonly end: number } | undefined {
  const parameters: string[] = [];
  let depth = 0;
  let begin = start;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = endOfText(text, at, '"');
    else if (character === '<' && text[at + 1] === '<') at++;
    else if (character === '<') at = endOfText(text, at, '>');
    else if (character === '/' && text[at + 1] === '*') at = text.indexOf('*/', at + 2) + 1;
    else if (character === '(' || character === '[' || character === '{') depth++;
    else if (character === ')' && depth === 0) {
      const last = text.slice(begin, at).trim();
      return { parameters: last === '' ? parameters : [...parameters, last], end: at + 1 };
    } else if (character === ')' || character === ']' || character === '}') depth--;
    else if (character === ',' && depth === 0) {
      parameters.push(text.slice(begin, at).trim());
      begin = at + 1;
    }
    if (at < start) return undefined;
    if (depth < 0) return undefined;
  }
  return undefined;
}

/** Index of the closing character; the end of the text where it never closes, so that the call is unreadable. */
function endOfText(text: string, start: number, close: string): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === close) return at;
  }
  return text.length;
}

/** The text of a quoted parameter, unescaped as UTF-8; `…` at the end where strace cut it. Undefined for a pointer. */
export function textOf(parameter: string | undefined): string | undefined {
  const match = /^"((?:[^"\\]|\\.)*)"(\.\.\.)?$/s.exec(parameter ?? '');
  return match === null ? undefined : unescape(match[1] ?? '') + (match[2] === undefined ? '' : '…');
}

/** What stands in angle brackets behind a descriptor: `3</tmp/a>` → `/tmp/a`. */
export function pathOfDescriptor(text: string): string | undefined {
  const match = /^(?:\d+|AT_FDCWD)<(.*?)>/s.exec(text);
  return match === null ? undefined : unescape(match[1] ?? '');
}

const simple: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, v: 11, f: 12 };

function unescape(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  const result: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== 0x5c) {
      result.push(bytes[at] ?? 0);
      continue;
    }
    const octal = /^[0-7]{1,3}/.exec(bytes.toString('latin1', at + 1, at + 4))?.[0];
    const letter = String.fromCharCode(bytes[at + 1] ?? 0);
    result.push(octal === undefined ? (simple[letter] ?? letter.charCodeAt(0)) : Number.parseInt(octal, 8));
    at += octal?.length ?? 1;
  }
  return Buffer.from(result).toString('utf8');
}
