import type { ByteSource } from '../blob-store.ts';
import { readPickle } from './pickle/read-pickle.ts';
import type { PickleReading } from './pickle/reading.ts';
import type { ReadingOutcome } from './reading.ts';

export interface PickleFacts extends ReadingOutcome<never> {
  readonly pickle: PickleReading;
}

/**
 * The source as pickle, where somebody who loads it as one would do something: it imports or calls, or it is nothing
 * else (`otherwise` is undefined) and begins or ends as pickles do. An import alone counts where the load gets as far as
 * STOP, whatever follows it, and in binary content wherever it stands: text that begins with two lines of one word each
 * is a list of words. A reading that a limit cut short counts too, for what lies behind the limit is not known. Many
 * harmless bytes begin with an opcode (a safetensors length, the word `None`), so an inert beginning of something else
 * does not count.
 */
export async function readPickleFacts(
  source: ByteSource,
  otherwise: 'text' | 'binary' | undefined,
): Promise<PickleFacts | undefined> {
  const first = await readPickle(source, { maxStreams: 1 });
  const [stream] = first.streams;
  const stops = stream?.ending === 'stop' && stream.failure === undefined;
  const [opening, protocol = 0xff] = await source.read(0, 2);
  // Where every CPython would raise, what follows is noise to all of them.
  const end = stream?.failure?.offset ?? Number.POSITIVE_INFINITY;
  const before = (places: readonly { readonly offset: number }[]): boolean =>
    places.some(({ offset }) => offset < end);
  const acts =
    before(first.calls) ||
    before(first.extensions) ||
    before(first.mutations) ||
    ((stops || otherwise !== 'text') && before(first.imports)) ||
    (first.incomplete.length > 0 && stream?.failure === undefined);
  const looks = stops || (opening === 0x80 && protocol <= 5);
  // Plain data at protocol 0 is text, too; from the first byte to the last it is nothing but a pickle.
  const whole = stops && stream.end === source.sizeBytes;
  if (!acts && !whole && (otherwise !== undefined || !looks)) return undefined;
  const pickle = await readPickle(source);
  return { pickle, flaws: [], incompleteReasons: pickle.incomplete };
}
