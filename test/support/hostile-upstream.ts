import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How a made-up hub answers the tree of one repository. */
export type TreeAnswer = (response: ServerResponse, page: number, origin: string, commit: string) => void;

export interface HostileUpstream extends AsyncDisposable {
  readonly url: URL;
  /** Requests of trees so far, by repository. */
  readonly pages: ReadonlyMap<string, number>;
}

const commit = 'c'.repeat(40);

/** A hub whose repositories exist, all at one commit, and whose trees are whatever the attacker wants. */
export async function openHostileUpstream(
  trees: Readonly<Record<string, TreeAnswer>>,
): Promise<HostileUpstream> {
  const pages = new Map<string, number>();
  let origin = '';
  const server = createServer((request, response) => {
    const match = /^\/api\/models\/([^/]+\/[^/?]+)(\/tree\/)?/.exec(request.url ?? '');
    const id = match?.[1] ?? '';
    const tree = trees[id];
    if (tree === undefined) return void response.writeHead(404).end('{}');
    if (match?.[2] === undefined) {
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ sha: commit }));
    }
    const page = pages.get(id) ?? 0;
    pages.set(id, page + 1);
    return tree(response, page, origin, commit);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: new URL(origin),
    pages,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A tree entry as the hub writes it. */
export function treeRow(
  path: string,
  changes: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return { type: 'file', oid: 'a'.repeat(40), size: 3, path, ...changes };
}

export function answerRows(rows: readonly unknown[]): TreeAnswer {
  return (response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(rows));
}
