import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Digest } from '#artifact/digest.ts';

/** A proxy in front that can read the blob store, and sends a blob itself when it is told to by `X-Accel-Redirect`. */
export interface FrontProxy {
  /** Addresses that it asks from, as `net.isIP` takes them; a mapped IPv4 address counts as its IPv4 address. */
  readonly addresses: readonly string[];
  /** Path of a blob under the proxy's internal location. Made from the digest alone. */
  uriOf(digest: Digest): string;
}

/**
 * May the proxy send this answer instead of us? It must be the proxy that asks: its address, and the header that it sets
 * on every request, so that a caller on the proxy's machine who comes to us directly gets his bytes from us. And it must
 * come to the same answer as we do: requests whose conditions or ranges it may read in another way are ours.
 */
export function mayHandOver(
  front: FrontProxy | undefined,
  request: FastifyRequest,
  isPart: boolean,
): front is FrontProxy {
  if (front === undefined) return false;
  const { headers, socket } = request.raw;
  if (headers['x-sendfile-type'] !== 'X-Accel-Redirect') return false;
  if (!front.addresses.includes((socket.remoteAddress ?? '').replace(/^::ffff:/i, ''))) return false;
  if (headers['if-match'] ?? headers['if-unmodified-since'] ?? headers['if-modified-since']) return false;
  return isPart || (headers.range === undefined && headers['if-range'] === undefined);
}

/** The answer to the proxy: the headers of a whole file, and where its bytes are. The proxy cuts ranges out itself. */
export function handOver(reply: FastifyReply, uri: string): FastifyReply {
  // nginx says it itself for a whole file and would say both; for a part it says nothing.
  if (reply.statusCode !== 206) reply.removeHeader('accept-ranges');
  return reply
    .code(200)
    .removeHeader('content-range')
    .header('content-length', '0')
    .header('x-accel-redirect', uri)
    .send();
}
