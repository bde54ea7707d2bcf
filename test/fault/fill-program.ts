import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
import { openFilesystemPartialStore } from '#adapters/filesystem/partial-store.ts';
import { openHub } from '#adapters/hub/hub.ts';
import { parseDigest } from '#artifact/digest.ts';
import { openFills } from '#app/intake/fills.ts';
import { systemClock } from '#lib/clock.ts';

/** `node fill-program.ts DIRECTORY UPSTREAM COMMIT DIGEST SIZE`: one fill into a store; prints `filled` when it is one. */
const [directory = '', upstream = '', commit = '', digest = '', size = ''] = process.argv.slice(2);
const hub = openHub({ upstream: new URL(upstream), retryMs: 10 });
const links = new Set<string>();
const fills = openFills({
  partials: await openFilesystemPartialStore(directory),
  blobs: await openFilesystemBlobStore(directory),
  bytes: (source, options) => hub.bytes(source, options),
  acquire: async () => ({ release: async () => {} }),
  linked: async (_namespace, wanted) => links.has(wanted),
  link: async (_namespace, blob) => void links.add(blob.digest),
  signal: new AbortController().signal,
  clock: systemClock,
  width: 1,
});
await fills.fetch({
  namespace: 'default',
  repository: { type: 'models', id: 'org/filled' },
  commit,
  file: {
    path: 'model.safetensors',
    sizeBytes: Number(size),
    gitOid: '0'.repeat(40),
    lfsDigest: parseDigest(digest),
  },
});
process.stdout.write('filled\n');
process.exit(0);
