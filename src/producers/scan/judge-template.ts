import { tokenizeJinja, type JinjaToken } from '#artifact/formats/text/jinja-tokens.ts';
import type { Finding } from '#evidence/predicates.ts';
import { limits } from '#lib/limits.ts';
import { finding } from './finding.ts';
import type { FormatRuleId } from './rules.ts';
import { judgeKeys } from './template-taint.ts';

/**
 * Attributes from which Python's object graph is reached: what Jinja2's own sandbox refuses, without the double
 * underscores, and the frames of functions and generators.
 */
const internalWords = [
  'class',
  'base',
  'bases',
  'mro',
  'subclasses',
  'globals',
  'builtins',
  'import',
  'init',
  'getattribute',
  'getattr',
  'dict',
  'code',
  'self',
  'func',
  'module',
  'loader',
  'spec',
  'reduce',
  'reduce_ex',
  'call',
  'new',
  'subclasshook',
  'closure',
  'wrapped',
  'getitem',
  'setattr',
  'delattr',
  'init_subclass',
  'enter',
  'exit',
  'del',
] as const;
const internalName = new RegExp(`__(?:${internalWords.join('|')})__`, 'i');
const frameNames = new Set([
  'mro',
  'func_globals',
  'func_code',
  'gi_frame',
  'gi_code',
  'cr_frame',
  'cr_code',
  'ag_frame',
  'ag_code',
  'f_globals',
  'f_builtins',
  'f_locals',
  'f_back',
  'tb_frame',
  'co_code',
  'im_func',
  'im_class',
]);
const telling = new Set(['class', 'bases', 'mro', 'subclasses', 'globals', 'builtins', 'getattribute']);
const joining = new Set(['~', '+', '*', '%']);
const includes = new Set(['include', 'import', 'extends', 'from']);

/**
 * Does a chat template reach for more than the conversation? Looks at the tokens of its expressions (never at the
 * text around them): private and internal attributes, internal names in strings also after decoding, reversal and
 * concatenation, computed attribute names, includes. `pointer` says where the template stands.
 */
export function judgeTemplate(template: string, pointer: string): readonly Finding[] {
  if (template.length > limits.templateBytes) {
    return [
      finding('TPL-UNREADABLE', `a template is longer than ${limits.templateBytes} characters`, { pointer }),
    ];
  }
  const { tokens, brokenAt } = tokenizeJinja(template);
  const findings: Finding[] = [];
  const add = (ruleId: FormatRuleId, message: string, token: { readonly offset: number }): void => {
    findings.push(finding(ruleId, `${message}, at character ${token.offset} of the template`, { pointer }));
  };
  if (tokens.length > limits.templateTokens) {
    add('TPL-UNREADABLE', `the template has more than ${limits.templateTokens} tokens`, { offset: 0 });
    return findings;
  }
  const keys = judgeKeys(tokens, (message, token) => add('TPL-COMPUTED-ATTRIBUTE', message, token));
  if (keys === 'too-deep') {
    add('TPL-UNREADABLE', `the template has brackets more than ${limits.templateDepth} deep`, { offset: 0 });
  }
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'name') judgeName(tokens, index, add);
    else if (token.kind === 'string') judgeString(tokens, index, add);
    else if (token.kind === 'begin') judgeBlock(tokens, index, add);
  }
  if (brokenAt !== undefined) {
    add(
      'TPL-UNREADABLE',
      'the template has a block that does not end or a character that no token starts with',
      {
        offset: brokenAt,
      },
    );
  }
  return findings;
}

type Add = (ruleId: FormatRuleId, message: string, token: { readonly offset: number }) => void;

function judgeName(tokens: readonly JinjaToken[], index: number, add: Add): void {
  const token = tokens[index];
  if (token === undefined) return;
  const shown = `\`${token.text.slice(0, 100)}\``;
  const before = tokens[index - 1];
  if (before?.text === '|' && token.text === 'attr') {
    add('TPL-COMPUTED-ATTRIBUTE', 'uses the `attr` filter', token);
  } else if (/^__.+__$/.test(token.text)) {
    add('TPL-ATTRIBUTE', `reaches for ${shown}`, token);
  } else if (before?.text === '.' && before.kind === 'operator') {
    if (frameNames.has(token.text)) add('TPL-ATTRIBUTE', `reaches for ${shown}`, token);
    else if (token.text.startsWith('_')) add('TPL-PRIVATE-ATTRIBUTE', `uses the attribute ${shown}`, token);
  } else if (before?.kind === 'begin' && before.text === '{%' && includes.has(token.text)) {
    add('TPL-INCLUDE', `holds \`{% ${token.text} %}\``, token);
  }
}

function judgeString(tokens: readonly JinjaToken[], index: number, add: Add): void {
  const token = tokens[index];
  if (token === undefined) return;
  const text = token.text;
  const shown = `\`${text.slice(0, 100)}\``;
  const before = tokens[index - 1];
  const after = tokens[index + 1];
  if (internalName.test(text) || internalName.test(reversed(text))) {
    add('TPL-ATTRIBUTE', `holds the internal name ${shown}`, token);
    return;
  }
  const printed = before?.kind === 'begin' && before.text === '{{' && after?.kind === 'end';
  const joined = [before, after].some(
    (next) =>
      next !== undefined && (joining.has(next.text) || next.kind === 'string') && next.kind !== 'name',
  );
  const partial = text.startsWith('__') || text.endsWith('__');
  if ((partial && !printed) || (joined && (/^_+$/.test(text) || telling.has(text.toLowerCase())))) {
    add('TPL-COMPUTED-ATTRIBUTE', `puts ${shown} together with other text`, token);
  }
}

/** All strings of one block put together: what `join`, `format` and `~` could build from them. */
function judgeBlock(tokens: readonly JinjaToken[], index: number, add: Add): void {
  let all = '';
  let single = false;
  for (let at = index + 1; at < tokens.length; at += 1) {
    const token = tokens[at];
    if (token === undefined || token.kind === 'end') break;
    if (token.kind !== 'string') continue;
    single ||= internalName.test(token.text);
    all += token.text;
    if (all.length > 100_000) break;
  }
  const token = tokens[index];
  if (!single && token !== undefined && (internalName.test(all) || internalName.test(reversed(all)))) {
    add('TPL-ATTRIBUTE', 'builds an internal name from pieces', token);
  }
}

function reversed(text: string): string {
  return text.length > 100_000 ? '' : text.split('').reverse().join('');
}
