import { createHash } from 'node:crypto';
import { once, EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import type { HubContent } from './hub/repository.ts';

/** A file of an upstream whose bytes leave only as far as the test lets them. */
export interface GatedContent {
  readonly content: HubContent;
  /** Lets the bytes before this offset go. */
  letGo(offset: number): void;
}

const chunkBytes = 64 * 1024;

export function gatedContent(bytes: Uint8Array): GatedContent {
  const moved = new EventEmitter().setMaxListeners(100);
  let allowed = 0;
  async function* flow(start: number, end: number): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end;) {
      if (at >= allowed) {
        await once(moved, 'moved');
        continue;
      }
      const next = Math.min(end, allowed, at + chunkBytes);
      yield bytes.subarray(at, next);
      at = next;
    }
  }
  return {
    content: {
      sizeBytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      read: ({ start, end }) => Readable.from(flow(start, end), { objectMode: false }),
    },
    letGo: (offset) => {
      allowed = offset;
      moved.emit('moved');
    },
  };
}
