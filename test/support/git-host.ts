import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openFileHost } from './file-host.ts';
import type { FileHost } from './file-host.ts';
import { find } from './foreign.ts';
import { runProgram } from './server.ts';

export interface GitHost extends AsyncDisposable {
  readonly url: string;
  readonly seen: FileHost['seen'];
  /** Commits these files with the real git (and git-lfs for `*.safetensors`) and gives the commit's id. */
  commit(name: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<string>;
  /** Runs git in the working tree of a repository. */
  git(name: string, ...words: readonly string[]): Promise<string>;
  /** Where LFS links lead; the host itself where undefined. */
  lfsOrigin: string | undefined;
}

export const backend = '/usr/lib/git-core/git-http-backend';
export const gitPrograms =
  find('git') !== undefined && find('git-lfs') !== undefined && find(backend) !== undefined;

/** The real `git http-backend` behind a server on loopback, and an LFS server over what the real git-lfs stored. */
export async function openGitHost(): Promise<GitHost> {
  const folder = await mkdtemp(join(tmpdir(), 'git-host-'));
  const state: { lfsOrigin: string | undefined } = { lfsOrigin: undefined };
  const environment = {
    HOME: folder,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'a',
    GIT_AUTHOR_EMAIL: 'a@example.com',
    GIT_COMMITTER_NAME: 'a',
    GIT_COMMITTER_EMAIL: 'a@example.com',
  };
  const git = async (name: string, ...words: readonly string[]): Promise<string> => {
    const done = await runProgram('git', words, { directory: join(folder, name), environment });
    if (done.code !== 0) throw new Error(`git ${words.join(' ')}: ${done.stderr}`);
    return done.stdout.trim();
  };
  const host = await openFileHost((request, response) => {
    const url = new URL(request.url ?? '/', 'http://host');
    const [, name = ''] = /^\/([a-z-]+)\.git\//.exec(url.pathname) ?? [];
    if (url.pathname.endsWith('/info/lfs/objects/batch'))
      return answerBatch(
        request,
        response,
        state.lfsOrigin ?? `http://${request.headers.host ?? ''}/${name}.git`,
      );
    const oid = /\/lfs\/([0-9a-f]{64})$/.exec(url.pathname)?.[1];
    if (oid !== undefined) return answerObject(join(folder, name, '.git/lfs/objects'), oid, response);
    return answerGit(folder, request, response);
  });
  return {
    url: host.url,
    seen: host.seen,
    get lfsOrigin() {
      return state.lfsOrigin;
    },
    set lfsOrigin(origin) {
      state.lfsOrigin = origin;
    },
    git,
    commit: async (name, files) => {
      const tree = join(folder, name);
      await mkdir(tree, { recursive: true });
      await git(name, 'init', '--quiet', '--initial-branch=main');
      await git(name, 'lfs', 'install', '--local', '--skip-smudge');
      await git(name, 'lfs', 'track', '*.safetensors');
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(tree, path)), { recursive: true });
        await writeFile(join(tree, path), content);
      }
      await git(name, 'add', '--all');
      await git(name, 'commit', '--quiet', '--message=files');
      return git(name, 'rev-parse', 'HEAD');
    },
    [Symbol.asyncDispose]: async () => {
      await host[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answerBatch(
  request: IncomingMessage,
  response: ServerResponse,
  origin: string,
): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const { objects } = JSON.parse(Buffer.concat(parts).toString()) as {
    objects: { oid: string; size: number }[];
  };
  const answers = objects.map(({ oid, size }) => ({
    oid,
    size,
    actions: { download: { href: `${origin}/lfs/${oid}`, header: { 'x-lfs-proof': 'shown' } } },
  }));
  response
    .writeHead(200, { 'content-type': 'application/vnd.git-lfs+json' })
    .end(JSON.stringify({ transfer: 'basic', objects: answers }));
}

async function answerObject(folder: string, oid: string, response: ServerResponse): Promise<void> {
  const bytes = await readFile(join(folder, oid.slice(0, 2), oid.slice(2, 4), oid));
  if (createHash('sha256').update(bytes).digest('hex') !== oid)
    throw new Error('git-lfs stored something else');
  response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
}

/** CGI as git-http-backend(1) describes it. */
function answerGit(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://host');
  const child = spawn(backend, {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      HOME: folder,
      PATH_INFO: url.pathname.replace(/^\/([a-z-]+)\.git\//, '/$1/.git/'),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      REMOTE_ADDR: '127.0.0.1',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(child.stdin);
  child.stdin.on('error', () => {});
  let head = Buffer.alloc(0);
  let begun = false;
  child.stdout.on('data', (chunk: Buffer) => {
    if (begun) return void response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) return undefined;
    begun = true;
    const lines = head
      .subarray(0, end)
      .toString()
      .split('\r\n')
      .map((line) => line.split(': ', 2));
    const status = lines.find(([name]) => name === 'Status')?.[1];
    response.statusCode = status === undefined ? 200 : Number(status.slice(0, 3));
    for (const [name = '', value = ''] of lines) if (name !== 'Status') response.setHeader(name, value);
    return void response.write(head.subarray(end + 4));
  });
  child.stdout.on('end', () => response.end());
}
