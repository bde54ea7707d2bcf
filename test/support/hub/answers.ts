import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { Readable } from 'node:stream';
import { refName, type HubRepository, type HubState, type Lie } from './state.ts';
import { treeOids, type HubCommit, type HubEntry } from './repository.ts';

/** Headers that the real hub sends and a gate must not pass on. */
function bait(state: HubState, entry: HubEntry | undefined): Record<string, string> {
  const xet =
    entry?.lfs === undefined
      ? {}
      : { 'x-xet-hash': entry.lfs.sha256, 'x-xet-refresh-route': '/api/models/x/y/xet-read-token/main' };
  return {
    ...xet,
    link: `<${state.hubOrigin}/api/models/x/y/xet-read-token/main>; rel="xet-auth", <${state.cdnOrigin}/reconstruct>; rel="xet-reconstruction-info"`,
    'set-cookie': 'token=bait; Path=/',
    'x-amz-cf-id': 'bait',
    via: '1.1 bait (CloudFront)',
    vary: 'Origin',
    'access-control-allow-origin': 'https://upstream.invalid',
    'x-request-id': 'Root=bait',
  };
}

function lieAbout(repository: HubRepository, lies: readonly Lie[], path?: string): Lie | undefined {
  const planted = repository.lies.findLast(
    (candidate) =>
      lies.includes(candidate.lie) &&
      (candidate.path === undefined || candidate.path === path) &&
      candidate.times !== 0,
  );
  if (planted?.times !== undefined) planted.times -= 1;
  return planted?.lie;
}

export function answerHub(state: HubState, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', state.hubOrigin);
  const segments = url.pathname.slice(1).split('/').map(decodeURIComponent);
  if (segments[0] === 'api') return answerApi(state, { url, segments: segments.slice(1) }, response);
  const kind = segments[0] === 'datasets' || segments[0] === 'spaces' ? segments[0] : 'models';
  const rest = kind === 'models' ? segments : segments.slice(1);
  const at = rest.indexOf('resolve');
  const repository = state.repositories.get(`${kind}/${rest.slice(0, at).join('/')}`);
  if (at < 1 || repository === undefined)
    return absent(response, 'RepoNotFound', 'Repository not found', 401);
  const commit = findCommit(repository, rest[at + 1] ?? '');
  if (commit === undefined) return absent(response, 'RevisionNotFound', `Invalid rev id: ${rest[at + 1]}`);
  const entry = commit.entries.get(rest.slice(at + 2).join('/'));
  if (entry === undefined) {
    response.setHeader('x-repo-commit', commit.id);
    return absent(response, 'EntryNotFound', 'Entry not found');
  }
  answerResolve(state, { repository, commit, entry }, { request, response });
}

interface Asked {
  readonly repository: HubRepository;
  readonly commit: HubCommit;
  readonly entry: HubEntry;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

const statusLies: readonly Lie[] = [
  'status-500',
  'status-429',
  'status-429-ratelimit',
  'status-503',
  'silent',
];
const redirectLies: readonly Lie[] = [
  'redirect-inside',
  'redirect-private',
  'redirect-elsewhere',
  'redirect-loop',
];

function answerResolve(state: HubState, asked: Asked, exchange: Exchange): void {
  const { repository, commit, entry } = asked;
  const { response } = exchange;
  const statuses = lieAbout(repository, statusLies, entry.path);
  if (statuses !== undefined) return answerStatus(statuses, response);
  if (lieAbout(repository, ['gone'], entry.path) !== undefined)
    return absent(response, 'EntryNotFound', 'Entry not found');
  const etag = `"${entry.lfs?.sha256 ?? entry.gitOid}"`;
  const headers: Record<string, string> = {
    ...bait(state, entry),
    'x-repo-commit': commit.id,
    'accept-ranges': 'bytes',
    'x-linked-size': String(entry.sizeBytes),
    'x-linked-etag': etag,
    etag,
  };
  if (entry.lfs === undefined) return answerBody(asked, exchange, headers);
  const redirect = lieAbout(repository, redirectLies, entry.path);
  const key = Buffer.from(`${repository.kind}/${repository.id}\n${commit.id}\n${entry.path}`).toString(
    'base64url',
  );
  const location =
    redirect === undefined
      ? `${state.cdnOrigin}/cdn/${key}?X-Amz-Signature=bait`
      : redirectTarget(redirect, exchange.request.url ?? '/');
  response.writeHead(302, { ...headers, location, 'content-length': '0' }).end();
}

function redirectTarget(lie: Lie, own: string): string {
  if (lie === 'redirect-inside') return 'http://169.254.169.254/latest/meta-data/';
  if (lie === 'redirect-private') return 'https://10.20.30.40/model.bin';
  return lie === 'redirect-elsewhere' ? 'http://mirror.example/model.bin' : own;
}

export function answerCdn(state: HubState, request: IncomingMessage, response: ServerResponse): void {
  const key = /^\/cdn\/([\w-]+)/.exec(request.url ?? '')?.[1] ?? '';
  const [name = '', commitId = '', path = ''] = Buffer.from(key, 'base64url').toString().split('\n');
  const repository = state.repositories.get(name);
  const commit = repository?.commits.get(commitId);
  const entry = commit?.entries.get(path);
  if (repository === undefined || commit === undefined || entry === undefined) {
    response.writeHead(403, { 'content-type': 'application/xml' }).end('<Error/>');
    return;
  }
  answerBody(
    { repository, commit, entry },
    { request, response },
    { 'accept-ranges': 'bytes', etag: '"cdn"', via: '1.1 bait' },
  );
}

const bodyLies: readonly Lie[] = [
  'wrong-bytes',
  'short',
  'long',
  'long-chunked',
  'short-chunked',
  'cut',
  'stall',
  'wrong-range',
  'encoded',
  'changed-between',
];

function answerBody(
  { repository, entry }: Asked,
  { request, response }: Exchange,
  headers: Record<string, string>,
): void {
  const lie = request.method === 'HEAD' ? undefined : lieAbout(repository, bodyLies, entry.path);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range === null ? 0 : Number(range[1]);
  const end =
    range === null || range[2] === '' ? entry.sizeBytes : Math.min(entry.sizeBytes, Number(range[2]) + 1);
  if (lie === 'changed-between') return answerOther(entry, response, headers);
  if (range !== null && start >= entry.sizeBytes) {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${entry.sizeBytes}` }).end();
    return;
  }
  const status = range === null ? 200 : 206;
  const shift = lie === 'wrong-range' && range !== null ? 1 : 0;
  const contentRange =
    range === null ? {} : { 'content-range': `bytes ${start - shift}-${end - 1}/${entry.sizeBytes}` };
  const length = end - start + (lie === 'long' ? 1 : lie === 'short' ? -1 : 0);
  if (lie === 'encoded') {
    const packed = gzipSync(Buffer.from('other bytes'));
    response
      .writeHead(200, { ...headers, 'content-encoding': 'gzip', 'content-length': String(packed.length) })
      .end(packed);
    return;
  }
  const chunked = lie === 'long-chunked' || lie === 'short-chunked';
  response.writeHead(status, {
    ...headers,
    ...contentRange,
    ...(chunked ? {} : { 'content-length': String(length) }),
  });
  if (request.method === 'HEAD') return void response.end();
  if (lie === undefined && end > start) {
    const { path } = entry;
    return sendContent(entry.read({ start, end }), response, (bytes) =>
      repository.sentBytes.set(path, (repository.sentBytes.get(path) ?? 0) + bytes),
    );
  }
  if (lie === undefined) return void response.end();
  void wholeBytes(entry, { start, end }).then((bytes) => sendLie(lie, bytes, response));
}

/** Another file in the place of this one, and nothing that contradicts it. */
function answerOther(entry: HubEntry, response: ServerResponse, headers: Record<string, string>): void {
  void wholeBytes(entry, { start: 0, end: entry.sizeBytes }).then((bytes) => {
    const other = Buffer.concat([bytes, Buffer.from('changed')]);
    const etag = `"${createHash('sha256').update(other).digest('hex')}"`;
    const linked = { 'x-linked-size': String(other.length), 'x-linked-etag': etag, etag };
    response.writeHead(200, { ...headers, ...linked, 'content-length': String(other.length) }).end(other);
  });
}

function sendContent(
  content: Readable | Uint8Array,
  response: ServerResponse,
  sent: (bytes: number) => void,
): void {
  if (content instanceof Uint8Array) {
    sent(content.length);
    return void response.end(content);
  }
  content.on('data', (chunk: Buffer) => sent(chunk.length));
  response.on('close', () => content.destroy());
  content.on('error', () => response.destroy());
  content.pipe(response);
}

async function wholeBytes(
  entry: HubEntry,
  range: { readonly start: number; readonly end: number },
): Promise<Buffer> {
  const content = entry.read(range);
  if (content instanceof Uint8Array) return Buffer.from(content);
  return Buffer.concat(await content.toArray());
}

function sendLie(lie: Lie, bytes: Buffer, response: ServerResponse): void {
  if (lie === 'wrong-bytes') {
    const changed = Buffer.from(bytes);
    const at = changed.length >> 1;
    changed[at] = (changed[at] ?? 0) ^ 1;
    response.end(changed);
  } else if (lie === 'short' || lie === 'short-chunked') response.end(bytes.subarray(0, -1));
  else if (lie === 'long' || lie === 'long-chunked') response.end(Buffer.concat([bytes, Buffer.from('x')]));
  else if (lie === 'cut')
    response.write(bytes.subarray(0, bytes.length >> 1), () => response.socket?.destroy());
  else if (lie === 'stall') response.write(bytes.subarray(0, bytes.length >> 1));
  else response.end(bytes);
}

function answerApi(
  state: HubState,
  { url, segments }: { readonly url: URL; readonly segments: readonly string[] },
  response: ServerResponse,
): void {
  const [kind = '', ...rest] = segments;
  const at = rest.findIndex((segment, index) => index > 0 && ['revision', 'tree', 'refs'].includes(segment));
  const id = (at === -1 ? rest : rest.slice(0, at)).join('/');
  const repository = state.repositories.get(`${kind}/${id}`);
  if (repository === undefined) return absent(response, 'RepoNotFound', 'Repository not found', 401);
  const statuses = lieAbout(repository, statusLies);
  if (statuses !== undefined) return answerStatus(statuses, response);
  if (lieAbout(repository, ['not-json']) !== undefined) return void response.writeHead(200).end('<html>');
  if (rest[at] === 'refs') return json(state, response, refsOf(repository));
  const revision = at === -1 ? 'HEAD' : (rest[at + 1] ?? 'HEAD');
  const commit = findCommit(repository, revision);
  if (commit === undefined) return absent(response, 'RevisionNotFound', `Invalid rev id: ${revision}`);
  if (rest[at] === 'tree')
    return answerTree(state, { url, repository, commit, under: rest.slice(at + 2).join('/') }, response);
  json(state, response, infoOf(repository, commit));
}

function findCommit(repository: HubRepository, revision: string): HubCommit | undefined {
  const name = revision === 'HEAD' ? 'main' : revision;
  const id = repository.refs.get(refName(name)) ?? repository.refs.get(`refs/tags/${name}`) ?? name;
  return repository.commits.get(id);
}

function answerTree(
  state: HubState,
  asked: {
    readonly url: URL;
    readonly repository: HubRepository;
    readonly commit: HubCommit;
    readonly under: string;
  },
  response: ServerResponse,
): void {
  const { url, repository, commit, under } = asked;
  const recursive = url.searchParams.get('recursive') === 'true';
  const prefix = under === '' ? '' : `${under}/`;
  const rows = rowsOf(repository, commit).filter(({ path }) => {
    if (typeof path !== 'string' || !path.startsWith(prefix)) return path === '../escape';
    return recursive || !path.slice(prefix.length).includes('/');
  });
  if (rows.length === 0 && under !== '') return absent(response, 'EntryNotFound', 'Entry not found');
  const offset = Number(url.searchParams.get('cursor') ?? '0');
  const more = offset + state.pageSize < rows.length;
  const lie = lieAbout(repository, ['foreign-page', 'same-page']);
  const next = new URL(url);
  next.searchParams.set('cursor', String(lie === 'same-page' ? offset : offset + state.pageSize));
  if (lie === 'foreign-page') next.host = '127.0.0.1:9';
  const link = more || lie !== undefined ? { link: `<${next.href}>; rel="next"` } : {};
  json(state, response, rows.slice(offset, offset + state.pageSize), link);
}

const honestRows = new WeakMap<HubCommit, readonly Record<string, unknown>[]>();

function rowsOf(repository: HubRepository, commit: HubCommit): readonly Record<string, unknown>[] {
  if (repository.lies.length > 0) return makeRows(repository, commit);
  const rows = honestRows.get(commit) ?? makeRows(repository, commit);
  honestRows.set(commit, rows);
  return rows;
}

function makeRows(repository: HubRepository, commit: HubCommit): readonly Record<string, unknown>[] {
  const folders = [...treeOids(commit.entries.values())].filter(([path]) => path !== '');
  const rows: Record<string, unknown>[] = folders.map(([path, oid]) => ({
    type: 'directory',
    oid,
    size: 0,
    path,
  }));
  for (const entry of commit.entries.values()) {
    const lie = lieAbout(
      repository,
      ['wrong-size', 'wrong-digest', 'omitted', 'bad-path', 'duplicate'],
      entry.path,
    );
    if (lie === 'omitted') continue;
    const size = entry.sizeBytes + (lie === 'wrong-size' ? 1 : 0);
    const other = lie === 'wrong-digest';
    const lfs =
      entry.lfs === undefined
        ? {}
        : {
            lfs: {
              oid: other ? '0'.repeat(64) : entry.lfs.sha256,
              size,
              pointerSize: entry.lfs.pointer.length,
            },
            xetHash: entry.lfs.sha256,
          };
    const oid = other && entry.lfs === undefined ? '0'.repeat(40) : entry.gitOid;
    const row = { type: 'file', oid, size, path: lie === 'bad-path' ? '../escape' : entry.path, ...lfs };
    rows.push(row);
    if (lie === 'duplicate') rows.push(row);
  }
  if (lieAbout(repository, ['other-tree']) !== undefined)
    rows.push({ type: 'file', oid: '1'.repeat(40), size: 4, path: 'planted.py' });
  return rows;
}

function infoOf(repository: HubRepository, commit: HubCommit): Record<string, unknown> {
  return {
    _id: commit.id.slice(0, 24),
    id: repository.id,
    modelId: repository.id,
    sha: commit.id,
    private: false,
    gated: false,
    disabled: false,
    createdAt: '2025-10-09T08:53:20.000Z',
    lastModified: commit.date,
    tags: ['loopback', 'license:apache-2.0'],
    downloads: 7,
    likes: 3,
    pipeline_tag: 'feature-extraction',
    library_name: 'sentence-transformers',
    siblings: [...commit.entries.keys()].map((rfilename) => ({ rfilename })),
  };
}

function refsOf(repository: HubRepository): Record<string, unknown> {
  const rows = (prefix: string): unknown[] =>
    [...repository.refs]
      .filter(([ref]) => ref.startsWith(prefix))
      .map(([ref, targetCommit]) => ({ name: ref.slice(prefix.length), ref, targetCommit }));
  return {
    branches: rows('refs/heads/'),
    converts: [],
    tags: rows('refs/tags/'),
    pullRequests: rows('refs/pr/'),
  };
}

function json(
  state: HubState,
  response: ServerResponse,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(200, {
    ...bait(state, undefined),
    link: '',
    'content-type': 'application/json',
    ...headers,
  });
  response.end(JSON.stringify(value));
}

function absent(response: ServerResponse, code: string, message: string, status = 404): void {
  response.writeHead(status, {
    'x-error-code': code,
    'x-error-message': message,
    'content-type': 'application/json',
  });
  response.end(JSON.stringify({ error: message }));
}

function answerStatus(lie: Lie, response: ServerResponse): void {
  if (lie === 'silent') return;
  if (lie === 'status-429-ratelimit') {
    const limits = { ratelimit: '"api";r=0;t=2', 'ratelimit-policy': '"fixed window";"api";q=500;w=300' };
    return void response.writeHead(429, limits).end('busy');
  }
  const status = Number(lie.slice('status-'.length));
  response.writeHead(status, status === 500 ? {} : { 'retry-after': '1' }).end('busy');
}
