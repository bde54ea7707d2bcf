import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { OpenBlob } from '#artifact/blob-store.ts';

/** One read and one write: measured a third less CPU than 256 KiB. A caller with a large body holds two of them. */
const stepBytes = 1024 * 1024;
const keptBuffers = 16;
/** New memory has to be mapped and zeroed by the system, which costs as much as reading into it. */
const free: Buffer[] = [];

interface Part {
  readonly start: number;
  readonly end: number;
}

/**
 * Sends bytes `start` up to, not including, `end` of a blob as the body of a reply whose status and headers are set, and
 * closes the blob however that ends. While one buffer is being sent the next is being read; a buffer is filled anew only
 * after the socket has taken everything in it. Rejects where nothing could be read at all, and then nothing was sent;
 * what fails later breaks the connection off, so that nobody takes the part for the whole.
 */
export async function sendBody(reply: FastifyReply, blob: OpenBlob, part: Part): Promise<FastifyReply> {
  const buffers: Buffer[] = [];
  try {
    const first = takeBuffer(buffers);
    const length = await fill(blob, first, part);
    reply.hijack();
    const response = reply.raw;
    if (response.destroyed) return reply;
    response.writeHead(reply.statusCode, headersOf(reply));
    try {
      await pump(response, blob, { buffers, length, part });
    } catch (error) {
      reply.log.error({ err: error }, 'a body broke off');
      response.destroy();
    }
    return reply;
  } finally {
    for (const buffer of buffers) if (free.length < keptBuffers) free.push(buffer);
    await blob.close();
  }
}

function takeBuffer(taken: Buffer[]): Buffer {
  const buffer = free.pop() ?? Buffer.allocUnsafeSlow(stepBytes);
  taken.push(buffer);
  return buffer;
}

function fill(blob: OpenBlob, buffer: Buffer, { start, end }: Part): Promise<number> {
  return start >= end
    ? Promise.resolve(0)
    : blob.readInto(buffer.subarray(0, Math.min(stepBytes, end - start)), start);
}

/** What was set on a reply, for an answer that is written past it. */
export function headersOf(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) headers[name] = value;
  return headers;
}

interface Started {
  readonly buffers: Buffer[];
  /** Bytes of the part that stand in the first buffer. */
  readonly length: number;
  readonly part: Part;
}

async function pump(response: ServerResponse, blob: OpenBlob, started: Started): Promise<void> {
  const { buffers, part } = started;
  const writer = openWriter(response);
  try {
    let [current] = buffers;
    let length = started.length;
    let position = part.start + length;
    while (current !== undefined && position < part.end) {
      const written = writer.write(current.subarray(0, length));
      const next: Buffer = buffers.find((buffer) => buffer !== current) ?? takeBuffer(buffers);
      // The write is waited for even where the read fails: its buffer is given back afterwards.
      const [read] = await Promise.allSettled([
        fill(blob, next, { start: position, end: part.end }),
        written,
      ]);
      if (read.status === 'rejected') throw read.reason;
      if (writer.left()) return;
      current = next;
      length = read.value;
      position += length;
    }
    await writer.end(current?.subarray(0, length));
  } finally {
    writer.close();
  }
}

/** Writes that settle when the socket has taken the bytes, or when the caller is gone. */
function openWriter(response: ServerResponse) {
  const { socket } = response.req;
  let wake: (() => void) | undefined;
  const leave = (): void => wake?.();
  // The response of a pipelined request has no socket yet and would never hear that the connection closed.
  socket.once('close', leave);
  const left = (): boolean => socket.destroyed || response.destroyed;
  const settled = (start: (done: () => void) => void): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
      if (left()) resolve();
      else start(resolve);
    });
  return {
    left,
    write: (bytes: Buffer) => settled((done) => response.write(bytes, done)),
    end: (bytes: Buffer | undefined) => settled((done) => response.end(bytes, done)),
    close: () => socket.off('close', leave),
  };
}
