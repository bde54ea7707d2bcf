import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface Nginx extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  errors(): Promise<string>;
}

const example = fileURLToPath(new URL('../../deploy/nginx/weighbridge.conf', import.meta.url));

/** deploy/nginx/weighbridge.conf as it is, except for the three things that its page says to adapt. */
export function startFrontNginx(
  program: string,
  { clients, blobs }: { readonly clients: string; readonly blobs: string },
): Promise<Nginx> {
  return startNginx(program, async (port) =>
    adapt(await readFile(example, 'utf8'), {
      'listen 80;': `listen 127.0.0.1:${port};`,
      'server 127.0.0.1:7080;': `server ${new URL(clients).host};`,
      'alias /var/lib/weighbridge/blobs/;': `alias ${blobs}/;`,
    }),
  );
}

/** A proxy as most people write one: nothing but where it leads to. */
export function startPlainNginx(program: string, clients: string): Promise<Nginx> {
  return startNginx(
    program,
    async (port) => `server { listen 127.0.0.1:${port}; location / { proxy_pass ${clients}; } }`,
  );
}

async function startNginx(program: string, servers: (port: number) => Promise<string>): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-nginx-'));
  await chmod(folder, 0o755);
  const port = await freePort();
  const adapted = await servers(port);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  const configuration = join(folder, 'nginx.conf');
  await writeFile(
    configuration,
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log; events {}
     http { access_log off; ${temporary.join(' ')} ${adapted} }`,
  );
  const child = spawn(program, ['-c', configuration, '-p', folder], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const errors = (): Promise<string> => readFile(join(folder, 'error.log'), 'utf8');
  await answering(port).catch(async (error: unknown) => {
    child.kill('SIGKILL');
    throw new Error(`nginx does not listen:\n${await errors()}`, { cause: error });
  });
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    errors,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function adapt(text: string, changes: Readonly<Record<string, string>>): string {
  return Object.entries(changes).reduce((before, [from, to]) => {
    assert.equal(before.split(from).length, 2, `\`${from}\` stands once in the example`);
    return before.replace(from, to);
  }, text);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function answering(port: number): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (tries === 200) throw error;
      await pause(25);
    } finally {
      socket.destroy();
    }
  }
}
