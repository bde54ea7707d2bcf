import type { JinjaToken } from '#artifact/formats/text/jinja-tokens.ts';
import { limits } from '#lib/limits.ts';

/** Jinja's own functions whose text and globals lead to Python's; honest templates call them or leave them alone. */
const globals = new Set(['lipsum', 'cycler', 'joiner']);
/** Filters and methods that make new text. */
const textMakers = new Set(['join', 'string', 'format', 'replace', 'reverse']);
/** Filters that take the name of an attribute as an argument. */
const takesAttribute = new Set([
  'map',
  'selectattr',
  'rejectattr',
  'groupby',
  'sort',
  'unique',
  'sum',
  'min',
  'max',
]);
const joining = new Set(['~', '+', '*', '%']);
const keywords = new Set([
  'in',
  'is',
  'not',
  'and',
  'or',
  'if',
  'else',
  'elif',
  'set',
  'for',
  'return',
  'do',
]);

export type ReportToken = (message: string, token: JinjaToken) => void;

/** Is a text that the template puts together used as the name of an attribute or key? One pass; depth is bounded. */
export function judgeKeys(tokens: readonly JinjaToken[], report: ReportToken): 'read' | 'too-deep' {
  const { tainted, assigned } = taintOf(tokens);
  let frames: Frame[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'end') frames = [];
    if (token.kind === 'string') note(frames, { text: true });
    if (token.kind === 'name') {
      if (isBareGlobal(tokens, index, assigned)) report(`uses \`${token.text}\` without calling it`, token);
      if (tainted.has(dottedName(tokens, index)) && !isMeasured(tokens, index)) note(frames, { made: true });
    }
    if (token.kind !== 'operator') continue;
    if ('[({'.includes(token.text)) {
      if (frames.length >= limits.templateDepth) return 'too-deep';
      const key = takesKey(tokens, index);
      frames.push({ token, key, text: !key && frames.at(-1)?.text === true, made: false });
    } else if ('])}'.includes(token.text)) {
      const closed = frames.pop();
      if (closed?.key === true && closed.made)
        report('computes the key of a subscript from text', closed.token);
      else if (closed !== undefined) note(frames, closed);
    } else if (token.text === '~') note(frames, { made: true });
    else if (joining.has(token.text) || token.text === '|') {
      const frame = frames.at(-1);
      if (frame?.text === true) frame.made = true;
    }
  }
  return 'read';
}

/** One open bracket: what has been seen in it so far. */
interface Frame {
  readonly token: JinjaToken;
  readonly key: boolean;
  text: boolean;
  made: boolean;
}

function note(
  frames: readonly Frame[],
  { text = false, made = false }: { text?: boolean; made?: boolean },
): void {
  const frame = frames.at(-1);
  if (frame === undefined) return;
  frame.text ||= text;
  frame.made ||= made;
}

/** A subscript (not a list), or the arguments of a filter that reads attributes. */
function takesKey(tokens: readonly JinjaToken[], index: number): boolean {
  const before = tokens[index - 1];
  if (tokens[index]?.text === '(') {
    return before?.kind === 'name' && takesAttribute.has(before.text) && tokens[index - 2]?.text === '|';
  }
  if (tokens[index]?.text !== '[' || before === undefined) return false;
  return (
    before.kind === 'string' ||
    (before.kind === 'name' && !keywords.has(before.text)) ||
    (before.kind === 'operator' && (before.text === ')' || before.text === ']'))
  );
}

function isBareGlobal(tokens: readonly JinjaToken[], index: number, assigned: ReadonlySet<string>): boolean {
  const name = tokens[index]?.text ?? '';
  const after = tokens[index + 1]?.text ?? '';
  if (!globals.has(name) || tokens[index - 1]?.text === '.') return false;
  if (['.', '[', '|'].includes(after)) return true;
  return after !== '(' && after !== '=' && !assigned.has(name);
}

/** `ns.key` for an attribute of a plain name, else the name itself. */
function dottedName(tokens: readonly JinjaToken[], index: number): string {
  const name = tokens[index]?.text ?? '';
  const owner = tokens[index - 2];
  return tokens[index - 1]?.text === '.' && owner?.kind === 'name' ? `${owner.text}.${name}` : name;
}

function isMeasured(tokens: readonly JinjaToken[], index: number): boolean {
  return tokens[index + 1]?.text === '|' && /^(length|count)$/.test(tokens[index + 2]?.text ?? '');
}

interface Assignment {
  readonly names: readonly string[];
  /** The tokens of the expression. */
  readonly from: number;
  readonly to: number;
}

/** Variables that hold text which the template puts together, and every variable that it sets. */
function taintOf(tokens: readonly JinjaToken[]): {
  readonly tainted: ReadonlySet<string>;
  readonly assigned: ReadonlySet<string>;
} {
  const assignments = assignmentsIn(tokens);
  const assigned = new Set(assignments.flatMap(({ names }) => names));
  const tainted = new Set<string>();
  const textual = new Set<string>();
  for (let size = -1; size !== tainted.size + textual.size;) {
    size = tainted.size + textual.size;
    if (size > 1_000) return { tainted: assigned, assigned };
    for (const { names, from, to } of assignments) {
      const found = valueOf(tokens, { from, to }, { tainted, textual });
      for (const name of names) {
        if (found.made) tainted.add(name);
        if (found.text) textual.add(name);
      }
    }
  }
  return { tainted, assigned };
}

function valueOf(
  tokens: readonly JinjaToken[],
  { from, to }: { readonly from: number; readonly to: number },
  { tainted, textual }: { readonly tainted: ReadonlySet<string>; readonly textual: ReadonlySet<string> },
): { readonly text: boolean; readonly made: boolean } {
  if (from === to) return { text: true, made: true };
  let text = false;
  let made = false;
  let joined = false;
  for (let at = from; at < to; at += 1) {
    const token = tokens[at];
    if (token === undefined) break;
    if (token.kind === 'string') text = true;
    else if (token.kind === 'name' && !isMeasured(tokens, at)) {
      const name = dottedName(tokens, at);
      text ||= textual.has(name);
      made ||=
        tainted.has(name) || (['|', '.'].includes(tokens[at - 1]?.text ?? '') && textMakers.has(token.text));
    } else if (token.kind === 'operator') {
      made ||= token.text === '~';
      joined ||= joining.has(token.text);
    }
  }
  return { text, made: made || (joined && text) };
}

/** `set`, `with`, `for` and `macro`; the block form of `set` and a macro have no expression: what they give is text. */
function assignmentsIn(tokens: readonly JinjaToken[]): readonly Assignment[] {
  const assignments: Assignment[] = [];
  for (let at = 0; at < tokens.length; at += 1) {
    const word = tokens[at + 1];
    if (tokens[at]?.kind !== 'begin' || tokens[at]?.text !== '{%' || word?.kind !== 'name') continue;
    if (!['set', 'with', 'for', 'macro'].includes(word.text)) continue;
    let end = at + 2;
    while (end < tokens.length && tokens[end]?.kind !== 'end') end += 1;
    const sign = word.text === 'for' ? 'in' : '=';
    let split = at + 2;
    while (split < end && tokens[split]?.text !== sign && tokens[split]?.text !== '|') split += 1;
    const block = word.text === 'macro' || tokens[split]?.text !== sign;
    const last = word.text === 'macro' ? at + 3 : split;
    const names: string[] = [];
    for (let index = at + 2; index < last; index += 1) {
      if (tokens[index]?.kind === 'name' && tokens[index + 1]?.text !== '.')
        names.push(dottedName(tokens, index));
    }
    assignments.push({ names, from: block ? end : split + 1, to: end });
    at = end;
  }
  return assignments;
}
