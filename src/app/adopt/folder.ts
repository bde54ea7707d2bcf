import { parseJson, isJsonObject } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { declaredBy, identityOf, joined } from './found.ts';
import type { DeclaredDigest, FoundFile, Notice } from './found.ts';
import type { FolderEntry } from './open-folder.ts';
import { writableByAll } from './survey.ts';
import type { Place, Survey } from './survey.ts';

/** Extensions under which loaders look for payload. Pictures, tables and archives alone make no model. */
const modelExtensions = new Set(
  (
    'safetensors bin pt pth ckpt ptl pte pkl pickle p joblib dill npy npz gguf ggml ggjt llamafile onnx ort h5 hdf5 ' +
    'keras pb tflite msgpack mlmodel caffemodel pdparams pdiparams nemo engine plan trt rknn dduf mar faiss ann'
  ).split(' '),
);

/** Files that stand at the top of a model, whatever lies in folders below belongs to it. */
const markers = new Set([
  'model_index.json',
  'modules.json',
  'adapter_config.json',
  'tokenizer_config.json',
  'hubconf.py',
  'saved_model.pb',
  'MLmodel',
]);
/** Many programs have a `config.json`; that of a model says what it is a model of. */
const configKeys = ['model_type', 'architectures', '_class_name', 'auto_map', 'quantization_config'];

/** What a folder is by what lies directly in it: the top of a model, a place with model files, or neither. */
export function folderRole(place: Place): 'model' | 'files' | 'neither' {
  if (isDownloadFolder(place) || place.entries.some((entry) => isMarker(place, entry))) return 'model';
  return place.entries.some((entry) => isModelFile(place, entry)) ? 'files' : 'neither';
}

/** Version control, clients' own files and locks are no part of a model. */
export function isLeftOut(name: string): boolean {
  return name === '.git' || name === '.cache' || name === '.locks' || name === '.no_exist';
}

function isMarker(place: Place, { name, kind }: FolderEntry): boolean {
  if (kind !== 'file') return false;
  if (markers.has(name)) return true;
  if (name !== 'config.json') return false;
  try {
    const text = place.folder.readText(name, 1024 * 1024);
    const value = text === undefined ? undefined : parseJson(text, { duplicateKeys: 'last' });
    return isJsonObject(value) && configKeys.some((key) => Object.hasOwn(value, key));
  } catch {
    return false;
  }
}

export function hasModelExtension(name: string): boolean {
  return modelExtensions.has(/\.([A-Za-z0-9]+)$/.exec(name)?.[1]?.toLowerCase() ?? '');
}

/** By name, or, for large files with other names, by their first bytes. */
function isModelFile(place: Place, { name, kind, stats }: FolderEntry): boolean {
  if (kind !== 'file') return false;
  if (hasModelExtension(name)) return true;
  if (stats.size < 64n * 1024n) return false;
  const head = place.folder.readHead(name, 16);
  if (head === undefined || head.length < 16) return false;
  const safetensors = head[8] === 0x7b && head.readBigUInt64LE(0) < BigInt(limits.safetensorsHeaderBytes);
  const pickle = head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 9) <= 5;
  return safetensors || pickle || ['GGUF', '\x89HDF'].includes(head.toString('latin1', 0, 4));
}

/** Did a hub client download into this folder (`local_dir`)? */
function isDownloadFolder(place: Place): boolean {
  if (!place.entries.some(({ name, kind }) => name === '.cache' && kind === 'folder')) return false;
  try {
    using cache = place.folder.enter('.cache');
    using client = cache.enter('huggingface');
    using download = client.enter('download');
    return download.stats().isDirectory();
  } catch {
    return false;
  }
}

/** What `local_dir` kept about its files: commit and etag by path. */
interface Downloaded {
  readonly commits: Set<string>;
  readonly declared: Map<string, DeclaredDigest>;
}

/** Takes a folder as one model: with everything below it (`model`) or with its own files only (`files`). */
export async function surveyFolder(
  survey: Survey,
  place: Place,
  role: 'model' | 'files',
  elsewhere: (place: Place) => Promise<boolean>,
): Promise<void> {
  const notices: Notice[] = [];
  const files: FoundFile[] = [];
  const downloaded = await readDownloads(survey, place, notices);
  await takeFiles({ survey, files, notices, downloaded, deep: role === 'model', elsewhere }, place, '');
  if (files.length === 0) {
    survey.notices.push(...notices);
    return;
  }
  const [commit] = downloaded.commits.size === 1 ? downloaded.commits : [];
  const fromHub = downloaded.declared.size > 0;
  const own = place.path === '' ? survey.root : place.path;
  survey.models.push({
    root: survey.root,
    name: commit === undefined ? lastNames(own) : `${lastNames(own)}@${commit.slice(0, 12)}`,
    layout: fromHub ? 'hub-folder' : 'folder',
    location: place.path,
    source: null,
    files,
    notices,
  });
}

interface FolderWalk {
  readonly survey: Survey;
  readonly files: FoundFile[];
  readonly notices: Notice[];
  readonly downloaded: Downloaded;
  readonly deep: boolean;
  /** Surveys a folder that has a layout of its own; false where it has none. */
  readonly elsewhere: (place: Place) => Promise<boolean>;
}

async function takeFiles(walk: FolderWalk, place: Place, prefix: string): Promise<void> {
  const { survey, files, notices, deep, downloaded } = walk;
  for (const entry of place.entries) {
    const path = joined(prefix, entry.name);
    const location = joined(place.path, entry.name);
    if (isLeftOut(entry.name)) continue;
    if (survey.takesPartial(entry, location, notices)) continue;
    if (entry.kind === 'folder') {
      if (!deep) continue;
      await survey.within(place, entry.name, notices, async (inside) => {
        if (!(await walk.elsewhere(inside))) await takeFiles(walk, inside, path);
      });
    } else if (entry.kind === 'file') {
      if ((entry.stats.mode & 0o002n) !== 0n) notices.push(writableByAll(location, 'file'));
      const declared = downloaded.declared.get(path);
      files.push({ path, location, identity: identityOf(entry.stats), declared });
    } else notices.push(notFollowed(location, entry.kind));
  }
}

/** A link, or what is no file at all, where files of models lie. */
export function notFollowed(path: string, kind: string): Notice {
  return {
    kind: 'unread',
    severity: 'medium',
    message: kind === 'link' ? 'a link was not followed' : 'this is no regular file',
    remedy: 'name the place it leads to on the command line, or put the file itself here',
    path,
  };
}

/** The last two names of a path: `org/model` where people keep models so. */
function lastNames(path: string): string {
  return path.split('/').filter(Boolean).slice(-2).join('/');
}

async function readDownloads(survey: Survey, place: Place, notices: Notice[]): Promise<Downloaded> {
  const found: Downloaded = { commits: new Set(), declared: new Map() };
  if (!isDownloadFolder(place)) return found;
  const descend = async (inside: Place, prefix: string): Promise<void> => {
    for (const entry of inside.entries) {
      const path = joined(prefix, entry.name);
      if (survey.takesPartial(entry, joined(inside.path, entry.name), notices)) continue;
      if (entry.kind === 'folder') {
        await survey.within(inside, entry.name, notices, (next) => descend(next, path));
      } else if (entry.kind === 'file' && entry.name.endsWith('.metadata')) {
        // Three lines: commit, etag, time of the download.
        const [commit = '', etag = ''] = inside.folder.readText(entry.name, 4_096)?.split('\n') ?? [];
        const declared = declaredBy(etag.trim());
        if (/^[0-9a-f]{40}$/.test(commit.trim())) found.commits.add(commit.trim());
        if (declared !== undefined) found.declared.set(path.slice(0, -'.metadata'.length), declared);
      }
    }
  };
  await survey.within(place, '.cache', notices, (cache) =>
    survey.within(cache, 'huggingface', notices, (client) =>
      survey.within(client, 'download', notices, (download) => descend(download, '')),
    ),
  );
  return found;
}
