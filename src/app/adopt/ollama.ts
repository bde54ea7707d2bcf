import { isJsonObject, parseJson } from '#lib/json.ts';
import type { JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { identityOf, joined } from './found.ts';
import type { FoundFile, Notice } from './found.ts';
import type { FolderEntry, OpenFolder } from './open-folder.ts';
import { outsideLink, writableByAll } from './survey.ts';
import type { Place, Survey } from './survey.ts';
import { sizeWords } from './words.ts';

/** Does the folder hold the two folders of an Ollama store? The blobs say whether it is one. */
export function isOllamaStore({ entries, folder }: Place): boolean {
  const has = (name: string) => entries.some((entry) => entry.name === name && entry.kind === 'folder');
  if (!has('manifests') || !has('blobs')) return false;
  try {
    using blobs = folder.enter('blobs');
    return blobs.list(1_000).entries.some(({ name }) => /^sha256[-:][0-9a-f]{64}$/.test(name));
  } catch {
    // It cannot be read; the search that follows says so.
    return false;
  }
}

interface Blobs {
  readonly path: string;
  readonly files: ReadonlyMap<string, FolderEntry>;
  readonly used: Set<string>;
  /** What the bytes of a blob begin with says under which name a model holds it. */
  readonly magic: (name: string) => string;
}

/** Every manifest of the store is a model: `manifests/<registry>/<namespace>/<model>/<tag>` over shared blobs. */
export async function surveyOllama(survey: Survey, place: Place): Promise<void> {
  const notices: Notice[] = [];
  await survey.within(place, 'blobs', notices, async (inside) => {
    const blobs = takeBlobs(survey, inside, notices);
    await survey.within(place, 'manifests', notices, (manifests) =>
      takeManifests(survey, blobs, manifests, []),
    );
    for (const [name, entry] of blobs.files) {
      if (blobs.used.has(name)) continue;
      survey.unreferencedBytes += Number(entry.stats.size);
      notices.push({
        kind: 'unreferenced',
        severity: 'low',
        message: `${sizeWords(Number(entry.stats.size))} that no manifest uses; they were not scanned`,
        remedy: 'restart the Ollama server, which prunes its store, or delete them',
        path: joined(blobs.path, name),
      });
    }
  });
  survey.notices.push(...notices);
}

function takeBlobs(survey: Survey, { path, entries, folder }: Place, notices: Notice[]): Blobs {
  const files = new Map<string, FolderEntry>();
  for (const entry of entries) {
    const below = joined(path, entry.name);
    if (survey.takesPartial(entry, below, notices)) continue;
    const hex = /^sha256[-:]([0-9a-f]{64})$/.exec(entry.name)?.[1];
    if (entry.kind === 'link') notices.push(outsideLink(below, 'a link in the place of a blob'));
    else if (entry.kind === 'file' && hex !== undefined) files.set(entry.name, entry);
  }
  return { path, files, used: new Set(), magic: (name) => magicOf(folder, name) };
}

function magicOf(folder: OpenFolder, name: string): string {
  return folder.readHead(name, 4)?.toString('latin1') ?? '';
}

async function takeManifests(
  survey: Survey,
  blobs: Blobs,
  place: Place,
  names: readonly string[],
): Promise<void> {
  const notices: Notice[] = [];
  for (const entry of place.entries) {
    const path = joined(place.path, entry.name);
    if (entry.kind === 'folder') {
      await survey.within(place, entry.name, notices, (inside) =>
        takeManifests(survey, blobs, inside, [...names, entry.name]),
      );
    } else if (entry.kind === 'file') {
      const text = place.folder.readText(entry.name, limits.ollamaManifestBytes);
      const layers = text === undefined ? undefined : layersOf(text);
      if (layers === undefined) {
        survey.unread(path, 'this is not a manifest', notices);
        continue;
      }
      const own: Notice[] = [];
      const files = layers.flatMap((layer, index) => takeLayer(survey, blobs, { layer, index, path }, own));
      const name = `${names.slice(1).join('/')}:${entry.name}`;
      if (files.length === 0) notices.push(...own);
      else {
        survey.models.push({
          root: survey.root,
          name,
          layout: 'ollama',
          location: path,
          source: null,
          files,
          notices: own,
        });
      }
    } else notices.push(outsideLink(path, 'not a regular file'));
  }
  survey.notices.push(...notices);
}

interface Layer {
  readonly kind: string;
  readonly hex: string;
}

/** The layers and the configuration that a manifest names (OCI image manifest, Ollama's media types). */
function layersOf(text: string): readonly Layer[] | undefined {
  let manifest: JsonValue;
  try {
    manifest = parseJson(text, { depth: 16, bytes: limits.ollamaManifestBytes, duplicateKeys: 'last' });
  } catch {
    return undefined;
  }
  const layers = isJsonObject(manifest) ? manifest['layers'] : undefined;
  if (!isJsonObject(manifest) || !Array.isArray(layers)) return undefined;
  const rows: readonly JsonValue[] = [manifest['config'] ?? null, ...layers];
  return rows.flatMap((row, index) => {
    const { digest, mediaType } = isJsonObject(row) ? row : {};
    const hex = typeof digest === 'string' ? /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1] : undefined;
    if (hex === undefined) return [];
    const last = typeof mediaType === 'string' ? (mediaType.split('.').at(-1) ?? '') : '';
    return [{ hex, kind: index === 0 ? 'config' : last }];
  });
}

function takeLayer(
  survey: Survey,
  blobs: Blobs,
  { layer, index, path }: { readonly layer: Layer; readonly index: number; readonly path: string },
  notices: Notice[],
): readonly FoundFile[] {
  const name = [`sha256-${layer.hex}`, `sha256:${layer.hex}`].find((one) => blobs.files.has(one));
  const blob = name === undefined ? undefined : blobs.files.get(name);
  if (name === undefined || blob === undefined) {
    notices.push({
      kind: 'partial',
      severity: 'low',
      message: `the manifest names \`sha256:${layer.hex}\`, whose bytes are not in the store`,
      remedy: 'pull the model again, or remove it',
      path,
    });
    return [];
  }
  blobs.used.add(name);
  const location = joined(blobs.path, name);
  if ((blob.stats.mode & 0o002n) !== 0n) notices.push(writableByAll(location, 'file'));
  const file: FoundFile = {
    path: nameOf(layer.kind, index, blobs.magic(name)),
    location,
    identity: identityOf(blob.stats),
    declared: { kind: 'sha256', hex: layer.hex },
  };
  return [file];
}

/** A store has no file names: a layer is called by its media type, its place and what its bytes begin with. */
function nameOf(kind: string, index: number, magic: string): string {
  if (index === 0) return 'config.json';
  const known = ['model', 'projector', 'adapter', 'template', 'params', 'license', 'system', 'messages'];
  const name = `${known.includes(kind) ? kind : 'layer'}-${index}`;
  if (magic === 'GGUF') return `${name}.gguf`;
  if (kind === 'params' || kind === 'messages') return `${name}.json`;
  if (kind === 'template' || kind === 'license' || kind === 'system') return `${name}.txt`;
  return `${name}.weights`;
}
