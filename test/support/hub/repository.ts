import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Readable } from 'node:stream';

/** A file in LFS that exists only as the ranges that are asked for; its SHA-256 is what it says. */
export interface GeneratedContent {
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly read: HubEntry['read'];
}

/** Bytes in memory, a file on disk that is read when it is asked for, or bytes made when they are asked for. */
export type HubContent = string | Uint8Array | { readonly file: string } | GeneratedContent;

/** A file as git and LFS hold it. */
export interface HubEntry {
  readonly path: string;
  readonly sizeBytes: number;
  /** git blob id; for an LFS file of its pointer. */
  readonly gitOid: string;
  /** SHA-256 and pointer of an LFS file. */
  readonly lfs: { readonly sha256: string; readonly pointer: string } | undefined;
  read(range: { readonly start: number; readonly end: number }): Readable | Uint8Array;
}

export interface HubCommit {
  readonly id: string;
  readonly entries: ReadonlyMap<string, HubEntry>;
  readonly date: string;
}

const lfsExtensions = new Set([
  '.bin',
  '.safetensors',
  '.gguf',
  '.pt',
  '.pth',
  '.onnx',
  '.h5',
  '.pkl',
  '.ckpt',
  '.npz',
  '.zip',
  '.tar',
]);
const lfsFromBytes = 1024 * 1024;

function lfsEntry(path: string, { sizeBytes, sha256, read }: GeneratedContent): HubEntry {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${sizeBytes}\n`;
  return { path, sizeBytes, gitOid: gitOid('blob', Buffer.from(pointer)), lfs: { sha256, pointer }, read };
}

export async function entryOf(path: string, content: HubContent): Promise<HubEntry> {
  if (typeof content === 'object' && 'sha256' in content) return lfsEntry(path, content);
  const onDisk = typeof content === 'object' && 'file' in content ? content.file : undefined;
  const bytes = onDisk === undefined ? Buffer.from(content as string | Uint8Array) : undefined;
  const sizeBytes = bytes?.length ?? (await stat(onDisk ?? '')).size;
  const read: HubEntry['read'] = ({ start, end }) =>
    bytes?.subarray(start, end) ??
    createReadStream(onDisk ?? '', { start, end: Math.max(start, end - 1), highWaterMark: 1024 * 1024 });
  if (lfsExtensions.has(extname(path)) || sizeBytes > lfsFromBytes) {
    const sha256 = bytes === undefined ? await hashFile('sha256', onDisk ?? '') : hash('sha256', bytes);
    return lfsEntry(path, { sizeBytes, sha256, read });
  }
  const whole = bytes ?? (await readWhole(onDisk ?? ''));
  return { path, sizeBytes, gitOid: gitOid('blob', whole), lfs: undefined, read };
}

function hash(algorithm: 'sha1' | 'sha256', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}

async function hashFile(algorithm: 'sha256', path: string): Promise<string> {
  const hashing = createHash(algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }))
    hashing.update(chunk as Buffer);
  return hashing.digest('hex');
}

async function readWhole(path: string): Promise<Buffer> {
  await using file = await open(path);
  return file.readFile();
}

export function gitOid(type: 'blob' | 'tree' | 'commit', bytes: Uint8Array): string {
  return createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex');
}

/** Every directory's git tree id; the root's key is the empty path. */
export function treeOids(entries: Iterable<HubEntry>): ReadonlyMap<string, string> {
  const children = new Map<string, { name: string; mode: string; oid: string }[]>([['', []]]);
  const into = (folder: string): { name: string; mode: string; oid: string }[] => {
    const found = children.get(folder);
    if (found !== undefined) return found;
    const made: { name: string; mode: string; oid: string }[] = [];
    children.set(folder, made);
    if (folder !== '') into(parent(folder));
    return made;
  };
  for (const { path, gitOid: oid } of entries)
    into(parent(path)).push({ name: base(path), mode: '100644', oid });
  const oids = new Map<string, string>();
  for (const folder of [...children.keys()].sort((a, b) => b.length - a.length)) {
    const rows = (children.get(folder) ?? []).sort((a, b) => Buffer.compare(sortKey(a), sortKey(b)));
    const oid = gitOid(
      'tree',
      Buffer.concat(
        rows.flatMap(({ mode, name, oid }) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, 'hex')]),
      ),
    );
    oids.set(folder, oid);
    if (folder !== '') into(parent(folder)).push({ name: base(folder), mode: '40000', oid });
  }
  return oids;
}

function sortKey({ name, mode }: { readonly name: string; readonly mode: string }): Buffer {
  return Buffer.from(mode === '40000' ? `${name}/` : name);
}

function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function base(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** A git commit object's id, so that the same files after the same parent are the same commit on every machine. */
export function commitOid(tree: string, before: string | undefined, atSeconds: number): string {
  const who = `Loopback Hub <hub@loopback.invalid> ${atSeconds} +0000`;
  const parentLine = before === undefined ? '' : `parent ${before}\n`;
  return gitOid(
    'commit',
    Buffer.from(`tree ${tree}\n${parentLine}author ${who}\ncommitter ${who}\n\nupload\n`),
  );
}

/** All regular files under a folder as contents by relative path. */
export async function readFolder(root: string): Promise<Readonly<Record<string, HubContent>>> {
  const files: Record<string, HubContent> = {};
  for (const item of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!item.isFile()) continue;
    const file = join(item.parentPath, item.name);
    files[file.slice(root.length).replace(/^\/+/, '')] = { file };
  }
  return files;
}
