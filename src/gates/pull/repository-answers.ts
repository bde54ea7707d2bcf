import type { Listing, Principal, RepositoryCard, RepositoryRef, RepositoryRefs } from './ports.ts';
import { indexTree, type TreeEntry } from './tree.ts';

const epoch = '1970-01-01T00:00:00.000Z';

/** The date spelling that huggingface_hub parses: `%Y-%m-%dT%H:%M:%S.%fZ`. */
function instant(text: string | undefined): string {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? epoch : new Date(time).toISOString();
}

/** `model_info`, `dataset_info`, `space_info`: what clients read, and nothing that leads to another host. */
export function repositoryInfo(listing: Listing): Readonly<Record<string, unknown>> {
  const { entries } = indexTree(listing);
  return {
    ...summary(listing.repository.type, listing.repository.id, listing.commit, listing.card),
    gated: false,
    disabled: false,
    cardData: {},
    siblings: entries.filter(({ type }) => type === 'file').map(sibling),
    usedStorage: listing.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    ...(listing.repository.type === 'spaces' ? { sdk: 'static' } : {}),
  };
}

function sibling(entry: TreeEntry): Readonly<Record<string, unknown>> {
  return {
    rfilename: entry.path,
    size: entry.size,
    blobId: entry.oid,
    ...(entry.lfs === undefined
      ? {}
      : { lfs: { sha256: entry.lfs.oid, size: entry.lfs.size, pointerSize: entry.lfs.pointerSize } }),
  };
}

/** One row of `list_models` and its siblings. */
export function summary(
  type: string,
  id: string,
  commit: string,
  card: RepositoryCard,
): Readonly<Record<string, unknown>> {
  const slash = id.indexOf('/');
  return {
    _id: commit.slice(0, 24),
    id,
    ...(type === 'models' ? { modelId: id } : {}),
    author: slash === -1 ? '' : id.slice(0, slash),
    sha: commit,
    private: false,
    lastModified: instant(card.lastModified),
    createdAt: instant(card.createdAt),
    tags: card.tags,
    downloads: card.downloads,
    likes: card.likes,
    ...(card.pipelineTag === undefined ? {} : { pipeline_tag: card.pipelineTag }),
    ...(card.libraryName === undefined ? {} : { library_name: card.libraryName }),
  };
}

/** The one commit of which this house knows: the snapshot itself. */
export function commitRow(listing: Listing): Readonly<Record<string, unknown>> {
  const date = instant(listing.card.lastModified);
  return { id: listing.commit, title: '', message: '', authors: [], date };
}

/** `lastCommit` of `expand`: JavaScript clients file the blob under this commit. */
export function expandEntry(entry: TreeEntry, listing: Listing): TreeEntry {
  const date = instant(listing.card.lastModified);
  return { ...entry, lastCommit: { id: listing.commit, title: '', date } };
}

export function refsAnswer(refs: RepositoryRefs): Readonly<Record<string, unknown>> {
  return { branches: refs.branches.map(refRow), converts: [], tags: refs.tags.map(refRow), pullRequests: [] };
}

function refRow({ name, ref, commit }: RepositoryRef): Readonly<Record<string, string>> {
  return { name, ref, targetCommit: commit };
}

export function whoami(principal: Principal): Readonly<Record<string, unknown>> {
  const id = principal.id ?? principal.class;
  return {
    type: 'user',
    id,
    name: id,
    fullname: id,
    email: null,
    emailVerified: false,
    canPay: false,
    isPro: false,
    periodEnd: null,
    orgs: [],
    auth: {
      type: 'access_token',
      accessToken: { displayName: 'weighbridge', role: 'read', createdAt: epoch },
    },
  };
}
