import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { OpenBlob } from '#artifact/blob-store.ts';
import { bodyBuffers } from '#lib/buffer-budget.ts';

/** The first step of every body: a caller who takes nothing holds two of them. */
const firstStepBytes = 64 * 1024;
const mostStepBytes = 1024 * 1024;
/** A step that left sooner makes the next twice as large, one that took longer half as large. */
const quickMs = 40;
const slowMs = 200;

interface Part {
  readonly start: number;
  readonly end: number;
}

/**
 * Sends bytes `start` up to, not including, `end` of a blob as the body of a reply whose status and headers are set, and
 * closes the blob however that ends. While one buffer is being sent the next is being read; a buffer is filled anew only
 * after the socket has taken everything in it. How large the steps are is up to the caller's speed and to how many others
 * are served. Rejects where nothing could be read at all, and then nothing was sent; what fails later breaks the
 * connection off, so that nobody takes the part for the whole.
 */
export async function sendBody(reply: FastifyReply, blob: OpenBlob, part: Part): Promise<FastifyReply> {
  const loans = new Set<Buffer>();
  try {
    const first = await fill({ blob, loans }, part, firstStepBytes);
    reply.hijack();
    const response = reply.raw;
    if (response.destroyed) return reply;
    response.writeHead(reply.statusCode, headersOf(reply));
    try {
      await pump(response, { blob, loans }, { first, part });
    } catch (error) {
      reply.log.error({ err: error }, 'a body broke off');
      response.destroy();
    }
    return reply;
  } finally {
    for (const buffer of loans) bodyBuffers.give(buffer);
    await blob.close();
  }
}

/** Where a body comes from, and the buffers that it holds at the moment. */
interface Source {
  readonly blob: OpenBlob;
  readonly loans: Set<Buffer>;
}

/** Bytes of the blob in a buffer that is larger. */
interface Filled {
  readonly buffer: Buffer;
  readonly length: number;
}

async function fill(
  { blob, loans }: Source,
  { start, end }: Part,
  stepBytes: number,
): Promise<Filled | undefined> {
  if (start >= end) return undefined;
  const buffer = bodyBuffers.take(stepBytes);
  loans.add(buffer);
  const length = await blob.readInto(buffer.subarray(0, Math.min(buffer.length, end - start)), start);
  return { buffer, length };
}

/** What was set on a reply, for an answer that is written past it. */
export function headersOf(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) headers[name] = value;
  return headers;
}

interface Started {
  /** The beginning of the part; undefined where the part is empty. */
  readonly first: Filled | undefined;
  readonly part: Part;
}

async function pump(response: ServerResponse, source: Source, { first, part }: Started): Promise<void> {
  const writer = openWriter(response);
  try {
    let current = first;
    let stepBytes = firstStepBytes;
    let position = part.start + (current?.length ?? 0);
    while (current !== undefined && position < part.end) {
      const startedAt = performance.now();
      const written = writer.write(current.buffer.subarray(0, current.length));
      // The write is waited for even where the read fails: its buffer is given back afterwards.
      const [read] = await Promise.allSettled([
        fill(source, { start: position, end: part.end }, stepBytes),
        written,
      ]);
      if (read.status === 'rejected') throw read.reason;
      if (writer.left()) return;
      source.loans.delete(current.buffer);
      bodyBuffers.give(current.buffer);
      stepBytes = nextStep(stepBytes, performance.now() - startedAt);
      current = read.value;
      position += current?.length ?? 0;
    }
    await writer.end(current?.buffer.subarray(0, current.length));
  } finally {
    writer.close();
  }
}

function nextStep(stepBytes: number, tookMs: number): number {
  if (tookMs < quickMs) return Math.min(mostStepBytes, stepBytes * 2);
  return tookMs > slowMs ? Math.max(firstStepBytes, stepBytes / 2) : stepBytes;
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
