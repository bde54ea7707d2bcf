import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerCdn, answerHub } from './answers.ts';
import { commitOid, entryOf, readFolder, treeOids, type HubContent } from './repository.ts';
import { refName, type HubRepository, type HubState, type Lie, type SeenRequest } from './state.ts';

/**
 * An upstream hub on loopback with real git ids, real commits and real LFS digests. Large and binary files are
 * redirected to a second origin, as the real hub redirects to its CDN, and answers carry the headers that lead to Xet
 * and to other hosts: bait that must not pass through a gate.
 */
export interface LoopbackHub extends AsyncDisposable {
  readonly url: URL;
  readonly cdnUrl: URL;
  readonly seen: readonly SeenRequest[];
  /** Adds a commit with exactly these files and moves `main` (or `revision`) to it. `id` may start with `datasets/` or `spaces/`. */
  commit(id: string, files: Readonly<Record<string, HubContent>>, revision?: string): Promise<string>;
  /** The same with every regular file below a folder. */
  commitFolder(id: string, folder: string): Promise<string>;
  /** Plants a lie; the newest matching one wins. */
  lie(id: string, lie: Lie, options?: { readonly path?: string; readonly times?: number }): void;
  /** Drops every commit of a repository, and their bytes. */
  forget(id: string): void;
  /** Bytes of one file that left in bodies so far. */
  sentBytes(id: string, path: string): number;
  honest(id: string): void;
  /** Ids of all repositories, as `commit` takes them. */
  repositories(): readonly string[];
  setPageSize(entries: number): void;
  setDelay(milliseconds: number): void;
  forgetRequests(): void;
  close(): Promise<void>;
}

export interface LoopbackHubOptions {
  readonly port?: number;
  readonly host?: string;
}

export async function openLoopbackHub(options: LoopbackHubOptions = {}): Promise<LoopbackHub> {
  const host = options.host ?? '127.0.0.1';
  const state: HubState = {
    repositories: new Map(),
    seen: [],
    pageSize: 1_000,
    delayMs: 0,
    hubOrigin: '',
    cdnOrigin: '',
  };
  const hub = await listen(state, 'hub', { host, port: options.port ?? 0 });
  const cdn = await listen(state, 'cdn', { host, port: 0 });
  state.hubOrigin = originOf(hub, host);
  state.cdnOrigin = originOf(cdn, host);
  const close = async (): Promise<void> => {
    await Promise.all([hub, cdn].map(closeServer));
  };
  const commit = async (
    id: string,
    files: Readonly<Record<string, HubContent>>,
    revision = 'main',
  ): Promise<string> => {
    const repository = repositoryOf(state, id);
    const entries = await Promise.all(Object.entries(files).map(([path, content]) => entryOf(path, content)));
    const atSeconds = 1_760_000_000 + repository.commits.size * 3_600;
    const commitId = commitOid(
      treeOids(entries).get('') ?? '',
      repository.refs.get(refName(revision)),
      atSeconds,
    );
    repository.commits.set(commitId, {
      id: commitId,
      entries: new Map(entries.map((entry) => [entry.path, entry])),
      date: new Date(atSeconds * 1000).toISOString(),
    });
    repository.refs.set(refName(revision), commitId);
    return commitId;
  };
  return {
    url: new URL(state.hubOrigin),
    cdnUrl: new URL(state.cdnOrigin),
    seen: state.seen,
    commit,
    commitFolder: async (id, folder) => commit(id, await readFolder(folder)),
    lie: (id, lie, planted = {}) => repositoryOf(state, id).lies.push({ lie, ...planted }),
    forget: (id) => {
      const { commits, refs } = repositoryOf(state, id);
      commits.clear();
      refs.clear();
    },
    sentBytes: (id, path) => repositoryOf(state, id).sentBytes.get(path) ?? 0,
    honest: (id) => void repositoryOf(state, id).lies.splice(0),
    repositories: () =>
      [...state.repositories.values()].map(({ kind, id }) => (kind === 'models' ? id : `${kind}/${id}`)),
    setPageSize: (entries) => (state.pageSize = entries),
    setDelay: (milliseconds) => (state.delayMs = milliseconds),
    forgetRequests: () => void state.seen.splice(0),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function repositoryOf(state: HubState, name: string): HubRepository {
  const kind = name.startsWith('datasets/') ? 'datasets' : name.startsWith('spaces/') ? 'spaces' : 'models';
  const id = kind === 'models' ? name : name.slice(kind.length + 1);
  const key = `${kind}/${id}`;
  const known = state.repositories.get(key);
  if (known !== undefined) return known;
  const made: HubRepository = {
    kind,
    id,
    commits: new Map(),
    refs: new Map(),
    lies: [],
    sentBytes: new Map(),
  };
  state.repositories.set(key, made);
  return made;
}

async function listen(
  state: HubState,
  name: 'hub' | 'cdn',
  address: { readonly host: string; readonly port: number },
): Promise<Server> {
  const answer = name === 'hub' ? answerHub : answerCdn;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    state.seen.push({
      server: name,
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
    });
    setTimeout(() => {
      try {
        answer(state, request, response);
      } catch (error) {
        response.writeHead(500).end(String(error));
      }
    }, state.delayMs);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(address.port, address.host, resolve);
  await promise;
  return server;
}

function originOf(server: Server, host: string): string {
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
