import { type CallNode, type ImportNode, isNode, type Value } from '#artifact/formats/pickle/values.ts';
import type { PickleReading } from '#artifact/formats/pickle/reading.ts';
import type { Review } from './reviewed.ts';

const plainCodecs = new Set(['latin1', 'latin-1', 'ascii', 'utf-8', 'utf8']);

/** Why a reviewed callable must not be called so; undefined where it may. */
export function argumentProblem(
  call: CallNode,
  review: Review,
  {
    reviewOf,
    reading,
  }: { readonly reviewOf: (node: ImportNode) => Review | undefined; readonly reading: PickleReading },
): string | undefined {
  if (review.call === undefined) return 'it may be imported but not called';
  const args = isNode(call.args) && call.args.kind === 'tuple' ? call.args.items : undefined;
  if (args === undefined) return 'its arguments are not a tuple';
  switch (review.call) {
    case 'any':
    case 'sets-fourth':
      return undefined;
    case 'latin1':
      return args.length === 2 && (args[1] === 'latin1' || args[1] === 'latin-1') && isText(args[0])
        ? undefined
        : 'only the codec latin1 is reviewed';
    case 'no-length':
      return lengthProblem(args);
    case 'builds-first':
      return buildProblem(args, reviewOf);
    case 'pickle-bytes':
      if (args.length !== 1 || !isPickleBytes(args[0])) {
        return 'its argument is not a byte string of the file that is a pickle';
      }
      return wasRead(args[0], reading) ? undefined : 'the pickle in its argument was not read to its end';
    case 'carries-call':
      return carriedCall(call) === undefined
        ? 'its arguments are not (function, class, arguments, state)'
        : undefined;
  }
}

function isText(value: Value | undefined): boolean {
  return typeof value === 'string' || (value !== undefined && isNode(value) && value.kind === 'text');
}

function lengthProblem(args: readonly Value[]): string | undefined {
  const [first, codec] = args;
  if (typeof first === 'number' || typeof first === 'bigint') return 'a length could exhaust memory';
  if (codec === undefined || (typeof codec === 'string' && plainCodecs.has(codec))) return undefined;
  return 'only plain codecs are reviewed';
}

function buildProblem(
  args: readonly Value[],
  reviewOf: (node: ImportNode) => Review | undefined,
): string | undefined {
  for (const [index, value] of args.slice(0, 2).entries()) {
    if (!isNode(value) || value.kind !== 'import') {
      if (index === 0) return 'what it builds is not an imported class';
      continue;
    }
    // an unreviewed class is reported at its import
    const review = reviewOf(value);
    if (review !== undefined && review.role !== 'class') return 'what it builds is not a class';
  }
  return undefined;
}

/** A literal, or the `_codecs.encode` call that spells one below protocol 3. Its content was read as a nested pickle. */
function isPickleBytes(value: Value | undefined): boolean {
  if (value === undefined || !isNode(value)) return false;
  if (value.kind === 'bytes') return /^\x80[\x02-\x05]/.test(value.head);
  if (value.kind !== 'call' || !isNode(value.args) || value.args.kind !== 'tuple') return false;
  const encodes =
    isNode(value.callee) && value.callee.kind === 'import' && value.callee.mappedModule === '_codecs';
  const text = value.args.items[0];
  if (!encodes || text === undefined) return false;
  if (typeof text === 'string') return /^\x80[\x02-\x05]/.test(text);
  return isNode(text) && text.kind === 'text' && /^\xc2\x80[\x02-\x05]/.test(text.head);
}

/** Was this literal read as a nested pickle to its end? One without a place in the file: was every string? */
function wasRead(
  value: Value | undefined,
  { stringsRead, incomplete }: Pick<PickleReading, 'stringsRead' | 'incomplete'>,
): boolean {
  if (value === undefined || !isNode(value)) return incomplete.length === 0;
  if (value.kind === 'bytes' || value.kind === 'text') return stringsRead.has(value.offset);
  if (value.kind !== 'call' || !isNode(value.args) || value.args.kind !== 'tuple') return false;
  return wasRead(value.args.items[0], { stringsRead, incomplete });
}

/** The call that `_rebuild_from_type_v2(function, class, arguments, state)` makes. */
export function carriedCall(call: CallNode): CallNode | undefined {
  if (!isNode(call.args) || call.args.kind !== 'tuple') return undefined;
  const [callee, , args, state] = call.args.items;
  if (callee === undefined || args === undefined || state === undefined || call.args.items.length !== 4)
    return undefined;
  const { offset, opcode, stream, via } = call;
  return {
    kind: 'call',
    via,
    offset,
    opcode,
    stream,
    callee,
    args,
    keywords: undefined,
    state: undefined,
    stateCount: 0,
    items: undefined,
    appended: undefined,
  };
}
