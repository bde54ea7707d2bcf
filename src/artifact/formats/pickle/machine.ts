import { limits } from '#lib/limits.ts';
import { Cursor } from './cursor.ts';
import { mapPython2Name } from './python2-names.ts';
import type { Divergence, Mutation, PickleStream, StreamEnd } from './reading.ts';
import {
  isNode,
  type CallKind,
  type CallNode,
  type ExtensionNode,
  type ImportNode,
  type PersistentNode,
  type Place,
  type Value,
  weightOf,
} from './values.ts';

/** A literal that may itself be a pickle; looked into after the stream. */
export interface Candidate extends Place {
  readonly encoding: 'raw' | 'latin1' | 'base64' | 'hex';
  /** Where the literal's bytes stand in the source, or the literal itself where it was escaped. */
  readonly content: { readonly offset: number; readonly lengthBytes: number } | string;
}

/** What one reading of a file collects over all its streams. */
export interface Collected {
  readonly streams: PickleStream[];
  readonly imports: Map<string, ImportNode>;
  readonly calls: CallNode[];
  readonly mutations: Mutation[];
  readonly persistentIds: PersistentNode[];
  readonly extensions: ExtensionNode[];
  readonly divergences: Divergence[];
  readonly candidates: Candidate[];
  readonly incomplete: Set<string>;
  expansion: (Place & { readonly objects: number }) | undefined;
  opcodes: number;
  retained: number;
}

export function emptyCollection(): Collected {
  return {
    streams: [],
    imports: new Map(),
    calls: [],
    mutations: [],
    persistentIds: [],
    extensions: [],
    divergences: [],
    candidates: [],
    incomplete: new Set(),
    expansion: undefined,
    opcodes: 0,
    retained: 0,
  };
}

/** More objects than this in an expanded tree, and a thousand for each byte of the file, is an expansion bomb. */
const expansionObjects = 100_000_000;
const expansionPerByte = 1_000;
const factsKept = 1_000;
/** Items of a tuple that are kept whatever the bound says: more than any call has arguments. */
const tupleKept = 1_000;

/**
 * The state of one stream. Where CPython raises, `fail` notes the place once and the machine reads on with a value it
 * does not know: it always sees at least what any CPython sees.
 */
export class Machine {
  readonly cursor: Cursor;
  readonly collected: Collected;
  readonly stack: Value[] = [];
  readonly marks: number[] = [];
  readonly streamIndex: number;
  readonly start: number;
  protocol = 0;
  highestProtocol = 0;
  opcode = 0;
  /** Offset of the opcode that runs. */
  offset: number;
  ending: StreamEnd | undefined;
  result: Value | undefined;
  failure: (Place & { readonly message: string }) | undefined;
  readonly #dense: (Value | undefined)[] = [];
  readonly #sparse = new Map<number | string, Value>();
  #memoCount = 0;

  constructor(start: number, end: number, byFrames: boolean, collected: Collected) {
    this.collected = collected;
    this.streamIndex = collected.streams.length;
    this.start = start;
    this.offset = start;
    this.cursor = new Cursor({ start, end }, byFrames, {
      crossed: (frameEnd) =>
        this.diverge('frame-crossed', `the frame that ends at byte ${frameEnd} ends inside this opcode`),
      nested: (frameEnd) =>
        this.diverge('frame-nested', `a frame begins before the frame that ends at byte ${frameEnd} is over`),
      beyondEnd: () => this.diverge('frame-beyond-end', 'a frame is longer than the bytes that are left'),
      lineAtEnd: () => this.diverge('line-at-end', 'the last text line has no newline'),
    });
  }

  place(): Place {
    return { offset: this.offset, opcode: this.opcode, stream: this.streamIndex };
  }

  fail(message: string): void {
    this.failure ??= { ...this.place(), message };
  }

  diverge(kind: Divergence['kind'], message: string): void {
    const known = this.collected.divergences;
    const last = known.at(-1);
    if (known.length >= factsKept || (last?.kind === kind && last.offset === this.offset)) return;
    known.push({ ...this.place(), kind, message });
  }

  get fence(): number {
    return this.marks.at(-1) ?? 0;
  }

  push(value: Value): void {
    this.stack.push(value);
  }

  pop(): Value {
    if (this.stack.length > this.fence) return this.stack.pop() ?? null;
    return this.#underflow();
  }

  top(): Value {
    if (this.stack.length > this.fence) return this.stack[this.stack.length - 1] ?? null;
    return this.#underflow();
  }

  /** Everything above the topmost mark, which goes away with it. */
  popMark(): Value[] {
    const mark = this.marks.pop();
    if (mark === undefined) {
      this.fail('there is no mark on the stack');
      return [];
    }
    return this.stack.splice(mark);
  }

  #underflow(): Value {
    this.fail('the stack is empty');
    return { kind: 'unknown', why: 'an empty stack' };
  }

  memoize(): void {
    this.remember(this.#memoCount);
  }

  remember(key: number | string): void {
    const value = this.top();
    if (typeof key === 'number' && key <= this.#dense.length + 1024 && key < limits.pickleValues) {
      for (let index = this.#dense.length; index < key; index++) this.#dense.push(this.#sparse.get(index));
      if (this.#dense[key] === undefined) this.#memoCount += 1;
      this.#dense[key] = value;
      return;
    }
    if (!this.#sparse.has(key)) this.#memoCount += 1;
    this.#sparse.set(key, value);
  }

  recall(key: number | string): Value {
    const dense = typeof key === 'number' ? this.#dense[key] : undefined;
    const value = dense === undefined ? this.#sparse.get(key) : dense;
    if (value !== undefined) return value;
    this.fail(`the memo has no entry ${String(key).slice(0, 40)}`);
    return { kind: 'unknown', why: 'a missing memo entry' };
  }

  /** True while the values held stay within `limits.pickleValues`. */
  get withinBounds(): boolean {
    return this.#memoCount + this.stack.length + this.marks.length <= limits.pickleValues;
  }

  /** May a container keep this many more items? */
  retain(count: number): boolean {
    if (this.collected.retained + count > limits.pickleRetainedItems) return false;
    this.collected.retained += count;
    return true;
  }

  /** A value becomes an item, an argument or state: a global among them is no longer only something to call. */
  asData(value: Value): void {
    if (isNode(value) && value.kind === 'import') value.usedAsValue ??= this.place();
  }

  weigh(weight: number): number {
    if (weight > expansionObjects && weight > expansionPerByte * (this.cursor.end - this.start)) {
      this.collected.expansion ??= { ...this.place(), objects: weight };
    }
    return Math.min(weight, Number.MAX_SAFE_INTEGER);
  }

  tuple(items: readonly Value[]): Value {
    let weight = 1;
    for (const item of items) {
      this.asData(item);
      weight += weightOf(item);
    }
    const kept = items.length > tupleKept && !this.retain(items.length) ? items.slice(0, tupleKept) : items;
    return { kind: 'tuple', items: kept, weight: this.weigh(weight) };
  }

  import(via: ImportNode['via'], moduleValue: Value, nameValue: Value): ImportNode {
    const known = typeof moduleValue === 'string' && typeof nameValue === 'string';
    const key = known
      ? `${moduleValue}\n${nameValue}\n${this.protocol < 3 ? 'mapped' : this.protocol < 4 ? 'plain' : 'dotted'}`
      : `\n\n${this.streamIndex}\n${this.offset}`;
    const found = this.collected.imports.get(key);
    if (found !== undefined) {
      found.count += 1;
      return found;
    }
    const mapped =
      known && this.protocol < 3
        ? mapPython2Name(moduleValue, nameValue)
        : { module: moduleValue, name: nameValue };
    const node: ImportNode = {
      kind: 'import',
      via,
      ...this.place(),
      module: known ? moduleValue : undefined,
      name: known ? nameValue : undefined,
      mappedModule: known && typeof mapped.module === 'string' ? mapped.module : undefined,
      mappedName: known && typeof mapped.name === 'string' ? mapped.name : undefined,
      computed: known ? undefined : [moduleValue, nameValue],
      protocol: this.protocol,
      count: 1,
      usedAsValue: undefined,
    };
    if (this.collected.imports.size < limits.pickleImports) this.collected.imports.set(key, node);
    else this.collected.incomplete.add(`it imports more than ${limits.pickleImports} names`);
    return node;
  }

  call(via: CallKind, callee: Value, args: Value, keywords?: Value): CallNode {
    const node: CallNode = {
      kind: 'call',
      via,
      ...this.place(),
      callee,
      args,
      keywords,
      state: undefined,
      stateCount: 0,
      items: undefined,
      appended: undefined,
    };
    if (this.collected.calls.length < limits.pickleCalls) this.collected.calls.push(node);
    else this.collected.incomplete.add(`it makes more than ${limits.pickleCalls} calls`);
    return node;
  }

  mutate(via: Mutation['via'], target: Value, value: Value): void {
    if (!isNode(target)) return;
    if (target.kind === 'call') {
      if (via === 'BUILD') target.stateCount += 1;
      if (via === 'BUILD') target.state ??= { ...this.place(), value };
      else if (via === 'SETITEM') target.items ??= this.place();
      else target.appended ??= this.place();
    }
    if (target.kind === 'call' && via !== 'BUILD') return;
    if (target.kind === 'call' && target.stateCount === 1) return;
    if (this.collected.mutations.length < limits.pickleCalls) {
      this.collected.mutations.push({ ...this.place(), via, target, value });
    } else this.collected.incomplete.add(`it changes more than ${limits.pickleCalls} objects`);
  }

  suspect(candidate: Omit<Candidate, keyof Place>): void {
    if (this.collected.candidates.length < limits.pickleNestedCount) {
      this.collected.candidates.push({ ...this.place(), ...candidate });
    } else {
      this.collected.incomplete.add(`more than ${limits.pickleNestedCount} of its strings look like pickles`);
    }
  }

  finish(ending: StreamEnd): void {
    this.ending = ending;
    this.collected.streams.push({
      start: this.start,
      end: Math.min(this.cursor.position, this.cursor.end),
      protocol: this.highestProtocol,
      opcodes: this.opcode,
      ending,
      failure: this.failure,
      result: this.result,
    });
  }
}
