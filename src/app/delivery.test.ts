import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Fault } from '#lib/fault.ts';
import { openDelivery } from './delivery.ts';

const approve = "rules: [{repositories: ['acme/*'], mode: approve}]\n";
const acme = { type: 'models', id: 'acme/x' } as const;
const other = { type: 'models', id: 'other/x' } as const;

async function open(t: TestContext, text?: string, lookEveryMs = 10) {
  const directory = await mkdtemp(join(tmpdir(), 'delivery-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'delivery.yaml');
  if (text !== undefined) await writeFile(path, text);
  const heard: string[] = [];
  const delivery = await openDelivery({
    path,
    approvalsChanged: () => heard.push('approvals'),
    changed: (problem) => heard.push(problem === undefined ? 'sound' : 'broken'),
    failed: (fault) => heard.push(fault.message),
    lookEveryMs,
  });
  t.after(() => delivery.close());
  const until = async (held: () => boolean): Promise<void> => {
    for (let tries = 0; !held(); tries++) {
      assert.ok(tries < 1_000, heard.join());
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const modes = (): string =>
    [acme, other].map((id) => delivery.modeOf(id, 'default', 'safetensors').mode).join(' ');
  return { path, delivery, heard, until, modes };
}

test('without a file the defaults hold; rules come, change and go with it', async (t) => {
  const { path, delivery, heard, until, modes } = await open(t);
  assert.equal(modes(), 'tail tail');
  await writeFile(path, approve);
  await until(() => modes() === 'approve tail');
  assert.deepEqual(heard, ['sound', 'approvals']);
  assert.equal(delivery.ruleCount(), 1);

  // What does not touch approvals makes no decision stale.
  await writeFile(path, `${approve}  # the same\n`);
  await until(() => heard.length === 3);
  await writeFile(
    path,
    `${approve.replace(/\]\n$/, '')}, {repositories: ['*'], formats: [npy], mode: hold}]`,
  );
  await until(() => delivery.ruleCount() === 2);
  assert.deepEqual(heard.slice(2), ['sound', 'sound']);

  await rm(path);
  await until(() => modes() === 'tail tail');
  assert.deepEqual(heard.slice(4), ['sound', 'approvals']);
});

test('a file that breaks holds everything, keeps what needs approval, and says so once', async (t) => {
  const { path, delivery, heard, until, modes } = await open(t, approve);
  assert.equal(modes(), 'approve tail');
  await writeFile(path, 'rules: [');
  await until(() => delivery.problem() !== undefined);
  assert.equal(modes(), 'approve hold');
  assert.equal(delivery.modeOf(other, 'default', 'safetensors').everyClient, true);
  assert.ok(delivery.needsApproval({ repository: acme, namespace: 'default' }));
  assert.match(delivery.problem()?.message ?? '', /delivery\.yaml.*not YAML/);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.deepEqual(heard, ['broken']);

  await writeFile(path, 'rules: []');
  await until(() => delivery.problem() === undefined);
  assert.equal(modes(), 'tail tail');
  assert.deepEqual(heard, ['broken', 'sound', 'approvals']);
});

test('a file that is broken at the start is a configuration error', async (t) => {
  await assert.rejects(
    open(t, 'rules: [{repositories: [x], mode: tail, formats: [pickle]}]'),
    (error) => error instanceof Fault && error.code === 'config.invalid' && /`pickle`/.test(error.message),
  );
});

test('a file that the operator names is there at the start', async () => {
  const ports = { approvalsChanged: () => {}, changed: () => {}, failed: () => {} };
  await assert.rejects(
    openDelivery({ ...ports, path: join(tmpdir(), 'no-such-folder', 'delivery.yaml'), required: true }),
    (error) =>
      error instanceof Fault && error.code === 'config.invalid' && /is not there/.test(error.message),
  );
});

test('the moment in which an editor has the file away or half written opens nothing', async (t) => {
  const { path, heard, modes, delivery } = await open(t, approve, 300);
  const begun = performance.now();
  while (performance.now() - begun < 1_000) {
    await rename(path, `${path}~`);
    await writeFile(path, 'rules: []');
    await writeFile(path, approve);
    assert.ok(delivery.needsApproval({ repository: acme, namespace: 'default' }));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(modes(), 'approve tail');
  assert.ok(!heard.includes('approvals'), heard.join());
});
