import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname } from 'node:path';
import { parseRange } from '#lib/http-range.ts';
import { Fault } from '#lib/fault.ts';

/** Files of a repository by path. `altered` is what is sent in place of what the tree declares. */
export interface DemoFile {
  readonly bytes: Buffer;
  readonly altered?: Buffer;
}

/** A public hub for one tour, on loopback: the part of the protocol that an intake asks of an upstream. */
export interface DemoHub {
  readonly url: URL;
  /** Publishes files as the one commit of a repository; gives the commit. */
  publish(id: string, files: Readonly<Record<string, DemoFile>>): string;
  close(): Promise<void>;
}

interface Entry extends DemoFile {
  readonly path: string;
  readonly oid: string;
  /** SHA-256 of the bytes where git holds only a pointer to them. */
  readonly lfs: string | undefined;
}

interface Repository {
  readonly id: string;
  readonly commit: string;
  readonly entries: readonly Entry[];
}

const largeFiles = new Set(['.bin', '.safetensors']);

function hash(algorithm: 'sha1' | 'sha256', ...parts: readonly (string | Buffer)[]): string {
  const hashing = createHash(algorithm);
  for (const part of parts) hashing.update(part);
  return hashing.digest('hex');
}

/** Id of a git blob. */
const gitOid = (bytes: Buffer): string => hash('sha1', `blob ${bytes.length}\0`, bytes);

function entryOf(path: string, file: DemoFile): Entry {
  if (!largeFiles.has(extname(path))) return { ...file, path, oid: gitOid(file.bytes), lfs: undefined };
  const lfs = hash('sha256', file.bytes);
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${lfs}\nsize ${file.bytes.length}\n`;
  return { ...file, path, oid: gitOid(Buffer.from(pointer)), lfs };
}

export async function openDemoHub(): Promise<DemoHub> {
  const repositories = new Map<string, Repository>();
  const server = createServer((request, response) => {
    request.resume();
    answer(repositories, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Fault('internal.unexpected', 'the hub of the tour has no port');
  return {
    url: new URL(`http://127.0.0.1:${address.port}`),
    publish: (id, files) => {
      const entries = Object.entries(files).map(([path, file]) => entryOf(path, file));
      const commit = hash('sha1', JSON.stringify(entries.map(({ path, oid }) => [path, oid])));
      repositories.set(id, { id, commit, entries });
      return commit;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(
  repositories: ReadonlyMap<string, Repository>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { pathname } = new URL(request.url ?? '/', 'http://hub');
  const api = /^\/api\/models\/([^/]+\/[^/]+)(?:\/(revision|tree|refs)(?:\/([^/]+))?)?$/.exec(pathname);
  const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
  const repository = repositories.get(api?.[1] ?? file?.[1] ?? '');
  if (repository === undefined) return absent(response, 'RepoNotFound');
  const revision = api?.[3] ?? file?.[2] ?? 'main';
  if (!['main', 'HEAD', repository.commit].includes(revision)) return absent(response, 'RevisionNotFound');
  if (file !== null) {
    const entry = repository.entries.find(({ path }) => path === decodeURIComponent(file[3] ?? ''));
    if (entry === undefined) return absent(response, 'EntryNotFound');
    return sendFile(repository, entry, { request, response });
  }
  if (api?.[2] === 'tree') return sendJson(response, repository.entries.map(rowOf));
  if (api?.[2] === 'refs') return sendJson(response, refsOf(repository));
  sendJson(response, infoOf(repository));
}

function absent(response: ServerResponse, code: string): void {
  response.writeHead(404, { 'x-error-code': code, 'x-error-message': 'not found' }).end();
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function rowOf({ path, oid, lfs, bytes }: Entry): unknown {
  const size = bytes.length;
  const pointer = lfs === undefined ? {} : { lfs: { oid: lfs, size, pointerSize: 130 } };
  return { type: 'file', path, oid, size, ...pointer };
}

const refsOf = ({ commit }: Repository): unknown => ({
  branches: [{ name: 'main', ref: 'refs/heads/main', targetCommit: commit }],
  converts: [],
  tags: [],
});

const infoOf = ({ id, commit, entries }: Repository): unknown => ({
  id,
  modelId: id,
  sha: commit,
  private: false,
  tags: ['license:apache-2.0'],
  siblings: entries.map(({ path }) => ({ rfilename: path })),
});

function sendFile(
  repository: Repository,
  entry: Entry,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): void {
  const bytes = entry.altered ?? entry.bytes;
  const range = parseRange(request.headers.range, bytes.length);
  const part = range.kind === 'part' ? range : { start: 0, end: bytes.length };
  const place = range.kind === 'part' ? `bytes ${part.start}-${part.end - 1}/${bytes.length}` : undefined;
  response.writeHead(place === undefined ? 200 : 206, {
    'x-repo-commit': repository.commit,
    'accept-ranges': 'bytes',
    etag: `"${entry.lfs ?? entry.oid}"`,
    'content-length': String(part.end - part.start),
    ...(place === undefined ? {} : { 'content-range': place }),
  });
  response.end(request.method === 'HEAD' ? undefined : bytes.subarray(part.start, part.end));
}
