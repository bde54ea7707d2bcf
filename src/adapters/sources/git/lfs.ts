import { digestOfHex, hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { SourceSink } from '#artifact/source.ts';
import { Fault } from '#lib/fault.ts';
import { isJsonObject } from '#lib/json.ts';
import type { JsonValue } from '#lib/json.ts';
import { download } from '../download.ts';
import { askJson, authorizationFor } from '../site.ts';
import type { GitRemote } from './smart-http.ts';

/** What a pointer stands for. */
export interface LfsPointer {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface LfsFile extends LfsPointer {
  readonly path: string;
  /** git id of the pointer. */
  readonly oid: string;
}

/** A pointer is smaller than this (git-lfs "Pointer specification"). */
export const pointerBytes = 1024;

const mediaType = 'application/vnd.git-lfs+json';
/** Objects of one batch: few enough that no link grows old before it is used. */
const batchObjects = 50;
const headerName = /^[A-Za-z0-9-]{1,100}$/;
/** Headers of a link that would make the request another one. */
const ownHeaders = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'range', 'expect']);

/** The pointer in a small file, undefined where it is an ordinary file. */
export function parsePointer(bytes: Uint8Array): LfsPointer | undefined {
  if (bytes.length >= pointerBytes) return undefined;
  const text = Buffer.from(bytes).toString('utf8');
  if (!text.startsWith('version https://git-lfs.github.com/spec/v1\n')) return undefined;
  const oid = /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1];
  const size = /^size (\d{1,15})$/m.exec(text)?.[1];
  return oid === undefined || size === undefined
    ? undefined
    : { digest: digestOfHex(oid), sizeBytes: Number(size) };
}

/**
 * The files behind pointers, by the batch API and the basic transfer (git-lfs "Batch API", "Basic Transfers"). The server
 * is the one of the repository: a `.lfsconfig` that names another is not followed. Every link is judged as any address is,
 * and what comes must have the size and the SHA-256 of its pointer.
 */
export async function fetchLfs(
  remote: GitRemote,
  files: readonly LfsFile[],
  sink: SourceSink,
): Promise<void> {
  for (let start = 0; start < files.length; start += batchObjects) {
    const part = files.slice(start, start + batchObjects);
    const links = await askBatch(remote, part);
    for (const file of part) {
      const link = links.get(hexOf(file.digest));
      const git = { oid: file.oid, lfs: true };
      await sink.put({ path: file.path, sizeBytes: file.sizeBytes, digest: file.digest, git }, () => {
        if (link === undefined) throw lied(`names no link for \`${file.path}\``);
        return download(remote.site, {
          url: link.url,
          signal: remote.signal,
          sizeBytes: file.sizeBytes,
          headers: () => ({ ...ownProof(remote, link.url), ...link.headers }),
        });
      });
    }
  }
}

/** The server chooses where a link leads; our credential for another host of ours is not at its disposal. */
function ownProof({ site, url }: GitRemote, link: URL): Readonly<Record<string, string>> {
  return link.host === url.host ? authorizationFor(site, link) : {};
}

interface Link {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

const lied = (why: string): Fault => new Fault('upstream.lied', `the LFS server ${why}`);

async function askBatch(remote: GitRemote, files: readonly LfsFile[]): Promise<ReadonlyMap<string, Link>> {
  const { site, url, signal } = remote;
  const base = url.href.endsWith('.git') ? url.href : `${url.href}.git`;
  const asked = new URL(`${base}/info/lfs/objects/batch`);
  const objects = new Map(files.map(({ digest, sizeBytes }) => [hexOf(digest), sizeBytes]));
  const body = Buffer.from(
    JSON.stringify({
      operation: 'download',
      transfers: ['basic'],
      hash_algo: 'sha256',
      objects: [...objects].map(([oid, size]) => ({ oid, size })),
    }),
  );
  const answer = await askJson(site, {
    url: asked,
    signal,
    body,
    headers: {
      ...authorizationFor(site, asked),
      accept: mediaType,
      'content-type': mediaType,
      'content-length': String(body.length),
    },
  });
  const rows = isJsonObject(answer) ? answer['objects'] : undefined;
  if (!Array.isArray(rows)) throw lied('answers without objects');
  if (isJsonObject(answer) && ![undefined, 'basic'].includes(answer['transfer'] as string | undefined))
    throw lied('chooses a transfer that was not offered');
  return new Map(rows.flatMap((row: JsonValue) => linkOf(row)));
}

function linkOf(row: JsonValue): readonly (readonly [string, Link])[] {
  if (!isJsonObject(row) || typeof row['oid'] !== 'string')
    throw lied('answers about an object without a name');
  if (isJsonObject(row['error'])) {
    const missing = row['error']['code'] === 404 || row['error']['code'] === 410;
    if (missing)
      throw new Fault('source.absent', `the LFS server has no object \`${row['oid'].slice(0, 64)}\``);
    throw lied(`refuses object \`${row['oid'].slice(0, 64)}\``);
  }
  const actions = isJsonObject(row['actions']) ? row['actions'] : {};
  const action = actions['download'];
  if (!isJsonObject(action)) return [];
  const { href, header } = action;
  if (typeof href !== 'string' || !URL.canParse(href)) throw lied('names a link that is none');
  const headers = Object.entries(isJsonObject(header) ? header : {}).flatMap(([name, value]) => {
    const plain = typeof value === 'string' && /^[\x20-\x7e]{0,8192}$/.test(value) && headerName.test(name);
    if (!plain) throw lied('names a header that is none');
    return ownHeaders.has(name.toLowerCase()) ? [] : [[name.toLowerCase(), value] as const];
  });
  return [[row['oid'], { url: new URL(href), headers: Object.fromEntries(headers) }]];
}
