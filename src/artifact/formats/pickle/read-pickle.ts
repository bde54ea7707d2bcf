import type { ByteSource } from '#artifact/blob-store.ts';
import { limits } from '#lib/limits.ts';
import { endOfBytes, lineTooLong, needBytes, windowBytes } from './cursor.ts';
import { type Candidate, type Collected, emptyCollection, Machine } from './machine.ts';
import { objectSteps } from './object-steps.ts';
import type { NestedPickle, PickleOptions, PickleReading, PickleStream } from './reading.ts';
import { boundsEvery, literalSteps, type Step } from './steps.ts';
import { findPickles, isZero } from './trailing.ts';
import type { Place } from './values.ts';

const steps: readonly (Step | undefined)[] = Array.from(
  { length: 256 },
  (_, code) => literalSteps[code] ?? objectSteps[code],
);

/** Runs opcodes until the stream ends or the window must be refilled. */
function run(machine: Machine): 'refill' | 'ended' {
  const { cursor } = machine;
  let frameEnd = cursor.frameEnd;
  let untilCheck = boundsEvery;
  try {
    for (;;) {
      machine.offset = cursor.position;
      frameEnd = cursor.frameEnd;
      const step = steps[cursor.bytes[cursor.take(1)] ?? 0];
      if (step === undefined) {
        machine.fail('there is no such opcode');
        machine.finish('unknown-opcode');
        return 'ended';
      }
      step(machine);
      machine.opcode += 1;
      if (machine.ending !== undefined) break;
      if (--untilCheck === 0) {
        untilCheck = boundsEvery;
        if (beyondBounds(machine)) return 'ended';
      }
    }
  } catch (signal) {
    return interrupt(machine, signal, frameEnd);
  }
  machine.finish(machine.ending);
  return 'ended';
}

function beyondBounds(machine: Machine): boolean {
  const { collected } = machine;
  collected.opcodes += boundsEvery;
  const reason = !machine.withinBounds
    ? `it holds more than ${limits.pickleValues} values at once`
    : collected.opcodes > limits.pickleOpcodes
      ? `it has more than ${limits.pickleOpcodes} opcodes`
      : undefined;
  if (reason === undefined) return false;
  collected.incomplete.add(reason);
  machine.finish('limit');
  return true;
}

function interrupt(machine: Machine, signal: unknown, frameEnd: number): 'refill' | 'ended' {
  const { cursor, collected } = machine;
  if (signal === needBytes) {
    cursor.need += Math.max(0, cursor.position - machine.offset);
    cursor.restart(machine.offset, frameEnd);
    return 'refill';
  }
  if (signal === endOfBytes) {
    cursor.restart(cursor.end, Number.POSITIVE_INFINITY);
    machine.fail('the bytes end inside the pickle');
    machine.finish('end-of-bytes');
    return 'ended';
  }
  if (signal === lineTooLong) {
    collected.incomplete.add(`a text line is longer than ${limits.pickleLineBytes} bytes`);
    machine.finish('limit');
    return 'ended';
  }
  throw signal;
}

/** Small, because a file may hold thousands of short pickles. */
const firstWindowBytes = 1 << 16;

interface Range {
  readonly start: number;
  readonly end: number;
}

async function runStream(
  source: ByteSource,
  range: Range,
  byFrames: boolean,
  collected: Collected,
): Promise<Machine> {
  const machine = new Machine(range.start, range.end, byFrames, collected);
  const { cursor } = machine;
  let from = range.start;
  for (;;) {
    const wanted = Math.max(from === range.start ? firstWindowBytes : windowBytes, cursor.need);
    cursor.need = 0;
    cursor.refill(from, await source.read(from, Math.min(wanted, range.end - from)));
    if (run(machine) === 'ended') return machine;
    from = machine.offset;
  }
}

/** Streams one after another, as repeated `pickle.load` on one file reads them. */
async function runStreams(
  source: ByteSource,
  range: Range,
  byFrames: boolean,
  options: { readonly collected: Collected; readonly maxStreams: number },
): Promise<number> {
  const { collected, maxStreams } = options;
  let start = range.start;
  let framesLie = false;
  while (start < range.end && collected.streams.length < maxStreams) {
    const before = collected.streams.length;
    const machine = await runStream(source, { start, end: range.end }, byFrames, collected);
    const stream = collected.streams[before];
    if (stream === undefined) break;
    framesLie ||= byFrames && machine.cursor.insideFrame;
    if (stream.ending !== 'stop') {
      if (before > 0 && isNoise(stream, collected)) {
        forget(collected, before);
        return start;
      }
      return stream.end;
    }
    start = framesLie ? Math.min(machine.cursor.frameEnd, range.end) : stream.end;
    framesLie = false;
  }
  if (start < range.end && collected.streams.length >= limits.pickleStreams) {
    collected.incomplete.add(`it holds more than ${limits.pickleStreams} pickles`);
  }
  return start;
}

/** What follows a pickle and reads as an unfinished stream without effect is other data, not a pickle. */
function isNoise(stream: { readonly start: number }, collected: Collected): boolean {
  const here = (place: Place): boolean => place.offset >= stream.start;
  return !(
    [...collected.imports.values()].some(here) ||
    collected.calls.some(here) ||
    collected.extensions.some(here) ||
    collected.persistentIds.some(here)
  );
}

function forget(collected: Collected, index: number): void {
  const dropped = collected.streams.splice(index);
  const from = dropped[0]?.start ?? 0;
  for (const facts of [collected.divergences, collected.mutations, collected.candidates]) {
    while ((facts.at(-1)?.offset ?? -1) >= from) facts.pop();
  }
}

/**
 * Reads pickle (protocols 0–5, CPython 3.8–3.15 `_pickle.c`, `pickle.py`, `pickletools.py`) without running it. Where
 * frames lie the file is also read as the C unpickler reads a file. Streams after the first, pickles after a gap and
 * pickles inside strings are read too. Memory is bounded by `limits.pickle*`, not by the file; what a bound cuts off
 * is in `incomplete`. Bytes that are no pickle give a first stream that did not stop; never throws for content.
 */
export async function readPickle(source: ByteSource, options: PickleOptions = {}): Promise<PickleReading> {
  const range = {
    start: options.start ?? 0,
    end: Math.min(options.end ?? source.sizeBytes, source.sizeBytes),
  };
  const maxStreams = options.maxStreams ?? limits.pickleStreams;
  const collected = emptyCollection();
  const end = await runStreams(source, range, false, { collected, maxStreams });
  if (collected.divergences.some(({ kind }) => kind.startsWith('frame') || kind === 'stop-inside-frame')) {
    await readByFrames(source, range, collected, maxStreams);
  }
  const trailing =
    options.maxStreams === undefined && end < range.end
      ? await readTrailing(source, { start: end, end: range.end }, collected)
      : undefined;
  const { nested, stringsRead } = await readNested(source, collected, options.depth ?? 0);
  return {
    sizeBytes: source.sizeBytes,
    streams: withoutDoubtfulFailures(collected),
    imports: [...collected.imports.values()],
    calls: collected.calls,
    mutations: collected.mutations,
    persistentIds: collected.persistentIds,
    extensions: collected.extensions,
    divergences: collected.divergences,
    nested,
    stringsRead,
    expansion: collected.expansion,
    end,
    trailing,
    incomplete: [...collected.incomplete],
  };
}

/** Where frames lie, what fails in one reading may go on in the other: such a failure is not one of every CPython. */
function withoutDoubtfulFailures({ streams, divergences }: Collected): readonly PickleStream[] {
  const lie = divergences.find(({ kind }) => kind.startsWith('frame') || kind === 'stop-inside-frame');
  if (lie === undefined) return streams;
  return streams.map((stream) =>
    stream.failure !== undefined && stream.failure.offset >= lie.offset
      ? { ...stream, failure: undefined }
      : stream,
  );
}

/** The second reading; its facts join the first, its streams do not. */
async function readByFrames(
  source: ByteSource,
  range: Range,
  collected: Collected,
  maxStreams: number,
): Promise<void> {
  const other: Collected = { ...emptyCollection(), imports: collected.imports, calls: collected.calls };
  await runStreams(source, range, true, { collected: other, maxStreams });
  collected.mutations.push(...other.mutations);
  collected.persistentIds.push(...other.persistentIds);
  collected.extensions.push(...other.extensions);
  collected.candidates.push(...other.candidates);
  for (const reason of other.incomplete) collected.incomplete.add(reason);
}

async function readTrailing(
  source: ByteSource,
  range: Range,
  collected: Collected,
): Promise<NonNullable<PickleReading['trailing']>> {
  let opcodes = limits.pickleOpcodes - limits.pickleTrailingOpcodes;
  const cut = (reason: string): void => void collected.incomplete.add(reason);
  for await (const start of findPickles(source, range, cut)) {
    const found: Collected = { ...emptyCollection(), opcodes };
    await runStream(source, { start, end: range.end }, false, found);
    const stream = found.streams[0];
    opcodes += stream?.opcodes ?? 0;
    if (opcodes > limits.pickleOpcodes) {
      collected.incomplete.add('the bytes after the pickle hold too much that could be pickles');
      break;
    }
    if (stream?.ending === 'limit' && stream.failure === undefined) {
      for (const reason of found.incomplete) collected.incomplete.add(reason);
    }
    if (found.imports.size === 0 && found.extensions.length === 0) continue;
    if (stream?.ending !== 'stop' && found.calls.length === 0) continue;
    await runStream(source, { start, end: range.end }, false, collected);
  }
  return {
    offset: range.start,
    lengthBytes: range.end - range.start,
    zero: await isZero(source, range),
  };
}

async function readNested(
  source: ByteSource,
  collected: Collected,
  depth: number,
): Promise<Pick<PickleReading, 'nested' | 'stringsRead'>> {
  const nested: NestedPickle[] = [];
  const stringsRead = new Set<number>();
  for (const candidate of collected.candidates) {
    if (depth >= limits.pickleNestedDepth) {
      collected.incomplete.add(`pickles lie inside pickles more than ${limits.pickleNestedDepth} deep`);
      break;
    }
    const content = await decodeCandidate(source, candidate, collected);
    if (content === undefined) continue;
    const reading = await readPickle(content, { depth: depth + 1 });
    const { offset, opcode, stream, encoding } = candidate;
    const cut = reading.incomplete.length > 0 && reading.streams[0]?.failure === undefined;
    if (cut) collected.incomplete.add(`a pickle inside a string: ${reading.incomplete.join(', ')}`);
    else if (typeof candidate.content !== 'string') stringsRead.add(candidate.content.offset);
    if (cut || isPickle(reading)) nested.push({ offset, opcode, stream, encoding, reading });
  }
  return { nested, stringsRead };
}

function isPickle(reading: PickleReading): boolean {
  const first = reading.streams[0];
  if (first === undefined) return false;
  const end = first.failure?.offset ?? Number.POSITIVE_INFINITY;
  const before = (places: readonly Place[]): boolean => places.some(({ offset }) => offset < end);
  if (before(reading.calls)) return true;
  const acts = before(reading.imports) || before(reading.extensions) || before(reading.nested);
  return acts && (first.protocol > 0 || (first.ending === 'stop' && first.failure === undefined));
}

async function decodeCandidate(
  source: ByteSource,
  { content, encoding }: Candidate,
  collected: Collected,
): Promise<ByteSource | undefined> {
  if (typeof content === 'string') return memorySource(decodeText(Buffer.from(content, 'latin1'), encoding));
  const { offset, lengthBytes } = content;
  if (encoding === 'raw') {
    return {
      sizeBytes: lengthBytes,
      read: async (at, length) =>
        await source.read(offset + at, Math.max(0, Math.min(length, lengthBytes - at))),
    };
  }
  if (lengthBytes > limits.pickleNestedBytes) {
    collected.incomplete.add(`a string of ${lengthBytes} bytes looks like an encoded pickle`);
    return undefined;
  }
  const bytes = await source.read(offset, lengthBytes);
  return memorySource(decodeText(Buffer.from(bytes), encoding));
}

function decodeText(bytes: Buffer, encoding: Candidate['encoding']): Uint8Array {
  if (encoding === 'raw') return bytes;
  if (encoding === 'latin1') return Buffer.from(bytes.toString('utf8'), 'latin1');
  if (encoding === 'hex') return Buffer.from(bytes.toString('latin1').replace(/\s+/g, ''), 'hex');
  return Buffer.from(bytes.toString('latin1').replace(/\s+/g, ''), 'base64');
}

/** Bytes in memory as a source. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    sizeBytes: bytes.length,
    read: (offset, lengthBytes) => Promise.resolve(bytes.subarray(offset, offset + Math.max(0, lengthBytes))),
  };
}
