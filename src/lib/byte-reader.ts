import { Fault } from './fault.ts';

/** A stream of bytes, read in the pieces that a protocol has. */
export interface ByteReader {
  /** Exactly so many bytes, in memory. Fault `upstream.lied` where the stream ends before. */
  exactly(lengthBytes: number): Promise<Buffer>;
  /** Up to and without the next line feed; undefined at the end. Fault `limit.exceeded` past the bound. */
  line(mostBytes: number): Promise<string | undefined>;
  /** Exactly so many bytes as they come. Must be read to its end before anything else is read. */
  stream(lengthBytes: number): AsyncGenerator<Uint8Array>;
  /** True where nothing is left. */
  ended(): Promise<boolean>;
  /** Everything that is left is not wanted. */
  close(): Promise<void>;
}

export function openByteReader(source: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = source[Symbol.asyncIterator]();
  let chunk: Uint8Array = new Uint8Array(0);
  const more = async (): Promise<boolean> => {
    while (chunk.length === 0) {
      const next = await iterator.next();
      if (next.done === true) return false;
      chunk = next.value;
    }
    return true;
  };
  const take = async (most: number): Promise<Uint8Array> => {
    if (!(await more())) throw new Fault('upstream.lied', 'the source ends in the middle of something');
    const taken = chunk.subarray(0, most);
    chunk = chunk.subarray(taken.length);
    return taken;
  };
  const stream = async function* (lengthBytes: number): AsyncGenerator<Uint8Array> {
    for (let left = lengthBytes; left > 0;) {
      const taken = await take(left);
      left -= taken.length;
      yield taken;
    }
  };
  return {
    stream,
    exactly: async (lengthBytes) => {
      const parts: Uint8Array[] = [];
      for await (const part of stream(lengthBytes)) parts.push(part);
      return Buffer.concat(parts);
    },
    line: async (mostBytes) => {
      const parts: Uint8Array[] = [];
      let length = 0;
      while (await more()) {
        const end = chunk.indexOf(0x0a);
        const part = await take(end === -1 ? chunk.length : end + 1);
        length += part.length;
        if (length > mostBytes + 1) throw new Fault('limit.exceeded', 'a line of the source is too long');
        parts.push(end === -1 ? part : part.subarray(0, -1));
        if (end !== -1) return Buffer.concat(parts).toString('utf8');
      }
      return parts.length === 0 ? undefined : Buffer.concat(parts).toString('utf8');
    },
    ended: async () => !(await more()),
    close: async () => {
      await iterator.return?.();
    },
  };
}
