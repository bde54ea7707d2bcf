import type { Hub } from '#adapters/hub/hub.ts';
import { hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { roleOf } from '#artifact/roles.ts';
import { Fault } from '#lib/fault.ts';
import type { FoundModel } from './found.ts';
import type { Origin } from '../routes/adoption-report.ts';
import type { AdoptionState, ListedFile } from './state.ts';

/** A file of a model whose bytes are known. */
export interface MeasuredFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly digest: Digest;
  readonly gitOid: string | undefined;
}

export interface OriginAnswer {
  readonly origin: Origin;
  /** Files that upstream lists with other bytes at this commit. */
  readonly differing: readonly string[];
  /** Files that upstream does not list at this commit. */
  readonly unlisted: readonly string[];
  /** Where `main` is now, if that is another commit than the cache calls `main`. */
  readonly moved: string | undefined;
}

export interface Upstream {
  readonly hub: Pick<Hub, 'resolve' | 'tree'>;
  readonly url: URL;
}

/** Unanswered questions in a row after which upstream is left alone. */
const patience = 2;

/**
 * Asks upstream, one question after the other, what it lists at a commit, and holds the bytes that are here against the
 * answer: LFS files by SHA-256, the others by git blob id. Trees are kept in the state. Where upstream does not answer,
 * an origin stays `claimed`.
 */
export class OriginDesk {
  readonly #upstream: Upstream | undefined;
  readonly #state: AdoptionState;
  readonly #signal: AbortSignal;
  readonly #branches = new Map<string, string | undefined>();
  /** SHA-256 of an LFS file to the commits that list it, of those asked for in this run. */
  readonly #listings = new Map<string, Set<string>>();
  #silent = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** Without `upstream` nobody is asked. */
  constructor(upstream: Upstream | undefined, state: AdoptionState, signal: AbortSignal) {
    this.#upstream = upstream;
    this.#state = state;
    this.#signal = signal;
  }

  /** Answers come in the order of the calls. Throws only where the signal aborts. */
  prove(model: FoundModel, files: readonly MeasuredFile[]): Promise<OriginAnswer> {
    const answer = this.#turn.then(() => this.#prove(model, files));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async #prove(model: FoundModel, files: readonly MeasuredFile[]): Promise<OriginAnswer> {
    const { source, layout } = model;
    if (source === null) {
      const copied = this.#copyOf(files);
      if (copied?.kind === 'proved') return unproved('proved', copied.detail);
      if (copied !== undefined) return unproved(layout === 'folder' ? 'unknown' : 'claimed', copied.detail);
      if (layout === 'hub-folder')
        return unproved(
          'claimed',
          'a hub client kept commit and digests beside the files, but not of which repository',
        );
      if (layout === 'ollama')
        return unproved('claimed', 'the store names a registry, which cannot be asked for digests here');
      return unproved('unknown', 'nothing beside the files says where they are from');
    }
    if (source.commit === null) return unproved('claimed', 'the snapshot is not named by a commit');
    if (this.#upstream === undefined) return unproved('claimed', 'upstream was not asked');
    if (this.#silent >= patience)
      return unproved('claimed', 'upstream does not answer and was not asked again');
    try {
      const listed = await this.#tree(this.#upstream, { ...source, commit: source.commit });
      if (listed === undefined) {
        return unproved('claimed', 'upstream has no such repository or commit, or it is private there');
      }
      const moved = source.references.includes('main')
        ? await this.#branch(this.#upstream, source)
        : undefined;
      this.#silent = 0;
      return {
        ...compare(files, listed, this.#upstream.url),
        moved: moved === source.commit ? undefined : moved,
      };
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!(error instanceof Fault)) throw error;
      if (error.code === 'upstream.unavailable') this.#silent += 1;
      return unproved('claimed', error.message);
    }
  }

  /** A model that stands elsewhere as a copy of what upstream listed for a cache: found by the LFS ids of its weights. */
  #copyOf(
    files: readonly MeasuredFile[],
  ): { readonly kind: 'proved' | 'weights'; readonly detail: string } | undefined {
    const weights = files.filter(({ path }) => roleOf(path) === 'weights').map(({ digest }) => hexOf(digest));
    const [first] = weights;
    const uris = first === undefined ? [] : (this.#listings.get(first) ?? []);
    if (this.#upstream === undefined) return undefined;
    let detail: string | undefined;
    for (const uri of uris) {
      const listed = this.#state.treeOf(this.#upstream.url, uri) ?? [];
      const { differing, unlisted } = compare(files, listed, this.#upstream.url);
      if (differing.length + unlisted.length === 0) {
        const words = `all ${files.length} files are what \`${this.#upstream.url.host}\` lists at \`${uri}\``;
        return { kind: 'proved', detail: words };
      }
      const ids = new Set(listed.map(({ sha256 }) => sha256));
      if (weights.every((hex) => ids.has(hex)))
        detail ??= `its weights are those of \`${uri}\`, other files are not`;
    }
    return detail === undefined ? undefined : { kind: 'weights', detail };
  }

  #remember(uri: string, files: readonly ListedFile[]): readonly ListedFile[] {
    for (const { sha256 } of files) {
      if (sha256 === null) continue;
      const uris = this.#listings.get(sha256) ?? new Set();
      this.#listings.set(sha256, uris.add(uri));
    }
    return files;
  }

  async #tree(
    { hub, url }: Upstream,
    source: { readonly type: 'models' | 'datasets' | 'spaces'; readonly id: string; readonly commit: string },
  ): Promise<readonly ListedFile[] | undefined> {
    const uri = `hf://${source.type}/${source.id}@${source.commit}`;
    const known = this.#state.treeOf(url, uri);
    if (known !== undefined) return this.#remember(uri, known);
    const repository = { type: source.type, id: source.id };
    const resolved = await hub.resolve(repository, source.commit, this.#signal);
    if (resolved.kind === 'absent') return undefined;
    const tree = await hub.tree(repository, source.commit, this.#signal);
    const files = tree.map(({ path, sizeBytes, gitOid, lfsDigest }): ListedFile => ({
      path,
      sizeBytes,
      gitOid,
      sha256: lfsDigest === undefined ? null : hexOf(lfsDigest),
    }));
    this.#state.saveTree(url, uri, files);
    return this.#remember(uri, files);
  }

  async #branch(
    { hub }: Upstream,
    { type, id }: { readonly type: 'models' | 'datasets' | 'spaces'; readonly id: string },
  ): Promise<string | undefined> {
    const key = `${type}/${id}`;
    if (!this.#branches.has(key)) {
      const resolved = await hub.resolve({ type, id }, 'main', this.#signal);
      this.#branches.set(key, resolved.kind === 'found' ? resolved.commit : undefined);
    }
    return this.#branches.get(key);
  }
}

function unproved(state: Origin['state'], detail: string): OriginAnswer {
  return { origin: { state, detail }, differing: [], unlisted: [], moved: undefined };
}

function compare(
  files: readonly MeasuredFile[],
  listed: readonly ListedFile[],
  upstream: URL,
): Omit<OriginAnswer, 'moved'> {
  const rows = new Map(listed.map((row) => [row.path, row]));
  const differing: string[] = [];
  const unlisted: string[] = [];
  for (const file of files) {
    const row = rows.get(file.path);
    if (row === undefined) unlisted.push(file.path);
    else if (!isSame(file, row)) differing.push(file.path);
  }
  const wrong = differing.length + unlisted.length;
  const origin: Origin =
    files.length === 0
      ? { state: 'claimed', detail: 'none of its files could be read' }
      : wrong === 0
        ? {
            state: 'proved',
            detail: `all ${files.length} files are what \`${upstream.host}\` lists at this commit`,
          }
        : {
            state: 'contradicted',
            detail: `${wrong} of ${files.length} files are not what \`${upstream.host}\` lists at this commit`,
          };
  return { origin, differing, unlisted };
}

function isSame(file: MeasuredFile, row: ListedFile): boolean {
  if (file.sizeBytes !== row.sizeBytes) return false;
  return row.sha256 === null ? file.gitOid === row.gitOid : hexOf(file.digest) === row.sha256;
}
