import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FileHost extends AsyncDisposable {
  readonly url: string;
  /** Method, path and headers of what was asked, in order. */
  readonly seen: readonly {
    readonly method: string;
    readonly url: string;
    readonly headers: IncomingMessage['headers'];
  }[];
}

/** A server on loopback that answers as it is told. */
export async function openFileHost(
  answer: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>,
): Promise<FileHost> {
  const seen: FileHost['seen'][number][] = [];
  const server = createServer((request, response) => {
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers });
    void Promise.resolve(answer(request, response)).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Serves these bytes by path, with Range and an entity tag. */
export function serveFiles(files: Readonly<Record<string, Uint8Array | string>>) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const path = new URL(request.url ?? '/', 'http://host').pathname;
    const found = Object.entries(files).find(([name]) => `/${name}` === decodeURIComponent(path))?.[1];
    if (found === undefined) return void response.writeHead(404).end();
    const bytes = Buffer.from(found);
    const start = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    const etag = `"${bytes.length}"`;
    if (start === undefined)
      return void response.writeHead(200, { 'content-length': bytes.length, etag }).end(bytes);
    const rest = bytes.subarray(Number(start));
    const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
    return void response
      .writeHead(206, { 'content-length': rest.length, 'content-range': range, etag })
      .end(rest);
  };
}
