import { join } from 'node:path';
import { declaredBy, identityOf, joined } from './found.ts';
import type { FoundFile, FoundModel, Notice } from './found.ts';
import type { FolderEntry } from './open-folder.ts';
import { outsideLink, writableByAll } from './survey.ts';
import type { Place, Survey } from './survey.ts';
import { sizeWords } from './words.ts';

/** Name of a repository's folder in a hub cache: `models--org--name`. */
const folderName = /^(models|datasets|spaces)--(.+)$/;

export function isRepositoryName(name: string): boolean {
  return folderName.test(name);
}

/** Does the folder hold what a hub client puts there? A name alone proves nothing. */
export function isRepositoryCache({ entries }: Pick<Place, 'entries'>): boolean {
  const folders = new Set(entries.filter(({ kind }) => kind === 'folder').map(({ name }) => name));
  return folders.has('snapshots') || (folders.has('blobs') && folders.has('refs'));
}

interface Repository {
  readonly type: 'models' | 'datasets' | 'spaces';
  readonly id: string;
}

function parseRepository(name: string): Repository | undefined {
  const [, type, rest] = folderName.exec(name) ?? [];
  if (rest === undefined || (type !== 'models' && type !== 'datasets' && type !== 'spaces')) return undefined;
  return { type, id: rest.replace('--', '/') };
}

interface Blobs {
  readonly path: string;
  readonly files: ReadonlyMap<string, FolderEntry>;
  readonly used: Set<string>;
}

/**
 * One `models--org--name` folder: each snapshot is a model at a commit. Links of a snapshot are read as text and are
 * followed only where the text leads to a regular file directly in the same folder's `blobs/`; the name of the blob is
 * the digest that the bytes must have.
 */
export async function surveyRepository(survey: Survey, place: Place, name: string): Promise<void> {
  const notices: Notice[] = [];
  const models: FoundModel[] = [];
  const repository = parseRepository(name);
  const has = (child: string) =>
    place.entries.some((entry) => entry.name === child && entry.kind === 'folder');
  const blobs: Blobs = (has('blobs')
    ? await survey.within(place, 'blobs', notices, async (inside) => takeBlobs(survey, inside, notices))
    : undefined) ?? { path: joined(place.path, 'blobs'), files: new Map(), used: new Set() };
  const references = has('refs') ? await readReferences(survey, place, notices) : new Map<string, string[]>();
  if (has('snapshots')) {
    await survey.within(place, 'snapshots', notices, async (snapshots) => {
      for (const entry of snapshots.entries) {
        if (entry.kind !== 'folder') continue;
        const commit = /^[0-9a-f]{40}$/.test(entry.name) ? entry.name : null;
        const own: Notice[] = [];
        const files: FoundFile[] = [];
        await survey.within(snapshots, entry.name, own, (inside) =>
          takeSnapshot({ survey, blobs, repositoryPath: place.path, files, notices: own }, inside, ''),
        );
        if (files.length === 0) {
          notices.push(...own);
          continue;
        }
        models.push({
          root: survey.root,
          name: repository === undefined ? name : repository.id,
          layout: 'hub-cache',
          location: joined(snapshots.path, entry.name),
          source: repository === undefined ? null : sourceOf(repository, commit, references),
          files,
          notices: own,
        });
      }
    });
  }
  for (const [blob, entry] of blobs.files) {
    if (blobs.used.has(blob)) continue;
    survey.unreferencedBytes += Number(entry.stats.size);
    notices.push(unreferenced(joined(blobs.path, blob), entry));
  }
  survey.models.push(...models);
  survey.notices.push(...notices);
}

function sourceOf(
  { type, id }: Repository,
  commit: string | null,
  references: ReadonlyMap<string, readonly string[]>,
): FoundModel['source'] {
  return { type, id, commit, references: (references.get(commit ?? '') ?? []).slice(0, 100) };
}

function takeBlobs(survey: Survey, { path, entries }: Place, notices: Notice[]): Blobs {
  const files = new Map<string, FolderEntry>();
  for (const entry of entries) {
    const below = joined(path, entry.name);
    if (survey.takesPartial(entry, below, notices)) continue;
    if (entry.kind === 'file') files.set(entry.name, entry);
    else notices.push(outsideLink(below, entry.kind));
  }
  return { path, files, used: new Set() };
}

/** Commit to the names that a client resolved to it. */
async function readReferences(
  survey: Survey,
  place: Place,
  notices: Notice[],
): Promise<ReadonlyMap<string, string[]>> {
  const found = new Map<string, string[]>();
  const descend = async (inside: Place, prefix: string): Promise<void> => {
    for (const { name, kind } of inside.entries) {
      const reference = joined(prefix, name);
      if (kind === 'folder') {
        await survey.within(inside, name, notices, (next) => descend(next, reference));
      } else if (kind === 'file') {
        const commit = inside.folder.readText(name, 200)?.trim() ?? '';
        if (/^[0-9a-f]{40}$/.test(commit)) found.set(commit, [...(found.get(commit) ?? []), reference]);
      }
    }
  };
  await survey.within(place, 'refs', notices, (inside) => descend(inside, ''));
  return found;
}

interface SnapshotWalk {
  readonly survey: Survey;
  readonly blobs: Blobs;
  readonly repositoryPath: string;
  readonly files: FoundFile[];
  readonly notices: Notice[];
}

async function takeSnapshot(walk: SnapshotWalk, place: Place, prefix: string): Promise<void> {
  const { survey, blobs, files, notices } = walk;
  for (const entry of place.entries) {
    const path = joined(prefix, entry.name);
    const location = joined(place.path, entry.name);
    if (survey.takesPartial(entry, location, notices)) continue;
    if (entry.kind === 'folder') {
      await survey.within(place, entry.name, notices, (inside) => takeSnapshot(walk, inside, path));
    } else if (entry.kind === 'file') {
      // A client on a file system without links puts the file itself here; nothing but upstream says what it must be.
      if ((entry.stats.mode & 0o002n) !== 0n) notices.push(writableByAll(location, 'file'));
      files.push({ path, location, identity: identityOf(entry.stats), declared: undefined });
    } else if (entry.kind === 'link') {
      const target = survey.attempt(location, notices, () => place.folder.readLink(entry.name));
      if (target === undefined) continue;
      const name = blobNameOf(walk, place.path, target);
      const blob = name === undefined ? undefined : blobs.files.get(name);
      if (name === undefined) notices.push(outsideLink(location, target));
      else if (blob === undefined) notices.push(missingBlob(location));
      else {
        blobs.used.add(name);
        const at = joined(blobs.path, name);
        if ((blob.stats.mode & 0o002n) !== 0n) notices.push(writableByAll(at, 'file'));
        files.push({ path, location: at, identity: identityOf(blob.stats), declared: declaredBy(name) });
      }
    } else notices.push(outsideLink(location, 'a special file'));
  }
}

/**
 * The blob that a link's text leads to. Every folder on the way to the link was opened as a folder, so taking `..` apart
 * as text says what the kernel would do.
 */
function blobNameOf(walk: SnapshotWalk, folder: string, target: string): string | undefined {
  const { root } = walk.survey;
  const led = target.startsWith('/') ? join(target) : join(root, folder, target);
  const prefix = `${join(root, walk.blobs.path)}/`;
  if (!led.startsWith(prefix)) return undefined;
  const name = led.slice(prefix.length);
  return name === '' || name.includes('/') ? undefined : name;
}

function missingBlob(path: string): Notice {
  return {
    kind: 'partial',
    severity: 'low',
    message: 'the snapshot names a file whose bytes are not in the cache',
    remedy: 'download it again, or delete the snapshot',
    path,
  };
}

function unreferenced(path: string, { stats }: FolderEntry): Notice {
  return {
    kind: 'unreferenced',
    severity: 'low',
    message: `${sizeWords(Number(stats.size))} that no snapshot uses; they were not scanned`,
    remedy: 'delete them with the hub client: `hf cache prune`',
    path,
  };
}
