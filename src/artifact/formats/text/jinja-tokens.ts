/**
 * Tokens of the expressions and statements of a Jinja template (the text between the delimiters is not code and is
 * skipped). `offset` counts characters. String tokens carry their decoded value; adjacent strings are separate tokens.
 */
export interface JinjaToken {
  readonly kind: 'name' | 'number' | 'string' | 'operator' | 'begin' | 'end';
  /** The name, the operator, the decoded text; for `begin` and `end` the kind of block: `{{` or `{%`. */
  readonly text: string;
  readonly offset: number;
}

export interface JinjaTokens {
  readonly tokens: readonly JinjaToken[];
  /** Where the tokenizer lost its way; everything after it is unread. */
  readonly brokenAt: number | undefined;
}

const opening = /\{\{|\{%|\{#/g;
const token =
  /\s+|(?<name>[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*)|(?<number>\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?<string>"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*')|(?<operator>\/\/|\*\*|==|!=|<=|>=|[-+/*%~[\](){}<>=.:|,;!])/uy;
const rawEnd = /\{%[-+]?\s*endraw\s*[-+]?%\}/g;

/**
 * Splits a template as Jinja2's lexer does with its default delimiters: comments, `raw` blocks, white-space control
 * and strings with Python escapes. Never throws.
 */
export function tokenizeJinja(template: string): JinjaTokens {
  const tokens: JinjaToken[] = [];
  let at = 0;
  for (;;) {
    opening.lastIndex = at;
    const start = opening.exec(template);
    if (start === null) return { tokens, brokenAt: undefined };
    if (start[0] === '{#') {
      const end = template.indexOf('#}', start.index + 2);
      if (end < 0) return { tokens, brokenAt: start.index };
      at = end + 2;
      continue;
    }
    const block = start[0] === '{{' ? '{{' : '{%';
    const first = tokens.length;
    const end = readBlock(template, { block, at: start.index }, tokens);
    if (end === undefined) return { tokens, brokenAt: start.index };
    at = end;
    if (block === '{%' && tokens[first + 1]?.text === 'raw' && tokens.length === first + 3) {
      rawEnd.lastIndex = at;
      const raw = rawEnd.exec(template);
      if (raw === null) return { tokens, brokenAt: start.index };
      at = rawEnd.lastIndex;
    }
  }
}

/** Reads one block; the position after it, or undefined where it does not end. */
function readBlock(
  template: string,
  { block, at: start }: { readonly block: '{{' | '{%'; readonly at: number },
  tokens: JinjaToken[],
): number | undefined {
  const close = block === '{{' ? '}}' : '%}';
  tokens.push({ kind: 'begin', text: block, offset: start });
  let at = start + 2;
  if (template[at] === '-' || template[at] === '+') at += 1;
  let depth = 0;
  while (at < template.length) {
    const dashed = (template[at] === '-' || template[at] === '+') && template.startsWith(close, at + 1);
    if ((depth === 0 && template.startsWith(close, at)) || dashed) {
      tokens.push({ kind: 'end', text: block, offset: at });
      return at + (dashed ? 3 : 2);
    }
    token.lastIndex = at;
    const match = token.exec(template);
    if (match === null) return undefined;
    const { name, number, string, operator } = match.groups ?? {};
    if (name !== undefined) tokens.push({ kind: 'name', text: name.normalize('NFKC'), offset: at });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number, offset: at });
    else if (string !== undefined) tokens.push({ kind: 'string', text: decodeString(string), offset: at });
    else if (operator !== undefined) {
      if ('([{'.includes(operator)) depth += 1;
      else if (')]}'.includes(operator)) depth -= 1;
      tokens.push({ kind: 'operator', text: operator, offset: at });
    }
    at = token.lastIndex;
  }
  return undefined;
}

const simpleEscapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  a: '\u0007',
  b: '\b',
  f: '\f',
  v: '\v',
  '\n': '',
};

/** A string literal without its quotes, Python escapes decoded (`\x5f`, `\137`, `\u005f`, `\N{LOW LINE}`). */
function decodeString(literal: string): string {
  return literal
    .slice(1, -1)
    .replaceAll(
      /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|N\{([^}]*)\}|([\s\S]))/g,
      (_whole, ...groups: (string | undefined)[]) => {
        const [hex, short, long, octal, named, simple] = groups;
        const digits = hex ?? short ?? long;
        if (digits !== undefined) return fromCode(Number.parseInt(digits, 16));
        if (octal !== undefined) return fromCode(Number.parseInt(octal, 8));
        // Only names of the low line matter to a reader that looks for attribute names.
        if (named !== undefined) return /^(low line|spacing underscore)$/i.test(named) ? '_' : '\ufffd';
        return simpleEscapes[simple ?? ''] ?? simple ?? '';
      },
    );
}

function fromCode(code: number): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
}
