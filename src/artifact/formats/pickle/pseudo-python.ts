import type { Mutation, PickleReading } from './reading.ts';
import { printable, renderCall, renderName, renderValue } from './render.ts';
import type { CallNode, ImportNode } from './values.ts';

const linesAtMost = 2_000;

type Act =
  | { readonly kind: 'import'; readonly node: ImportNode }
  | { readonly kind: 'call'; readonly node: CallNode }
  | { readonly kind: 'change'; readonly node: Mutation };

function line(act: Act): string {
  switch (act.kind) {
    case 'import': {
      const { node } = act;
      if (node.computed !== undefined) return `import ${renderName(node)}`;
      return `from ${printable(node.mappedModule ?? '')} import ${printable(node.mappedName ?? '')}`;
    }
    case 'call': {
      const { node } = act;
      const state = node.state === undefined ? '' : `.__setstate__(${renderValue(node.state.value)})`;
      return `${renderCall(node)}${state}`;
    }
    case 'change':
      return `${renderValue(act.node.target)} ${act.node.via} ${renderValue(act.node.value)}`;
  }
}

/**
 * What loading would do, as readable pseudo-Python in the order of the opcodes, with the byte offset and the opcode index
 * of each line as a comment: `posix.system("id")  # byte 32, opcode 4`. At most 2 000 lines; nothing in it is a control
 * character. It is for people: it is not valid Python where values are cut or not known.
 */
export function pseudoPython(reading: PickleReading): string {
  const acts: Act[] = [
    ...reading.imports.map((node) => ({ kind: 'import', node }) as const),
    ...reading.calls.slice(0, linesAtMost).map((node) => ({ kind: 'call', node }) as const),
    ...reading.mutations.slice(0, linesAtMost).map((node) => ({ kind: 'change', node }) as const),
  ];
  acts.sort((left, right) => left.node.offset - right.node.offset);
  const lines = acts
    .slice(0, linesAtMost)
    .map((act) => `${line(act)}  # byte ${act.node.offset}, opcode ${act.node.opcode}`);
  if (acts.length > linesAtMost) lines.push('# and more');
  const last = reading.streams.at(-1)?.result;
  if (last !== undefined) lines.push(`return ${renderValue(last)}`);
  return `${lines.join('\n')}\n`;
}
