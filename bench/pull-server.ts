import { createServer } from 'node:http';
import Fastify from 'fastify';
import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
import { digestOf } from '#artifact/digest.ts';
import { pullGate } from '#gates/pull/gate.ts';
import type { Listing, Ruling } from '#gates/pull/ports.ts';
import { pullServerOptions } from '#gates/pull/server-options.ts';
import { defaultPullSettings } from '#gates/pull/settings.ts';
import { systemClock } from '#lib/clock.ts';
import { createReadStream } from 'node:fs';

/** `node bench/pull-server.ts gate|bare FOLDER FILE`: prints its port. The house behind the gate is ready at once. */
const [kind = '', folder = '', path = ''] = process.argv.slice(2);

if (kind === 'bare') {
  const headers = {
    etag: '"x"',
    'x-repo-commit': 'a'.repeat(40),
    'content-length': '1',
    'accept-ranges': 'bytes',
  };
  const server = createServer((_request, response) => response.writeHead(200, headers).end());
  server.listen(0, '127.0.0.1', () => console.log(portOf(server.address())));
} else {
  const blobs = await openFilesystemBlobStore(folder);
  const stored = await blobs.put(createReadStream(path, { highWaterMark: 1024 * 1024 }));
  const listing: Listing = {
    namespace: 'default',
    repository: { type: 'models', id: 'org/m' },
    commit: 'a'.repeat(40),
    files: [
      { path: 'model.bin', sizeBytes: stored.sizeBytes, gitOid: 'b'.repeat(40), lfsDigest: stored.digest },
    ],
    card: {
      createdAt: undefined,
      lastModified: undefined,
      tags: [],
      pipelineTag: undefined,
      libraryName: undefined,
      downloads: 0,
      likes: 0,
    },
  };
  const artifact = digestOf(new Uint8Array());
  const ruling = (question: Ruling['decision']['question']): Ruling => ({
    withdrawn: false,
    decision: {
      version: 1,
      question,
      verdict: 'allow',
      reasons: [],
      evidenceUsed: [],
      policyDigest: artifact,
      trustDigest: artifact,
      checkpoint: { size: 0, rootHash: '' },
      at: '2026-01-01T00:00:00Z',
      validUntil: null,
    },
  });
  const digests = new Map([['model.bin', stored.digest]]);
  const app = Fastify({ ...pullServerOptions });
  pullGate(app, {
    blobs,
    clock: systemClock,
    settings: defaultPullSettings,
    journal: { note: () => undefined },
    principals: {
      authenticate: async () => ({
        class: 'anonymous',
        id: undefined,
        namespace: 'default',
        environment: 'development',
      }),
    },
    decisions: { ask: async (question) => ruling(question), standing: async () => undefined },
    intake: {
      resolve: async () => ({ kind: 'found', listing }),
      want: async () => ({ kind: 'ready', artifact, digests }),
      refs: async () => undefined,
      list: async () => ({ repositories: [], next: undefined }),
    },
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  console.log(portOf(app.server.address()));
}

function portOf(address: ReturnType<ReturnType<typeof createServer>['address']>): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}
