/** Numbers from a seed (mulberry32): the same seed gives the same streams on every machine. */
export interface Random {
  below(bound: number): number;
  chance(probability: number): boolean;
  pick<T>(choices: readonly [T, ...T[]]): T;
}

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    chance: (probability) => next() < probability,
    pick: (choices) => choices[below(choices.length)] ?? choices[0],
  };
}

interface Draft {
  readonly random: Random;
  readonly parts: Buffer[];
  /** Sizes of the stack segments between marks, innermost last. */
  readonly depths: number[];
  memo: number;
  name: number;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
};

function emit(draft: Draft, ...parts: readonly (string | Buffer | number)[]): void {
  for (const part of parts) {
    draft.parts.push(
      typeof part === 'number'
        ? Buffer.of(part)
        : typeof part === 'string'
          ? Buffer.from(part, 'latin1')
          : part,
    );
  }
}

function grow(draft: Draft, by: number): void {
  draft.depths.push((draft.depths.pop() ?? 0) + by);
}

function depth(draft: Draft): number {
  return draft.depths.at(-1) ?? 0;
}

function freshName(draft: Draft): string {
  draft.name += 1;
  const { random } = draft;
  return random.pick([
    `m${draft.name}`,
    `m${draft.name}.n${draft.name}`,
    '__builtin__',
    'copy_reg',
    'os',
    'system',
    `n\u00e9${draft.name}`,
    `\u4e16${draft.name}`,
    `x${draft.name}\\`,
    `q'${draft.name}"`,
    '',
  ]);
}

/** Pushes a text by one of the nine ways that protocols 0 to 5 have. */
function pushText(draft: Draft, text: string): void {
  const { random } = draft;
  const utf8 = Buffer.from(text, 'utf8');
  const latin1 = Buffer.from(text, 'latin1');
  const quote = random.pick(["'", '"']);
  const escaped = (mark: string): string =>
    Array.from(text, (character) => {
      const code = character.codePointAt(0) ?? 0;
      const plain = code < 0x7f && code >= 0x20 && character !== '\\' && character !== mark;
      if (plain && random.chance(0.7)) return character;
      if (mark === 'u') return `\\u${code.toString(16).padStart(4, '0')}`;
      if (code > 0xff) return '?';
      return random.chance(0.5)
        ? `\\x${code.toString(16).padStart(2, '0')}`
        : `\\${code.toString(8).padStart(3, '0')}`;
    }).join('');
  const ways: readonly [() => void, ...(() => void)[]] = [
    () => emit(draft, 0x8c, Math.min(255, utf8.length), utf8.subarray(0, 255)),
    () => emit(draft, 'X', u32(utf8.length), utf8),
    () => emit(draft, 0x8d, u64(BigInt(utf8.length)), utf8),
    () => emit(draft, 'U', Math.min(255, latin1.length), latin1.subarray(0, 255)),
    () => emit(draft, 'T', u32(latin1.length), latin1),
    () => emit(draft, 'S', quote, escaped(quote), quote, '\n'),
    () => emit(draft, 'V', escaped('u'), '\n'),
    () => emit(draft, 'S', quote, text.replace(/[^ -~]|['"\\]/g, ''), quote, '\n'),
    () => emit(draft, 'V', text.replace(/[^ -~]/g, ''), '\n'),
  ];
  random.pick(ways)();
  grow(draft, 1);
}

function pushLiteral(draft: Draft): void {
  const { random } = draft;
  const number = random.pick([
    '0',
    '1',
    '-7',
    '00',
    '01',
    '0x1f',
    '1_0',
    ' 5',
    '+3',
    '07',
    '5L',
    '',
    '9'.repeat(20),
    'x',
  ]);
  const ways: readonly [() => void, ...(() => void)[]] = [
    () => emit(draft, random.pick(['N', '\x88', '\x89', '}', ']', ')', '\x8f'])),
    () => emit(draft, 'K', random.below(256)),
    () => emit(draft, 'M', random.below(256), random.below(256)),
    () => emit(draft, 'J', u32(random.below(2 ** 31))),
    () => emit(draft, random.chance(0.5) ? 'I' : 'L', number, '\n'),
    () => emit(draft, 'F', random.pick(['1.5', 'inf', 'nan', '1_0.0', ' 2', '1e5', 'x']), '\n'),
    () => emit(draft, 'G', u64(BigInt(random.below(2 ** 31)))),
    () => emit(draft, 0x8a, 3, 1, 2, 3),
    () => emit(draft, 0x8b, u32(random.chance(0.9) ? 2 : -1), 1, 2),
    () => emit(draft, 'C', 2, 'ab'),
    () => emit(draft, 'B', u32(random.chance(0.95) ? 3 : 2 ** 31 + 5), 'xyz'),
    () => emit(draft, 0x8e, u64(2n), 'qq'),
    () => emit(draft, 0x96, u64(random.chance(0.97) ? 2n : 1n << 40n), 'zz'),
    () => emit(draft, random.pick(['\x97', 'Ppersistent\n'])),
    () => emit(draft, 0x82, random.pick([0, 1, 2, 9])),
    () => emit(draft, 0x83, random.pick([44, 1]), random.pick([1, 0])),
    () => emit(draft, 0x84, u32(random.pick([70000, 1, 0, -3]))),
  ];
  random.pick(ways)();
  grow(draft, 1);
}

function memoOps(draft: Draft): void {
  const { random } = draft;
  const key = random.chance(0.7) ? random.below(draft.memo + 2) : random.below(70_000);
  const text = random.pick([
    String(key),
    ` ${key}`,
    `+${key}`,
    `0${key}`,
    `${key}_0`,
    `${key} `,
    `-${key}`,
    '',
    'k',
    `${key}\0z`,
  ]);
  const plain = random.chance(0.8) ? String(key) : text;
  if (random.chance(0.5) && depth(draft) > 0) {
    const ways: readonly [() => void, ...(() => void)[]] = [
      () => emit(draft, 0x94),
      () => emit(draft, 'q', key & 255),
      () => emit(draft, 'r', u32(key)),
      () => emit(draft, 'p', plain, '\n'),
    ];
    random.pick(ways)();
    draft.memo += 1;
    return;
  }
  const ways: readonly [() => void, ...(() => void)[]] = [
    () => emit(draft, 'h', key & 255),
    () => emit(draft, 'j', u32(key)),
    () => emit(draft, 'g', plain, '\n'),
  ];
  random.pick(ways)();
  grow(draft, 1);
}

function importOps(draft: Draft): void {
  const { random } = draft;
  const lines = (): string => `${Buffer.from(freshName(draft), 'utf8').toString('latin1')}\n`;
  if (random.chance(0.35)) emit(draft, 'c', lines(), lines());
  else if (random.chance(0.2)) {
    emit(draft, '(');
    emit(draft, 'i', lines(), lines());
  } else {
    pushText(draft, freshName(draft));
    if (random.chance(0.3)) memoOps(draft);
    if (random.chance(0.1)) emit(draft, '2', '0');
    if (random.chance(0.85)) pushText(draft, freshName(draft));
    if (random.chance(0.2)) emit(draft, 0x94);
    emit(draft, 0x93);
    grow(draft, -2);
  }
  grow(draft, 1);
}

function objectOps(draft: Draft): void {
  const { random } = draft;
  const size = depth(draft);
  const ways: readonly [() => void, ...(() => void)[]] = [
    () => (emit(draft, '('), void draft.depths.push(0)),
    () => closeMark(draft),
    () => closeMark(draft),
    () => (size >= 1 ? emit(draft, 0x85) : emit(draft, 'N')),
    () => (size >= 2 ? (emit(draft, 0x86), grow(draft, -1)) : undefined),
    () => (size >= 3 ? (emit(draft, 0x87), grow(draft, -2)) : undefined),
    () => (size >= 2 ? (emit(draft, random.pick(['R', '\x81', 'b', 'a'])), grow(draft, -1)) : undefined),
    () => (size >= 1 ? (emit(draft, ')R'), undefined) : undefined),
    () => (size >= 3 ? (emit(draft, random.pick(['\x92', 's'])), grow(draft, -2)) : undefined),
    () => (size >= 1 ? (emit(draft, '2'), grow(draft, 1)) : undefined),
    () => (size >= 2 ? (emit(draft, '0'), grow(draft, -1)) : undefined),
    () => (size >= 1 ? emit(draft, 'Q') : undefined),
    () => emit(draft, 0x98),
    () => emit(draft, 0x80, random.below(7)),
  ];
  random.pick(ways)();
}

function closeMark(draft: Draft): void {
  if (draft.depths.length < 2) return;
  const { random } = draft;
  const inner = draft.depths.pop() ?? 0;
  const makes = random.pick(['t', 'l', 'd', '\x91', '1', 'e', 'u', '\x90', 'o']);
  emit(draft, makes);
  if (!['1', 'e', 'u', '\x90'].includes(makes) || inner < 0) grow(draft, 1);
}

/** Cuts the body into frames: honest ones, or ones whose length lies. */
function framed(random: Random, parts: readonly Buffer[]): Buffer {
  const out: Buffer[] = [];
  for (let from = 0; from < parts.length;) {
    const count = 1 + random.below(Math.max(1, parts.length));
    const body = Buffer.concat(parts.slice(from, from + count));
    const lie = random.chance(0.25) ? random.pick([-3, -2, -1, 1, 2, 5, 40]) : 0;
    if (random.chance(0.8)) out.push(Buffer.of(0x95), u64(BigInt(Math.max(0, body.length + lie))));
    out.push(body);
    from += count;
  }
  return Buffer.concat(out);
}

function mutate(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let count = 1 + random.below(3); count > 0 && copy.length > 0; count--) {
    copy[random.below(copy.length)] = random.below(256);
  }
  return copy;
}

function onePickle(random: Random, names: number): Buffer {
  const draft: Draft = { random, parts: [], depths: [0], memo: 0, name: names };
  for (let count = 2 + random.below(14); count > 0; count--) {
    const choice = random.below(10);
    if (choice < 2) pushText(draft, freshName(draft));
    else if (choice < 3) pushLiteral(draft);
    else if (choice < 5) memoOps(draft);
    else if (choice < 7) importOps(draft);
    else objectOps(draft);
  }
  if (random.chance(0.95)) emit(draft, '.');
  const body = random.chance(0.3) ? framed(random, draft.parts) : Buffer.concat(draft.parts);
  return random.chance(0.7) ? Buffer.concat([Buffer.of(0x80, random.pick([2, 3, 4, 4, 5])), body]) : body;
}

/**
 * One stream (or several in a row) of opcodes that mostly make sense: the stack is tracked, names and memo keys come in
 * all spellings, frames may lie, and a part of the streams is cut or mutated afterwards.
 */
export function generateStream(random: Random): Buffer {
  const count = random.chance(0.1) ? 2 : 1;
  let bytes = Buffer.concat(Array.from({ length: count }, (_, index) => onePickle(random, index * 100)));
  if (random.chance(0.08)) bytes = bytes.subarray(0, random.below(bytes.length + 1));
  return random.chance(0.12) ? mutate(random, bytes) : bytes;
}
