/**
 * What the symbolic machine knows of a Python object. `None`, `bool`, `int` and short `str` are JavaScript values; all
 * else is a node. Nodes are shared wherever the pickle shares them, so an expansion bomb costs what its opcodes cost.
 */
export type Value = null | boolean | number | bigint | string | Node;

export type Node =
  | FloatNode
  | BytesNode
  | TextNode
  | TupleNode
  | ListNode
  | DictNode
  | SetNode
  | ImportNode
  | CallNode
  | PersistentNode
  | ExtensionNode
  | BufferNode
  | UnknownNode;

export interface FloatNode {
  readonly kind: 'float';
  readonly value: number;
}

/** Bytes of the file. `content` is there for short ones, `head` (at most 16) always; one UTF-16 unit per byte. */
export interface BytesNode {
  readonly kind: 'bytes';
  readonly offset: number;
  readonly lengthBytes: number;
  readonly mutable: boolean;
  readonly content: string | undefined;
  readonly head: string;
}

/** A `str` too long to be kept: where its encoded form stands, and how it begins. */
export interface TextNode {
  readonly kind: 'text';
  readonly offset: number;
  readonly lengthBytes: number;
  readonly head: string;
}

export interface TupleNode {
  readonly kind: 'tuple';
  readonly items: readonly Value[];
  /** Objects in the fully expanded tree, sharing ignored. */
  readonly weight: number;
}

/** `dropped` counts items beyond `limits.pickleRetainedItems`: seen, judged where they were made, not kept. */
export interface ListNode {
  readonly kind: 'list';
  readonly items: Value[];
  dropped: number;
  weight: number;
}

/** `items` alternates keys and values. */
export interface DictNode {
  readonly kind: 'dict';
  readonly items: Value[];
  dropped: number;
  weight: number;
}

export interface SetNode {
  readonly kind: 'set';
  readonly frozen: boolean;
  readonly items: Value[];
  dropped: number;
  weight: number;
}

export interface Place {
  /** Byte offset in the source of the opcode. */
  readonly offset: number;
  /** Index of the opcode in its stream, from 0. */
  readonly opcode: number;
  /** Index of the stream in the file, from 0. */
  readonly stream: number;
}

/**
 * A global that the pickle imports, once per distinct (module, name, mapping rules). `module` and `name` are undefined
 * where the stream computes them at run time; then `computed` holds what they are computed from.
 */
export interface ImportNode extends Place {
  readonly kind: 'import';
  readonly via: 'GLOBAL' | 'INST' | 'STACK_GLOBAL';
  /** As the stream spells them. */
  readonly module: string | undefined;
  readonly name: string | undefined;
  /** After the Python-2 mapping that unpicklers apply below protocol 3; equal to the above where none applies. */
  readonly mappedModule: string | undefined;
  readonly mappedName: string | undefined;
  readonly computed: readonly [Value, Value] | undefined;
  /** From protocol 4 on a name is walked component by component at its dots. */
  readonly protocol: number;
  count: number;
  /** First place where the global itself becomes data (item, argument, state) and not only a callee. */
  usedAsValue: Place | undefined;
}

export type CallKind = 'REDUCE' | 'OBJ' | 'INST' | 'NEWOBJ' | 'NEWOBJ_EX';

/** A call, and also the object it returns. */
export interface CallNode extends Place {
  readonly kind: 'call';
  readonly via: CallKind;
  readonly callee: Value;
  /** A tuple unless the stream passes something else. */
  readonly args: Value;
  readonly keywords: Value | undefined;
  /** First BUILD on the result, first SETITEM(S), first APPEND(S) or ADDITEMS. */
  state: (Place & { readonly value: Value }) | undefined;
  stateCount: number;
  items: Place | undefined;
  appended: Place | undefined;
}

/** The loader's own `persistent_load(id)`. */
export interface PersistentNode extends Place {
  readonly kind: 'persistent';
  readonly id: Value;
}

/** `copyreg` extension code: its name is known to the loading process only. */
export interface ExtensionNode extends Place {
  readonly kind: 'extension';
  readonly code: number;
}

/** Out-of-band buffer (PEP 574). */
export interface BufferNode {
  readonly kind: 'buffer';
}

/** An integer beyond 64 bytes, or what a stack that is too short would have given. */
export interface UnknownNode {
  readonly kind: 'unknown';
  readonly why: string;
}

export function isNode(value: Value): value is Node {
  return typeof value === 'object' && value !== null;
}

/** Size of the expanded tree under this value; 1 for a leaf. */
export function weightOf(value: Value): number {
  if (!isNode(value)) return 1;
  return 'weight' in value ? value.weight : 1;
}
