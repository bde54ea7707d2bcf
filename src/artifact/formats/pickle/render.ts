import { isNode, type Node, type Value } from './values.ts';

const maxDepth = 6;
const maxItems = 8;
const maxText = 200;

/** A value as Python source, cut where it is long or deep: `("touch /tmp/x", …)`. Control characters are escaped. */
export function renderValue(value: Value, depth = 0): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return quote(value);
  if (!isNode(value)) return String(value);
  return depth > maxDepth ? '…' : renderNode(value, depth);
}

function renderNode(node: Node, depth: number): string {
  switch (node.kind) {
    case 'float':
      return Number.isInteger(node.value) ? node.value.toFixed(1) : String(node.value);
    case 'bytes':
      return node.content === undefined
        ? `<${node.lengthBytes} bytes at ${node.offset}>`
        : `${node.mutable ? 'bytearray(' : ''}b${quote(node.content, true)}${node.mutable ? ')' : ''}`;
    case 'text':
      return `<text of ${node.lengthBytes} bytes: ${quote(node.head)}…>`;
    case 'tuple':
      return `(${renderItems(node.items, depth)}${node.items.length === 1 ? ',' : ''})`;
    case 'list':
      return `[${renderItems(node.items, depth)}${node.dropped > 0 ? ', …' : ''}]`;
    case 'set':
      return `${node.frozen ? 'frozenset(' : ''}{${renderItems(node.items, depth)}}${node.frozen ? ')' : ''}`;
    case 'dict':
      return `{${renderPairs(node.items, depth)}}`;
    case 'import':
      return renderName(node);
    case 'call':
      return renderCall(node, depth);
    case 'persistent':
      return `persistent_load(${renderValue(node.id, depth + 1)})`;
    case 'extension':
      return `<extension ${node.code}>`;
    case 'buffer':
      return '<buffer>';
    case 'unknown':
      return `<${node.why}>`;
  }
}

/** `module.name` as it is imported, or what it is computed from. */
export function renderName(node: Extract<Node, { kind: 'import' }>): string {
  if (node.computed !== undefined) {
    return `<computed ${renderValue(node.computed[0], 4)}.${renderValue(node.computed[1], 4)}>`;
  }
  return printable(`${node.mappedModule ?? ''}.${node.mappedName ?? ''}`);
}

/** `os.system("id")`, `cls(…)`. */
export function renderCall(node: Extract<Node, { kind: 'call' }>, depth = 0): string {
  const { args, keywords } = node;
  const inner =
    isNode(args) && args.kind === 'tuple'
      ? renderItems(args.items, depth)
      : `*${renderValue(args, depth + 1)}`;
  const named = keywords === undefined ? '' : `, **${renderValue(keywords, depth + 1)}`;
  return `${renderValue(node.callee, depth + 1)}(${inner}${named})`;
}

function renderItems(items: readonly Value[], depth: number): string {
  const shown = items.slice(0, maxItems).map((item) => renderValue(item, depth + 1));
  return clip(shown.join(', ')) + (items.length > maxItems ? ', …' : '');
}

function renderPairs(items: readonly Value[], depth: number): string {
  const shown: string[] = [];
  for (let index = 0; index + 1 < Math.min(items.length, 2 * maxItems); index += 2) {
    shown.push(
      `${renderValue(items[index] ?? null, depth + 1)}: ${renderValue(items[index + 1] ?? null, depth + 1)}`,
    );
  }
  return clip(shown.join(', ')) + (items.length > 2 * maxItems ? ', …' : '');
}

function clip(text: string): string {
  return text.length > 4 * maxText ? `${text.slice(0, 4 * maxText)}…` : text;
}

function quote(text: string, bytes = false): string {
  const cut = text.length > maxText ? text.slice(0, maxText) : text;
  const body = printable(cut.replaceAll('\\', '\\\\').replaceAll('"', '\\"'), bytes);
  return `"${body}"${text.length > maxText ? '…' : ''}`;
}

function escape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (character === '\n') return '\\n';
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** Control, formatting and (for bytes) non-ASCII characters as escapes: nothing here can steer a terminal. */
export function printable(text: string, bytes = false): string {
  return text.replace(bytes ? /[^ -~]/g : /[\p{C}\p{Zl}\p{Zp}]/gu, escape);
}
