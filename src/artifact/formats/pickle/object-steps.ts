import { limits } from '#lib/limits.ts';
import type { Machine } from './machine.ts';
import { i4, lineText, type Step, u1, u2 } from './steps.ts';
import { decodeUtf8 } from './text.ts';
import {
  isNode,
  type CallKind,
  type DictNode,
  type ListNode,
  type SetNode,
  type Value,
  weightOf,
} from './values.ts';

function list(machine: Machine, items: Value[]): void {
  const node: ListNode = { kind: 'list', items: [], dropped: 0, weight: 1 };
  machine.push(node);
  extend(machine, node, items, 'APPEND');
}

function dict(machine: Machine, items: Value[]): void {
  const node: DictNode = { kind: 'dict', items: [], dropped: 0, weight: 1 };
  machine.push(node);
  extend(machine, node, items, 'SETITEM');
}

function set(machine: Machine, items: Value[], frozen: boolean): void {
  const node: SetNode = { kind: 'set', frozen, items: [], dropped: 0, weight: 1 };
  machine.push(node);
  extend(machine, node, items, 'ADDITEMS');
}

/** APPEND(S), SETITEM(S) and ADDITEMS: on anything but the builtin containers they call methods of the target. */
function extend(
  machine: Machine,
  target: Value,
  items: readonly Value[],
  via: 'APPEND' | 'SETITEM' | 'ADDITEMS',
): void {
  let weight = 0;
  for (const item of items) {
    machine.asData(item);
    weight += weightOf(item);
  }
  if (isNode(target) && (target.kind === 'list' || target.kind === 'dict' || target.kind === 'set')) {
    target.weight = machine.weigh(target.weight + weight);
    if (machine.retain(items.length)) for (const item of items) target.items.push(item);
    else target.dropped += items.length;
    return;
  }
  if (items.length > 0) machine.mutate(via, target, machine.tuple(items));
}

function reduce(machine: Machine, via: CallKind): void {
  const args = machine.pop();
  const callee = machine.pop();
  machine.push(machine.call(via, callee, checked(machine, args)));
}

function newWithKeywords(machine: Machine): void {
  const keywords = machine.pop();
  const args = machine.pop();
  const callee = machine.pop();
  machine.asData(keywords);
  machine.push(machine.call('NEWOBJ_EX', callee, checked(machine, args), keywords));
}

function checked(machine: Machine, args: Value): Value {
  machine.asData(args);
  if (!isNode(args) || args.kind !== 'tuple') {
    machine.diverge(
      'argument-type',
      'the arguments of a call are not a tuple, which only pure Python accepts',
    );
  }
  return args;
}

function obj(machine: Machine): void {
  const [callee = { kind: 'unknown', why: 'an empty stack' } as const, ...args] = machine.popMark();
  machine.push(machine.call('OBJ', callee, machine.tuple(args)));
}

function names(machine: Machine, asciiOnly: boolean): readonly [string, string] {
  const texts: string[] = [];
  for (let count = 0; count < 2; count++) {
    const { from, to } = machine.cursor.line();
    const { bytes } = machine.cursor;
    const text = decodeUtf8(bytes, from, Math.max(from, to));
    if (to <= from) machine.diverge('empty-name', 'a name is empty, which only pure Python accepts');
    if (text === undefined || (asciiOnly && /[^\x00-\x7f]/.test(text)))
      machine.fail('a name is not valid text');
    texts.push(text ?? Buffer.from(bytes.subarray(from, to)).toString('latin1'));
  }
  return [texts[0] ?? '', texts[1] ?? ''];
}

function global(machine: Machine): void {
  const [module, name] = names(machine, false);
  machine.push(machine.import('GLOBAL', module, name));
}

function inst(machine: Machine): void {
  const [module, name] = names(machine, true);
  const callee = machine.import('INST', module, name);
  machine.push(machine.call('INST', callee, machine.tuple(machine.popMark())));
}

function stackGlobal(machine: Machine): void {
  const name = machine.pop();
  const module = machine.pop();
  machine.push(machine.import('STACK_GLOBAL', module, name));
}

function build(machine: Machine): void {
  const state = machine.pop();
  const target = machine.top();
  machine.asData(state);
  machine.mutate('BUILD', target, state);
}

function pop(machine: Machine): void {
  if (machine.stack.length > machine.fence) machine.stack.pop();
  else if (machine.marks.length > 0) machine.marks.pop();
  else machine.fail('the stack is empty');
}

function setItem(machine: Machine): void {
  const value = machine.pop();
  const key = machine.pop();
  extend(machine, machine.top(), [key, value], 'SETITEM');
}

function many(machine: Machine, via: 'APPEND' | 'SETITEM' | 'ADDITEMS'): void {
  const items = machine.popMark();
  extend(machine, machine.top(), items, via);
}

function append(machine: Machine): void {
  const value = machine.pop();
  extend(machine, machine.top(), [value], 'APPEND');
}

function extension(machine: Machine, code: number): void {
  const node = { kind: 'extension', code, ...machine.place() } as const;
  if (machine.collected.extensions.length < limits.pickleCalls) machine.collected.extensions.push(node);
  machine.push(node);
}

function persistent(machine: Machine, id: Value): void {
  machine.asData(id);
  const node = { kind: 'persistent', id, ...machine.place() } as const;
  if (machine.collected.persistentIds.length < limits.pickleCalls) machine.collected.persistentIds.push(node);
  machine.push(node);
}

function tuple(machine: Machine, count: number): void {
  const items: Value[] = [];
  for (let index = 0; index < count; index++) items.push(machine.pop());
  machine.push(machine.tuple(items.reverse()));
}

/** Opcodes that build containers, import, call and change objects (`pickletools`, protocols 0–5). */
export const objectSteps: Readonly<Record<number, Step>> = {
  0x5d: (m) => list(m, []),
  0x61: append,
  0x65: (m) => many(m, 'APPEND'),
  0x6c: (m) => list(m, m.popMark()),
  0x29: (m) => m.push(m.tuple([])),
  0x74: (m) => m.push(m.tuple(m.popMark())),
  0x85: (m) => tuple(m, 1),
  0x86: (m) => tuple(m, 2),
  0x87: (m) => tuple(m, 3),
  0x7d: (m) => dict(m, []),
  0x64: (m) => dict(m, m.popMark()),
  0x73: setItem,
  0x75: (m) => many(m, 'SETITEM'),
  0x8f: (m) => set(m, [], false),
  0x90: (m) => many(m, 'ADDITEMS'),
  0x91: (m) => set(m, m.popMark(), true),
  0x30: pop,
  0x32: (m) => m.push(m.top()),
  0x28: (m) => void m.marks.push(m.stack.length),
  0x31: (m) => void m.popMark(),
  0x82: (m) => extension(m, u1(m)),
  0x83: (m) => extension(m, u2(m)),
  0x84: (m) => extension(m, i4(m)),
  0x63: global,
  0x93: stackGlobal,
  0x52: (m) => reduce(m, 'REDUCE'),
  0x62: build,
  0x69: inst,
  0x6f: obj,
  0x81: (m) => reduce(m, 'NEWOBJ'),
  0x92: newWithKeywords,
  0x50: (m) => persistent(m, lineText(m)),
  0x51: (m) => persistent(m, m.pop()),
};
