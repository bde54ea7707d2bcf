import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openKeysFile } from '#adapters/keys-file/keys-file.ts';
import { makeLogIdentity, openCheckpoint } from '#evidence/log/checkpoint.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { parseJson } from '#lib/json.ts';
import { member } from '../../src/app/cli/connection.ts';
import { readConfiguration } from '../../src/app/config.ts';
import { openLedger } from '../../src/app/ledger.ts';
import { openStores } from '../../src/app/stores.ts';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { missing } from '../support/foreign.ts';
import { removeFolder, runWeighbridge, startTestServer } from '../support/server.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { pendingEntry } from '../support/signing.ts';
import {
  artifactOf,
  drive,
  holdsEverything,
  modelFiles,
  nothingAcknowledged,
  pull,
  sha256,
} from './server-driver.ts';

/** May this test mount a small file system? Needs root with CAP_SYS_ADMIN. */
function canMount(): boolean {
  const made = spawnSync('mktemp', ['-d'], { encoding: 'utf8' }).stdout.trim();
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', made]).status === 0;
  if (mounted) spawnSync('umount', [made]);
  spawnSync('rmdir', [made]);
  return mounted;
}

test(
  'disk full while an intake writes: our code, the server stays up, and freeing space is enough',
  { skip: missing('mount', canMount()) },
  async (t) => {
    const hub = await openLoopbackHub();
    const folder = await mkdtemp(join(tmpdir(), 'weighbridge-full-'));
    const data = join(folder, 'data');
    const blobs = join(data, 'blobs');
    await mkdir(blobs, { recursive: true, mode: 0o700 });
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=0700', 'tmpfs', blobs]).status, 0);
    const server = await startTestServer({ upstream: hub.url, data });
    t.after(async () => {
      await server.stop();
      await hub.close();
      spawnSync('umount', [blobs]);
      await removeFolder(folder);
    });
    const acknowledged = nothingAcknowledged();
    await drive(server, hub, 1, acknowledged);

    const weights = safetensors({ weight: tensor(0, 3_000_000, 'U8') }, 3_000_000);
    await hub.commit('org/large', { ...modelFiles(2), 'model.safetensors': weights });
    const ballast = join(blobs, 'ballast');
    const { bavail, bsize } = await statfs(blobs);
    await writeFile(ballast, Buffer.alloc(bavail * bsize - 1_000_000));
    const large = '/org/large/resolve/main/model.safetensors';
    const refused = await pull(server, large);
    assert.equal(refused.status, 507, refused.headers.get('x-error-message') ?? '');
    assert.match(
      `${refused.headers.get('x-error-message')} ${new TextDecoder().decode(refused.bytes)}`,
      /disk\.full/,
    );
    // Another attempt may be under way; none leaves anything behind.
    for (let tries = 0; (await readdir(join(blobs, 'tmp'))).length > 0; tries++) {
      assert.ok(tries < 100, 'an unfinished file is left behind');
      await sleep(100);
    }

    // Not one byte left: even envelopes cannot be published. What is here already is still served.
    await rm(ballast);
    await writeFile(ballast, Buffer.alloc((await freeBytes(blobs)) - 4096)).catch(() => {});
    assert.equal((await fetch(`${server.console}/healthz`)).status, 200);
    for (const [path, digest] of acknowledged.files) {
      const { status, bytes } = await pull(server, path);
      assert.equal(status, 200, path);
      assert.equal(sha256(bytes), digest);
    }
    const nothing = await pull(server, large);
    assert.ok(nothing.status >= 500, `${nothing.status}`);
    assert.equal(server.process.exitCode, null, server.output());

    await rm(ballast);
    await sleep(6_000);
    const accepted = await pull(server, large);
    assert.equal(accepted.status, 200, accepted.headers.get('x-error-message') ?? '');
    assert.equal(sha256(accepted.bytes), sha256(weights));
    await drive(server, hub, 3, acknowledged);
    const doctor = await runWeighbridge(['doctor', '--data', data]);
    assert.equal(doctor.code, 0, doctor.stdout);
    await holdsEverything(server, acknowledged);
  },
);

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

test('two servers on one data directory: the second refuses, the first does not notice', async (t) => {
  const hub = await openLoopbackHub();
  const first = await startTestServer({ upstream: hub.url });
  t.after(async () => {
    await first.stop();
    await hub.close();
    await removeFolder(first.data);
  });
  const acknowledged = nothingAcknowledged();
  await drive(first, hub, 1, acknowledged);
  for (const words of [
    ['serve', '--listen', '127.0.0.1:0', '--console-listen', '127.0.0.1:0'],
    ['reindex'],
  ]) {
    const second = await runWeighbridge([...words, '--data', first.data]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /directory\.in-use/);
  }
  await drive(first, hub, 2, acknowledged);
  await holdsEverything(first, acknowledged);
});

test('two servers started at the same moment: one serves, the other refuses, and there is one history', async (t) => {
  const hub = await openLoopbackHub();
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-twins-'));
  const data = join(folder, 'data');
  const twins = await Promise.allSettled([1, 2].map(() => startTestServer({ upstream: hub.url, data })));
  const served = twins.filter((twin) => twin.status === 'fulfilled').map(({ value }) => value);
  t.after(async () => {
    for (const server of served) await server.stop();
    await hub.close();
    await removeFolder(folder);
  });
  const [server, ...others] = served;
  assert.ok(server !== undefined && others.length === 0);
  const refused = twins.find((twin) => twin.status === 'rejected');
  assert.match(String(refused?.reason), /directory\.in-use/);
  const acknowledged = nothingAcknowledged();
  await drive(server, hub, 1, acknowledged);
  const doctor = await runWeighbridge(['doctor', '--data', data]);
  assert.equal(doctor.code, 0, doctor.stdout);
  await holdsEverything(server, acknowledged);
});

test('a clock behind the last checkpoint: doctor says so, and neither decisions nor checkpoints go back in time', async (t) => {
  const hub = await openLoopbackHub();
  const first = await startTestServer({ upstream: hub.url });
  const { data } = first;
  t.after(async () => {
    await hub.close();
    await removeFolder(data);
  });
  const acknowledged = nothingAcknowledged();
  await drive(first, hub, 1, acknowledged);
  assert.equal(await first.stop(), 0);

  // What a replica whose clock is two hours ahead would have signed.
  const aheadMs = Date.now() + 2 * 3_600_000;
  await appendAt(data, aheadMs);

  const server = await startTestServer({ upstream: hub.url, data });
  try {
    const doctor = await runWeighbridge(['doctor', '--data', data]);
    assert.equal(doctor.code, 2);
    assert.match(doctor.stdout, /FAIL {2}clock .*behind the last checkpoint/);
    assert.match(doctor.stdout, /ok {4}log /);
    await hub.commit('org/late', modelFiles(7));
    assert.equal((await pull(server, '/org/late/resolve/main/config.json')).status, 200);
    const artifact = await artifactOf(server, 'org/late');
    const decided = await runWeighbridge(['decide', artifact, '--data', data, '--output', 'json']);
    assert.ok(
      Date.parse(String(member(parseJson(decided.stdout), 'at'))) >= Math.floor(aheadMs / 1000) * 1000,
    );
    await holdsEverything(server, acknowledged);
  } finally {
    assert.equal(await server.stop(), 0);
  }
  const published = await readFile(join(data, 'log', 'checkpoint'), 'utf8');
  const keys = await openKeysFile(join(data, 'keys'));
  const log = makeLogIdentity('weighbridge.local/log', keys.log.publicKeyPem);
  assert.ok(openCheckpoint(published, log).signedAtMs >= Math.floor(aheadMs / 1000) * 1000);
});

/** Appends one entry to the stopped house with a clock of its own. */
async function appendAt(data: string, ms: number): Promise<void> {
  const configuration = readConfiguration({
    flags: new Map([['data', data]]),
    environment: {},
    directory: data,
  });
  const stores = await openStores(configuration);
  try {
    const ledger = await openLedger(stores, {
      origin: configuration.origin,
      clock: { now: () => ms },
      committed: () => {},
      failed: (error) => assert.fail(String(error)),
    });
    await ledger.ledger.append([
      await pendingEntry(stores.keys.evidence, 'ahead', 'default', predicateTypes.scan),
    ]);
    await ledger.close();
  } finally {
    await stores.close();
  }
}
