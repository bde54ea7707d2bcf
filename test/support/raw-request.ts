import { connect } from 'node:net';

/** Writes these bytes to a listener and gives everything that came back until the other side closed or `waitMs` passed. */
export function sendRaw(url: string, bytes: string | Uint8Array, waitMs = 4_000): Promise<string> {
  const { hostname, port } = new URL(url);
  const { promise, resolve } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  const socket = connect(Number(port), hostname, () =>
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
  );
  const end = (): void => {
    clearTimeout(timer);
    socket.destroy();
    resolve(Buffer.concat(chunks).toString('latin1'));
  };
  const timer = setTimeout(end, waitMs);
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  socket.on('error', end);
  socket.on('close', end);
  return promise;
}

/** Status, code and body of the first answer in what came back; the code from the header or from the JSON body. */
export function parseAnswer(text: string): {
  readonly status: number;
  readonly code: string | undefined;
  readonly body: string;
} {
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? '0');
  const body = text.slice(text.indexOf('\r\n\r\n') + 4);
  const header = /^x-error-code: (\S+)\r$/im.exec(text)?.[1];
  return { status, code: header ?? /"code":"([\w.]+)"/.exec(body)?.[1], body };
}
