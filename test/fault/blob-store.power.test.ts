import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { blobPath } from '#adapters/filesystem/blob-store.ts';
import { parseDigest } from '#artifact/digest.ts';
import { find, missing } from '../support/foreign.ts';
import { parseTrace, replayPowerFailures, straceArguments } from './disk-trace.ts';
import type { DiskEvent } from './disk-trace.ts';

/** Is strace here, and may it trace? Containers may forbid it. */
function canTrace(): boolean {
  return spawnSync(find('strace') ?? 'strace', ['-o', '/dev/null', 'true']).status === 0;
}

const sizeBytes = 100_000;
const writer = `
  import { openFilesystemBlobStore } from '#adapters/filesystem/blob-store.ts';
  import { writeSync } from 'node:fs';
  const store = await openFilesystemBlobStore(process.argv[1]);
  for (const index of [0, 1, 2, 1]) {
    const { digest } = await store.put(Buffer.alloc(${sizeBytes}, index));
    writeSync(1, digest + '\\n');
  }
  await Promise.all([3, 3, 4].map(async (index) => {
    const { digest } = await store.put(Buffer.alloc(${sizeBytes}, index));
    writeSync(1, digest + '\\n');
  }));
`;

/** What a power failure after some event would break; empty when nothing. */
function findBreaches(events: readonly DiskEvent[], root: string): readonly string[] {
  const breaches: string[] = [];
  const acknowledged = new Set<string>();
  replayPowerFailures(events, root, (disk, event) => {
    if (event.kind === 'say') acknowledged.add(event.line);
    for (const line of acknowledged) {
      const found = disk.durableFile(blobPath(root, parseDigest(line)));
      if (found !== sizeBytes)
        breaches.push(`${line} was acknowledged and would be lost after ${event.kind}`);
    }
    for (const [path, inode] of disk.perhapsVisible()) {
      if (path.startsWith(`${root}/sha256/`) && inode.durableBytes !== sizeBytes) {
        breaches.push(`${path} would be seen with ${inode.durableBytes} bytes after ${event.kind}`);
      }
    }
  });
  return breaches;
}

test(
  'a power failure at any instant loses nothing acknowledged and shows nothing partial',
  { skip: missing('strace', canTrace()) },
  async (t) => {
    const directory = await realpath(await mkdtemp(join(tmpdir(), 'weighbridge-power-')));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const root = join(directory, 'blobs');
    const tracePath = join(directory, 'trace');
    const program = [process.execPath, '--input-type=module', '--eval', writer, root];
    const said = execFileSync(find('strace') ?? 'strace', [...straceArguments, '-o', tracePath, ...program], {
      env: { ...process.env, UV_USE_IO_URING: '0' },
      encoding: 'utf8',
    });
    const events = parseTrace(await readFile(tracePath, 'utf8'), directory);
    const count = (kind: DiskEvent['kind']): number => events.filter((event) => event.kind === kind).length;
    assert.equal(said.trim().split('\n').length, 7);
    assert.equal(count('say'), 7);
    assert.ok(count('rename') >= 6);
    assert.ok(count('sync') >= 2 * count('rename'));
    assert.deepEqual(findBreaches(events, root), []);

    const renamed = events.filter((event) => event.kind === 'rename').map((event) => event.from);
    const weakened: Readonly<Record<string, readonly DiskEvent[]>> = {
      'without syncs of files': events.filter(
        (event) => event.kind !== 'sync' || !renamed.includes(event.path),
      ),
      'without syncs of directories': events.filter(
        (event) => event.kind !== 'sync' || renamed.includes(event.path),
      ),
      'without the sync of the root': events.filter(
        (event) => event.kind !== 'sync' || event.path !== directory,
      ),
      'without the sync of sha256': events.filter(
        (event) => event.kind !== 'sync' || event.path !== join(root, 'sha256'),
      ),
    };
    for (const [name, trace] of Object.entries(weakened)) {
      assert.ok(trace.length < events.length, name);
      assert.ok(findBreaches(trace, root).length > 0, `positive control: ${name} must be found`);
    }
  },
);
