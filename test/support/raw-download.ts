import { once } from 'node:events';
import { connect } from 'node:net';

/** One request on a socket of its own, and everything that came back, byte by byte. */
export interface RawDownload {
  /** Status line and headers of the final answer in lower case; empty until they are complete. */
  head(): string;
  status(): number;
  header(name: string): string | undefined;
  /** The body so far. */
  body(): Buffer;
  /** Bytes of it. */
  received(): number;
  /** `100 Continue` answers before the final one. */
  interim(): number;
  /** How the other side ended the connection; undefined while it is open. */
  ended(): 'end' | 'reset' | undefined;
  /** Resolves as soon as this is true; rejects after `mostMs`. Looks whenever something came. */
  until(what: (download: RawDownload) => boolean, mostMs?: number): Promise<void>;
  close(): void;
}

const interimAnswer = 'HTTP/1.1 100 Continue\r\n\r\n';

export async function openRawDownload(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<RawDownload> {
  const { hostname, port, host } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: false });
  const chunks: Buffer[] = [];
  const state: { interim: number; head: string; received: number; ended: 'end' | 'reset' | undefined } = {
    interim: 0,
    head: '',
    received: 0,
    ended: undefined,
  };
  const watchers = new Set<() => void>();
  const changed = (): void => {
    for (const look of Array.from(watchers)) look();
  };
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    if (state.head === '') readHead(chunks, state);
    else state.received += chunk.length;
    changed();
  });
  socket.on('end', () => {
    state.ended ??= 'end';
    changed();
  });
  socket.on('error', () => {
    state.ended ??= 'reset';
    changed();
  });
  await once(socket, 'connect');
  const lines = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  const download: RawDownload = {
    head: () => state.head,
    status: () => Number(/^http\/1\.1 (\d{3})/.exec(state.head)?.[1] ?? 0),
    header: (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(state.head)?.[1],
    received: () => state.received,
    body: () => (state.head === '' ? Buffer.alloc(0) : Buffer.concat(chunks)),
    interim: () => state.interim,
    ended: () => state.ended,
    until: (what, mostMs = 10_000) =>
      new Promise((resolve, reject) => {
        const end = (settle: () => void): void => {
          clearTimeout(timer);
          watchers.delete(look);
          settle();
        };
        const look = (): void => {
          if (what(download)) end(resolve);
        };
        const timer = setTimeout(
          () => end(() => reject(new Error(`it did not come to that: ${state.head} ${state.ended}`))),
          mostMs,
        );
        watchers.add(look);
        look();
      }),
    close: () => socket.destroy(),
  };
  return download;
}

/** Takes interim answers and the final head off the front; what is left is body. */
function readHead(chunks: Buffer[], state: { interim: number; head: string; received: number }): void {
  let bytes = Buffer.concat(chunks);
  while (bytes.subarray(0, interimAnswer.length).toString('latin1') === interimAnswer) {
    state.interim += 1;
    bytes = bytes.subarray(interimAnswer.length);
  }
  const end = bytes.indexOf('\r\n\r\n');
  if (end !== -1) {
    state.head = bytes.subarray(0, end).toString('latin1').replaceAll('\r', '').toLowerCase();
    bytes = bytes.subarray(end + 4);
    state.received = bytes.length;
  }
  chunks.splice(0, chunks.length, bytes);
}
