import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { text } from 'node:stream/consumers';
import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
import type { BlobStore } from '#artifact/blob-store.ts';
import { digestOf, parseDigest } from '#artifact/digest.ts';
import { faultSites } from '#lib/fault-point.ts';

/** Puts six blobs of two chunks each and names each digest once the store has acknowledged it. */
const writer = `
  import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
  import { writeSync } from 'node:fs';
  const store = await openFilesystemBlobStore(process.argv[1]);
  for (let index = 0; index < 6; index += 1) {
    const source = (async function* () {
      yield Buffer.from('blob ' + index);
      yield Buffer.alloc(100_000, index);
    })();
    const { digest } = await store.put(source);
    writeSync(1, digest + '\\n');
  }
`;

const blobs = Array.from({ length: 6 }, (_, index) =>
  Buffer.concat([Buffer.from(`blob ${index}`), Buffer.alloc(100_000, index)]),
);

async function runWriter(
  directory: string,
  faultAt: string,
): Promise<{ signal: unknown; acknowledged: readonly string[] }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', writer, directory], {
    env: { ...process.env, WEIGHBRIDGE_FAULT_AT: faultAt },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { signal, acknowledged: output.split('\n').filter((line) => line !== '') };
}

/** Every visible blob is whole and one that was put. */
async function checkVisible(store: BlobStore): Promise<void> {
  const known = new Set(blobs.map(digestOf));
  for await (const digest of store.list()) {
    assert.ok(known.has(digest));
    await using blob = await store.open(digest);
    assert.equal(digestOf((await blob?.read(0, 1_000_000)) ?? new Uint8Array()), digest);
  }
}

const sites = faultSites.filter((site) => site.startsWith('blob.'));

test('there are sites to be killed at', () => {
  assert.ok(sites.length >= 7);
});

for (const site of sites) {
  for (const moment of ['before', 'after']) {
    test(`killed ${moment} ${site}: nothing acknowledged is lost, nothing partial is visible`, async (t) => {
      const directory = await mkdtemp(join(tmpdir(), 'weighbridge-fault-'));
      t.after(() => rm(directory, { recursive: true, force: true }));
      for (const passing of [1, 5]) {
        const place = join(directory, `${passing}`);
        const { signal, acknowledged } = await runWriter(place, `${site}:${moment}:kill@${passing}`);
        assert.equal(signal, 'SIGKILL', 'the site was not passed');
        assert.ok(acknowledged.length < blobs.length);
        const store = await openFilesystemBlobStore(place);
        assert.deepEqual(await readdir(join(place, 'tmp')), []);
        await checkVisible(store);
        for (const digest of acknowledged) assert.ok(await store.stat(parseDigest(digest)), digest);
        for (const bytes of blobs) await store.put(bytes, { digest: digestOf(bytes) });
        await checkVisible(store);
      }
    });
  }
}
