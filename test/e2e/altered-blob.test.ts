import assert from 'node:assert/strict';
import { chmod, copyFile, open, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { blobPath } from '#adapters/filesystem/blob-store.ts';
import { digestOf } from '#artifact/digest.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { runWeighbridge } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

let house: WholeHouse;
const weights = Buffer.from(safetensors({ weight: tensor(0, 100_000) }, 100_000));

before(async () => {
  house = await openWholeHouse();
  await house.hub.commit('org/stored', { 'config.json': '{}', 'model.safetensors': weights });
});
after(() => house[Symbol.asyncDispose]());

async function pull(range?: string) {
  const answer = await fetch(`${house.server.clients}/org/stored/resolve/main/model.safetensors`, {
    headers: range === undefined ? {} : { range },
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, bytes, headers: answer.headers };
}

test('a warm file whose bytes were altered on disk is never served, and is again once it was restored', async () => {
  for (let tries = 0; (await pull()).status !== 200; tries++) assert.ok(tries < 100);
  const digest = digestOf(weights);
  const path = blobPath(join(house.server.data, 'blobs'), digest);
  const copy = join(house.server.data, 'copy');
  await copyFile(path, copy);

  const { atime, mtime } = await stat(path);
  await chmod(path, 0o644);
  const handle = await open(path, 'r+');
  await handle.write(Buffer.from([0x42]), 0, 1, 50_000);
  await handle.close();
  await utimes(path, atime, mtime);

  for (const range of [undefined, 'bytes=0-0', 'bytes=99000-', undefined]) {
    const { status, headers, bytes } = await pull(range);
    assert.equal(status, 403);
    assert.equal(headers.get('x-error-code'), 'GatedRepo');
    assert.match(headers.get('x-error-message') ?? '', /altered on disk/);
    assert.ok(!bytes.includes(weights.subarray(60_000, 60_100)));
  }
  const doctor = await runWeighbridge(['doctor', `--data=${house.server.data}`]);
  assert.equal(doctor.code, 2);
  assert.match(doctor.stdout, new RegExp(`FAIL\\s+blobs\\s+1 altered on disk.*${digest}`));

  await copyFile(copy, path);
  const restored = await pull();
  assert.equal(restored.status, 200);
  assert.equal(digestOf(restored.bytes), digest);
  const again = await runWeighbridge(['doctor', `--data=${house.server.data}`]);
  assert.match(again.stdout, /warn\s+blobs/);
});
