import { request } from 'node:http';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Fault, faults, isErrno } from '#lib/fault.ts';
import type { FaultCode } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { parseJson } from '#lib/json.ts';
import { readConfiguration } from '../config.ts';
import type { CommandContext, CommandInput, CommandOption } from './command.ts';

/** Path of the server's socket inside the data directory. Whoever may enter the directory is administrator. */
export function socketPath(data: string): string {
  return join(data, 'run', 'weighbridge.sock');
}

export const dataOption: CommandOption = {
  name: 'data',
  value: 'DIR',
  summary: 'data directory of the running server; ./data by default',
};

/** Runs `use` with a spelling of the path that fits a socket address (107 bytes) however deep the directory lies. */
export async function withShortPath<T>(
  folder: string,
  name: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const descriptor = openSync(folder, 'r');
  try {
    return await use(`/proc/self/fd/${descriptor}/${name}`);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * One call of the running server over its socket. A refusal comes back as the Fault that the server answered with;
 * no server is Fault `server.unreachable` with a hint.
 */
export async function callServer(
  input: CommandInput,
  context: CommandContext,
  call: { readonly method: 'GET' | 'POST'; readonly path: string; readonly body?: unknown },
): Promise<Uint8Array> {
  const data = runningServer(input, context);
  return withShortPath(join(data, 'run'), 'weighbridge.sock', (socket) => exchange(socket, call, data));
}

/** The same for one body that is too large for memory, as a PUT. */
export async function sendToServer(
  input: CommandInput,
  context: CommandContext,
  call: {
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly bytes: AsyncIterable<Uint8Array>;
  },
): Promise<Uint8Array> {
  const data = runningServer(input, context);
  return withShortPath(join(data, 'run'), 'weighbridge.sock', (socket) =>
    exchange(socket, { method: 'PUT', path: call.path, headers: call.headers, stream: call.bytes }, data),
  );
}

/** Data directory of the server that listens on its socket. Fault `server.unreachable`. */
function runningServer(input: CommandInput, context: CommandContext): string {
  const flags = new Map([...input.flags].filter(([name]) => name === 'data'));
  const { data } = readConfiguration({
    flags,
    environment: context.environment,
    directory: context.directory,
  });
  if (!existsSync(socketPath(data))) throw unreachable(data);
  return data;
}

function unreachable(data: string): Fault {
  return new Fault('server.unreachable', `no server is running on \`${data}\``, {
    hint: 'start it with `weighbridge serve`, or name its directory with `--data`',
  });
}

function exchange(
  socketPath: string,
  call: {
    readonly method: string;
    readonly path: string;
    readonly body?: unknown;
    readonly headers?: Readonly<Record<string, string>>;
    readonly stream?: AsyncIterable<Uint8Array>;
  },
  data: string,
): Promise<Uint8Array> {
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath,
        method: call.method,
        path: call.path,
        headers: call.headers ?? (body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const bytes = Buffer.concat(chunks);
          if ((incoming.statusCode ?? 500) < 400) resolve(bytes);
          else reject(parseRefusal(bytes));
        });
      },
    );
    outgoing.on('error', (error) => {
      const gone = isErrno(error) && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT');
      reject(gone ? unreachable(data) : error);
    });
    if (call.stream === undefined) outgoing.end(body);
    // A server that refuses answers before the last byte; its answer says more than the pipe that broke.
    else pipeline(Readable.from(call.stream), outgoing).catch(() => outgoing.destroy());
  });
}

/** The Fault that a server answered with. */
export function parseRefusal(bytes: Uint8Array): Fault {
  const parsed = parseJson(bytes, { bytes: limits.requestBytes });
  const error = member(parsed, 'error');
  const code = member(error, 'code');
  const message = member(error, 'message');
  const hint = member(error, 'hint');
  if (typeof code !== 'string' || !(code in faults) || typeof message !== 'string') {
    return new Fault('internal.unexpected', 'the server answered in a way that this version does not know');
  }
  return new Fault(code as FaultCode, message, typeof hint === 'string' ? { hint } : {});
}

/** Member of a parsed JSON object; undefined for everything else. */
export function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
