import type { FastifyReply } from 'fastify';
import type { RepositoryName, RepositoryType } from '#artifact/catalog.ts';
import { Fault } from '#lib/fault.ts';
import { isJsonObject, parseJson } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import type { Exchange } from './exchange.ts';
import type { ListedFile, Listing } from './ports.ts';
import { sendAbsent } from './refusal.ts';
import { commitRow, expandEntry, refsAnswer, repositoryInfo, summary } from './repository-answers.ts';
import type { PullPorts } from './settings.ts';
import { indexTree, lfsPointer, pageTree } from './tree.ts';

const pageSize = 1_000;

/** `GET /api/{type}/{id}[/revision/{rev}]`. Also warms the intake up, so that the files are judged side by side. */
export function answerInfo(ports: PullPorts, exchange: Exchange, listing: Listing): FastifyReply {
  warm(ports, listing);
  return exchange.reply.header('x-repo-commit', listing.commit).send(repositoryInfo(listing));
}

export function answerCommits(exchange: Exchange, listing: Listing): FastifyReply {
  return exchange.reply.send([commitRow(listing)]);
}

/** `GET /api/{type}/{id}/tree/{rev}[/{path}]`, 1 000 rows a page, the next page pinned to the commit. */
export function answerTree(
  ports: PullPorts,
  exchange: Exchange,
  listing: Listing,
  path: string | undefined,
): FastifyReply {
  const { reply, asked } = exchange;
  const { query } = asked;
  warm(ports, listing);
  const [recursive, expand] = [flag(query, 'recursive'), flag(query, 'expand')];
  const limit = pageLimit(query);
  const after = decodeCursor(query.get('cursor'));
  const page = pageTree(indexTree(listing), { path, recursive, limit, after });
  if (page === undefined) {
    reply.header('x-repo-commit', listing.commit);
    return sendAbsent(reply, 'EntryNotFound', `there is no directory \`${path ?? ''}\` in this commit`);
  }
  if (page.after !== undefined) {
    const { type, id } = listing.repository;
    const tail = path === undefined ? '' : `/${path.split('/').map(encodeURIComponent).join('/')}`;
    const cursor = encodeCursor(page.after);
    const next = `/api/${type}/${id}/tree/${listing.commit}${tail}?recursive=${recursive}&expand=${expand}&limit=${limit}&cursor=${cursor}`;
    reply.header('link', nextLink(ports, exchange, next));
  }
  const entries = expand ? page.entries.map((entry) => expandEntry(entry, listing)) : page.entries;
  return reply.header('x-repo-commit', listing.commit).send(entries);
}

/** `POST /api/{type}/{id}/paths-info/{rev}`, form-encoded or JSON. Unknown paths are left out. */
export function answerPathsInfo(exchange: Exchange, listing: Listing): FastifyReply {
  const { paths, expand } = readPathsBody(exchange);
  const { byPath } = indexTree(listing);
  const entries = [...new Set(paths)].flatMap((path) => byPath.get(path) ?? []);
  const answer = expand ? entries.map((entry) => expandEntry(entry, listing)) : entries;
  return exchange.reply.header('x-repo-commit', listing.commit).send(answer);
}

interface PathsBody {
  readonly paths: readonly string[];
  readonly expand: boolean;
}

function readPathsBody({ request }: Exchange): PathsBody {
  const body = request.body instanceof Uint8Array ? request.body : new Uint8Array();
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  const read = type === 'application/json' ? readJsonPaths(body) : readFormPaths(body);
  if (read.paths.length > limits.pathsPerRequest) {
    throw new Fault('limit.exceeded', `more than ${limits.pathsPerRequest} paths in one request`);
  }
  return read;
}

function readFormPaths(body: Uint8Array): PathsBody {
  const form = new URLSearchParams(Buffer.from(body).toString('utf8'));
  return { paths: form.getAll('paths'), expand: flag(form, 'expand') };
}

function readJsonPaths(body: Uint8Array): PathsBody {
  const value = parseJson(body, { bytes: limits.requestBytes });
  if (!isJsonObject(value)) throw new Fault('request.invalid', 'the body is not a JSON object');
  const { paths, expand } = value;
  const list = isText(paths) ? [paths] : paths;
  if (!Array.isArray(list) || !list.every(isText)) {
    throw new Fault('request.invalid', '`paths` is not a list of strings');
  }
  return { paths: list, expand: expand === true };
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** `raw` of an LFS file: the pointer that git holds, made of what the tree says anyway. */
export function answerRaw(reply: FastifyReply, listing: Listing, file: ListedFile): FastifyReply {
  const sha256 = file.lfsDigest?.slice('sha256:'.length) ?? '';
  return reply
    .header('x-repo-commit', listing.commit)
    .header('etag', `"${file.gitOid}"`)
    .header('x-content-type-options', 'nosniff')
    .header('content-security-policy', "default-src 'none'; sandbox")
    .header('content-disposition', 'attachment')
    .type('text/plain; charset=utf-8')
    .send(lfsPointer(sha256, file.sizeBytes));
}

/** `GET /api/{type}/{id}/refs`. */
export async function answerRefs(
  ports: PullPorts,
  { reply, principal }: Exchange,
  repository: RepositoryName,
): Promise<FastifyReply> {
  const refs = await ports.intake.refs(principal.namespace, repository);
  if (refs === undefined)
    return sendAbsent(reply, 'RepoNotFound', `there is no repository \`${repository.id}\``);
  return reply.send(refsAnswer(refs));
}

/** `GET /api/{type}`: what this namespace has seen. */
export async function answerList(
  ports: PullPorts,
  exchange: Exchange,
  type: RepositoryType,
): Promise<FastifyReply> {
  const { reply, principal, asked } = exchange;
  const { query } = asked;
  const [search, author] = [query.get('search') ?? undefined, query.get('author') ?? undefined];
  const limit = pageLimit(query);
  const after = decodeCursor(query.get('cursor'));
  const page = await ports.intake.list(principal.namespace, { type, search, author, limit, after });
  if (page.next !== undefined) {
    const next = new URLSearchParams({ limit: String(limit), cursor: encodeCursor(page.next) });
    if (search !== undefined) next.set('search', search);
    if (author !== undefined) next.set('author', author);
    reply.header('link', nextLink(ports, exchange, `/api/${type}?${next.toString()}`));
  }
  return reply.send(page.repositories.map(({ id, commit, card }) => summary(type, id, commit, card)));
}

/** Starts the intake without waiting for it; how it ends is told to whoever asks for a file. */
function warm(ports: PullPorts, listing: Listing): void {
  const signal = AbortSignal.timeout(60_000);
  ports.intake.want(listing, [], { waitMs: 0, signal }).catch(() => undefined);
}

function flag(query: URLSearchParams, name: string): boolean {
  return /^(?:true|1|yes)$/i.test(query.get(name) ?? '');
}

function pageLimit(query: URLSearchParams): number {
  const text = query.get('limit') ?? '';
  if (!/^\d{1,9}$/.test(text)) return pageSize;
  return Math.min(pageSize, Math.max(1, Number(text)));
}

function encodeCursor(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url');
}

function decodeCursor(text: string | null): string | undefined {
  return text === null ? undefined : Buffer.from(text, 'base64url').toString('utf8');
}

/** RFC 8288, absolute as clients want it. The authority is the configured one, else the well-formed `Host`. */
function nextLink(ports: PullPorts, { request, asked }: Exchange, path: string): string {
  const { publicUrl } = ports.settings;
  const host = request.headers.host ?? '';
  if (publicUrl === undefined && !/^[\w.-]+(?::\d{1,5})?$|^\[[0-9a-f:.]+\](?::\d{1,5})?$/i.test(host)) {
    throw new Fault('request.invalid', 'the `Host` header is malformed');
  }
  const base = publicUrl ?? `http://${host}`;
  const namespace = asked.namespace === undefined ? '' : `/hf/${asked.namespace}`;
  return `<${base.replace(/\/$/, '')}${namespace}${path}>; rel="next"`;
}
