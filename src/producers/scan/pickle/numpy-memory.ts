import {
  type CallNode,
  type ImportNode,
  isNode,
  type Node,
  type TupleNode,
  type Value,
} from '#artifact/formats/pickle/values.ts';

/**
 * What numpy would do with memory that is not its own. An array whose dtype holds objects takes its elements from a
 * list; given bytes instead, it would take them as pointers. `numpy.dtype.__setstate__` believes what the state says
 * about flags, fields and sizes, so a state that contradicts itself reads memory beyond the array, too.
 */
export function numpyProblem(call: CallNode): string | undefined {
  const name = numpyName(call.callee);
  if (name === undefined) return undefined;
  if (name === 'dtype') return dtypeProblem(call);
  const args = itemsOf(call.args);
  const [, , stateType, , content] = call.state === undefined ? [] : itemsOf(call.state.value);
  if (stateType !== undefined) return contentProblem(stateType, content ?? null);
  const types = args.filter((value) => isCallOf(value, 'dtype'));
  const raw = args.find((value) => isRaw(value));
  return raw === undefined
    ? undefined
    : types.map((type) => contentProblem(type, raw)).find((problem) => problem !== undefined);
}

/** Does this callable make an array, an element or a dtype of numpy? Then its state is set once, by whoever wrote it. */
export function isNumpyMaker(callee: Value): boolean {
  return numpyName(callee) !== undefined;
}

const makers = new Set([
  'numpy.dtype',
  'numpy.ndarray',
  'numpy.matrix',
  'numpy.core.multiarray._reconstruct',
  'numpy.core.multiarray.scalar',
  'numpy.core.numeric._frombuffer',
]);

/** The last part of the name of one of `makers`; `copyreg._reconstructor` counts as what it builds. */
function numpyName(callee: Value): string | undefined {
  if (!isImport(callee)) return undefined;
  const module = callee.mappedModule?.replace(/^numpy\._core\b/, 'numpy.core');
  const full = `${module}.${callee.mappedName}`;
  return makers.has(full) ? callee.mappedName : undefined;
}

function isImport(value: Value | undefined): value is ImportNode {
  return value !== undefined && isNode(value) && value.kind === 'import';
}

function isCallOf(value: Value | undefined, name: string): value is CallNode {
  return value !== undefined && isNode(value) && value.kind === 'call' && numpyName(value.callee) === name;
}

function itemsOf(value: Value | undefined): readonly Value[] {
  return value !== undefined && isNode(value) && (value.kind === 'tuple' || value.kind === 'list')
    ? value.items
    : [];
}

/** Bytes of the file, or what spells them below protocol 3, or a buffer from elsewhere. */
function isRaw(value: Value): boolean {
  if (!isNode(value)) return typeof value === 'string';
  return ['bytes', 'text', 'call', 'buffer'].includes(value.kind) && !isCallOf(value, 'dtype');
}

function contentProblem(type: Value, content: Value): string | undefined {
  const objects = holdsObjects(type, new Set());
  if (objects === false) return undefined;
  if (objects === undefined)
    return isPlainData(content) ? undefined : 'the type of its elements is not known';
  return isPlainData(content) ? undefined : 'bytes of the file would become pointers to objects';
}

function isPlainData(content: Value): boolean {
  return isNode(content) ? content.kind === 'list' : content === null;
}

/** Do elements of this type hold pointers to objects? Undefined: that is not known. */
function holdsObjects(type: Value, seen: Set<Node>): boolean | undefined {
  if (!isCallOf(type, 'dtype') || seen.has(type)) return undefined;
  seen.add(type);
  const [subarray, fields] = partsOf(type);
  const inner = [...subarray, ...fields.map(({ type: of }) => of)].map((part) => holdsObjects(part, seen));
  seen.delete(type);
  if (namesObjects(itemsOf(type.args)[0] ?? null) || inner.includes(true)) return true;
  return inner.includes(undefined) ? undefined : false;
}

/** `'O8'`, `object`, `[('a', 'O')]`: anything that names objects, whatever else it names. */
function namesObjects(value: Value): boolean {
  if (typeof value === 'string') return value.includes('O') || value.includes('object');
  if (!isNode(value)) return false;
  if (value.kind === 'import') return /^(object_?|ObjectDType)$/.test(value.mappedName ?? '');
  if (value.kind === 'tuple' || value.kind === 'list' || value.kind === 'dict') {
    return value.items.slice(0, 10_000).some((item) => item !== value && namesObjects(item));
  }
  return value.kind !== 'call' || !isCallOf(value, 'dtype');
}

interface Field {
  readonly type: Value;
  readonly offset: Value;
}

function stateOf(type: CallNode): readonly Value[] {
  return type.state === undefined ? [] : itemsOf(type.state.value);
}

/** The element type of a subarray, and the fields of a structure. */
function partsOf(type: CallNode): readonly [readonly Value[], readonly Field[]] {
  const [, , subarray, , fields] = stateOf(type);
  const base = itemsOf(subarray)[0];
  const found: Field[] = [];
  if (fields !== undefined && isNode(fields) && fields.kind === 'dict') {
    for (let index = 1; index < fields.items.length; index += 2) {
      const [of = null, offset = null] = itemsOf(fields.items[index]);
      found.push({ type: of, offset });
    }
  }
  return [base === undefined ? [] : [base], found];
}

/** Flags of `numpy.dtype`: elements are counted references, lists are pickled, elements are pointers. */
const objectFlags = 0x01 | 0x02 | 0x04;

function dtypeProblem(type: CallNode): string | undefined {
  if (type.state === undefined) return undefined;
  const { value } = type.state;
  if (!isNode(value) || value.kind !== 'tuple') return 'the state of the dtype is not a tuple';
  const objects = holdsObjects(type, new Set());
  if (objects === undefined) return 'the dtype is made of something that is no dtype';
  return flagsProblem(value, objects) ?? sizesProblem(type, value);
}

function flagsProblem({ items }: TupleNode, objects: boolean): string | undefined {
  const flags = items[7] ?? 0;
  if (items.length > 7 && typeof flags !== 'number') return 'the flags of the dtype are not a number';
  if (typeof flags !== 'number' || items.length <= 7) {
    return objects ? 'a dtype of objects does not say that it is one' : undefined;
  }
  if (objects && (flags & 0x01) === 0) return 'a dtype of objects says that it holds none';
  if (!objects && (flags & objectFlags) !== 0) return 'a dtype without objects says that it holds some';
  return undefined;
}

function sizesProblem(type: CallNode, { items }: TupleNode): string | undefined {
  const [, , subarray, , fields] = items;
  const whole = sizeOf(type, 0);
  const [, parts] = partsOf(type);
  for (const { type: of, offset } of parts) {
    const size = sizeOf(of, 0);
    if (typeof offset !== 'number' || offset < 0 || size === undefined || whole === undefined) {
      return 'the place of a field is not known';
    }
    if (offset + size > whole) return 'a field lies outside of the element';
  }
  if (fields !== undefined && isNode(fields) && (fields.kind !== 'dict' || fields.dropped > 0)) {
    return 'the fields of the dtype are not known';
  }
  if (subarray === undefined || subarray === null) return undefined;
  const [base = null, shape = null] = itemsOf(subarray);
  const size = sizeOf(base, 0);
  const lengths = typeof shape === 'number' ? [shape] : itemsOf(shape);
  const counts = lengths.filter((length) => typeof length === 'number' && length >= 0);
  if (size === undefined || whole === undefined || counts.length !== lengths.length) {
    return 'the size of a subarray is not known';
  }
  const total = lengths.reduce<number>((product, length) => product * Number(length), size);
  return total > whole ? 'a subarray is larger than the element' : undefined;
}

/** Bytes of one element: what a flexible type says in its state, what its code says otherwise. */
function sizeOf(type: Value, depth: number): number | undefined {
  if (!isCallOf(type, 'dtype') || depth > 64) return undefined;
  const size = stateOf(type)[5];
  const code = itemsOf(type.args)[0];
  const match = typeof code === 'string' ? /^[<>|=]?([a-zA-Z?])(\d*)/.exec(code) : null;
  const [, letter = '', digits = ''] = match ?? [];
  const flexible = isImport(code)
    ? /^(record|void)$/.test(code.mappedName ?? '')
    : letter !== '' && 'VSUa'.includes(letter);
  if (flexible && typeof size === 'number' && size >= 0) return size;
  if (letter === '?') return 1;
  if (letter === 'M' || letter === 'm') return 8;
  if (letter === 'O') return 8;
  if (digits === '') return undefined;
  return letter === 'U' ? 4 * Number(digits) : Number(digits);
}
