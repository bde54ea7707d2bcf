import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '#lib/fault.ts';
import { fromFastify } from './gate.ts';
import { headerText, sendFault } from './refusal.ts';

const maximumHeaderBytes = 16 * 1024;

/**
 * What the clients' listener must set when it makes its Fastify instance, because it happens before any route: parser
 * errors and paths that the router itself refuses are answered as Faults, too. Node's parser is strict (RFC 9112 §6:
 * both `Content-Length` and `Transfer-Encoding`, bare CR, folded headers and malformed sizes are refused), headers are
 * 16 KiB at most, a header must arrive within 20 s.
 */
export const pullServerOptions = {
  http: {
    insecureHTTPParser: false,
    maxHeaderSize: maximumHeaderBytes,
    headersTimeout: 20_000,
    requestTimeout: 60_000,
    requireHostHeader: true,
  },
  keepAliveTimeout: 60_000,
  clientErrorHandler: (error: Error & { readonly code?: string }, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    socket.end(parserRefusal(error), () => socket.destroy());
  },
  frameworkErrors: (error: Error, _request: FastifyRequest, reply: FastifyReply): void => {
    void sendFault(reply, badUrl(error));
  },
} as const;

function badUrl(error: Error): unknown {
  return 'code' in error && error.code === 'FST_ERR_BAD_URL'
    ? new Fault('path.invalid', 'the request path holds a bad percent escape', { cause: error })
    : fromFastify(error);
}

/** There is no request object yet: the answer is written to the socket as it is. */
function parserRefusal(error: Error & { readonly code?: string }): string {
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const timedOut = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const status = tooLarge ? 431 : timedOut ? 408 : 400;
  const code = tooLarge ? 'limit.exceeded' : 'request.invalid';
  const message = tooLarge
    ? `the request header is larger than ${maximumHeaderBytes} bytes`
    : timedOut
      ? 'the request did not arrive in time'
      : 'the request is not well-formed HTTP/1.1';
  const body = JSON.stringify({ error: message, code });
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `x-error-code: ${code}`,
    `x-error-message: ${headerText(message)}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}
