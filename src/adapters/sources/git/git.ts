import type { Collected, SourceRequest, SourceSink } from '#artifact/source.ts';
import { Fault } from '#lib/fault.ts';
import { parsePathName } from '#lib/path-name.ts';
import type { Site } from '../site.ts';
import { fetchLfs, parsePointer, pointerBytes } from './lfs.ts';
import type { LfsFile } from './lfs.ts';
import { openGitObjects } from './object-store.ts';
import type { GitFile, GitObjects } from './object-store.ts';
import { fetchPack, resolveRevision } from './smart-http.ts';

/**
 * All files of one commit of a git repository, LFS included. History, submodules and hooks are not fetched; a link or a
 * submodule in the tree is refused, because leaving it out would make another artifact of it without saying so.
 */
export async function collectGit(
  site: Site,
  { url, revision }: Extract<SourceRequest, { kind: 'git' }>,
  sink: SourceSink,
): Promise<Collected> {
  const { signal } = sink;
  const remote = { site, url, signal };
  const commit = await resolveRevision(remote, revision);
  const bounds = { scratch: site.scratch, mostBytes: site.mostBytes, signal };
  await using objects = await openGitObjects(fetchPack(remote, commit), bounds);
  const files = await objects.tree(commit);
  for (const file of files) refuseOddEntry(file);
  const { plain, lfs } = await partFiles(objects, files);
  sink.expect({
    files: files.length,
    bytes: [...plain, ...lfs].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  });
  for (const file of plain) {
    const { path, sizeBytes, oid } = file;
    await sink.put({ path, sizeBytes, git: { oid, lfs: false } }, () => objects.read(file));
  }
  await fetchLfs(remote, lfs, sink);
  return { uri: `git+${url.href}@${commit}`, commit };
}

function refuseOddEntry({ mode, path }: GitFile): void {
  parsePathName(path);
  if (path.split('/').some((name) => name.toLowerCase() === '.git'))
    throw new Fault('path.invalid', 'the tree of the commit holds a name that git itself uses');
  if (mode === '120000') throw new Fault('file.link', `\`${path}\` is a symbolic link`);
  if (mode === '160000') throw new Fault('file.special', `\`${path}\` is a submodule`);
  if (mode !== '100644' && mode !== '100755' && mode !== '100664')
    throw new Fault('file.special', `\`${path}\` is not a regular file`);
}

async function partFiles(
  objects: GitObjects,
  files: readonly GitFile[],
): Promise<{ readonly plain: readonly GitFile[]; readonly lfs: readonly LfsFile[] }> {
  const plain: GitFile[] = [];
  const lfs: LfsFile[] = [];
  for (const file of files) {
    const small = file.sizeBytes < pointerBytes && file.sizeBytes > 0;
    const pointer = small ? parsePointer(await gather(objects.read(file))) : undefined;
    if (pointer === undefined) plain.push(file);
    else lfs.push({ ...pointer, path: file.path, oid: file.oid });
  }
  return { plain, lfs };
}

async function gather(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts);
}
