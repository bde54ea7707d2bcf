import assert from 'node:assert/strict';
import { openLoopbackHub } from './hub/hub.ts';
import type { LoopbackHub } from './hub/hub.ts';
import { removeFolder, startTestServer } from './server.ts';
import type { ServerOptions, TestServer } from './server.ts';

/** The real server in front of the loopback hub, and what people do with it over its interface. */
export interface WholeHouse extends AsyncDisposable {
  readonly hub: LoopbackHub;
  readonly server: TestServer;
  /** A call of `/wb/v1` with the administrator's token. */
  call(
    method: 'GET' | 'POST',
    path: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly body: unknown }>;
  /** Digest of the artifact that a repository's commit became. */
  artifactOf(id: string, commit: string): Promise<string>;
}

export async function openWholeHouse(options: Partial<ServerOptions> = {}): Promise<WholeHouse> {
  const hub = await openLoopbackHub();
  const server = await startTestServer({ upstream: hub.url, ...options }).catch(async (error: unknown) => {
    await hub.close();
    throw error;
  });
  const call: WholeHouse['call'] = async (method, path, body) => {
    const answer = await fetch(`${server.console}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${server.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: await answer.json() };
  };
  return {
    hub,
    server,
    call,
    artifactOf: async (id, commit) => {
      const { body } = await call('GET', `/wb/v1/artifacts?limit=200&search=${encodeURIComponent(id)}`);
      const { items } = body as { items: readonly { artifact: string; commit: string }[] };
      const row = items.find((item) => item.commit === commit);
      assert.ok(row, `no artifact for ${id}@${commit}`);
      return row.artifact;
    },
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await hub.close();
      await removeFolder(server.data);
    },
  };
}
