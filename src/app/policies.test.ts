import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { PolicyPredicate } from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';
import type { CompiledPolicySet } from '#policy/compile.ts';
import { memoryBlobs } from '../../test/support/memory-blobs.ts';
import { openPolicies } from './policies.ts';

const rule = (require: string): string =>
  JSON.stringify({
    apiVersion: 'weighbridge.dev/policy/v1',
    name: 'house',
    description: 'x',
    rules: [
      { id: 'r', effect: 'deny', description: 'x', require, message: 'no', who: 'nobody', remedy: 'none' },
    ],
  });

async function house(t: TestContext, files?: Readonly<Record<string, string>>) {
  const parent = await mkdtemp(join(tmpdir(), 'policies-'));
  const directory = join(parent, 'policies');
  if (files !== undefined) {
    await mkdir(directory);
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  }
  const blobs = memoryBlobs();
  const said: string[] = [];
  const changes: CompiledPolicySet[] = [];
  const failures: Fault[] = [];
  const ledger = { away: false };
  const policies = await openPolicies({
    directory,
    blobs,
    clock: { now: () => 0 },
    write: async ({ predicate }) => {
      if (ledger.away) throw new Fault('ledger.unavailable', 'away');
      const { policyDigest } = predicate as PolicyPredicate;
      assert.ok(blobs.held.has(policyDigest), 'the blob is there before the statement');
      said.push(policyDigest);
    },
    inForce: async () => said.at(-1),
    changed: (set) => changes.push(set),
    failed: (fault) => failures.push(fault),
    lookEveryMs: 20,
  });
  t.after(async () => {
    await policies.close();
    await rm(parent, { recursive: true });
  });
  const changed = async (count: number): Promise<void> => {
    const begun = performance.now();
    while (changes.length < count) {
      assert.ok(performance.now() - begun < 2_000, `${changes.length} changes instead of ${count}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return {
    directory,
    policies,
    said,
    changes,
    failures,
    ledger,
    changed,
    path: join(directory, 'house.yaml'),
  };
}

test('the first start has the shipped policies, and says once which ones are in force', async (t) => {
  const { directory, policies, said } = await house(t);
  assert.deepEqual((await readdir(directory)).sort(), [
    'development.yaml',
    'production.yaml',
    'staging.yaml',
  ]);
  assert.deepEqual(policies.current().problems, []);
  assert.deepEqual(said, [policies.current().digest]);
});

test('edits, replacement by rename and deletion are in force within 2 s, each in the ledger first', async (t) => {
  const { policies, path, said, changed, directory } = await house(t, { 'house.yaml': rule('true') });
  const first = policies.current().digest;
  await writeFile(path, rule('false'));
  await changed(1);
  await writeFile(join(directory, '.house.yaml.new'), rule('1 == 1'));
  await rename(join(directory, '.house.yaml.new'), path);
  await changed(2);
  await rm(path);
  await changed(3);
  assert.equal(policies.current().policies.length, 0);
  assert.equal(new Set([first, ...said]).size, 4);
  assert.equal(said.at(-1), policies.current().digest);
});

test('white space and comments change nothing', async (t) => {
  const { path, said, changes } = await house(t, { 'house.yaml': rule('true') });
  await writeFile(path, `# a comment\n${rule('true')}\n\n`);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual([said.length, changes.length], [1, 0]);
});

test('a broken file denies, and so does one that cannot be read any more', async (t) => {
  const { policies, path, changed, failures } = await house(t, { 'house.yaml': rule('true') });
  await writeFile(path, '- : {');
  await changed(1);
  assert.equal(policies.current().problems.length, 1);
  await rm(path);
  await symlink('/nonexistent/policy.yaml', path);
  await changed(2);
  assert.equal(policies.current().problems.length, 1);
  assert.match(JSON.stringify(policies.current().policies), /house/);
  assert.deepEqual(failures, []);
});

test('a policy that the ledger does not take is not in force, is told once, and is tried again', async (t) => {
  const { policies, path, ledger, changed, failures, changes } = await house(t, {
    'house.yaml': rule('true'),
  });
  const before = policies.current();
  ledger.away = true;
  await writeFile(path, rule('false'));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual([policies.current(), changes.length, failures.length], [before, 0, 1]);
  ledger.away = false;
  await changed(1);
  assert.notEqual(policies.current().digest, before.digest);
});

test('an edit during a reading is found by the next look', async (t) => {
  const { policies, path, changed, changes } = await house(t, { 'house.yaml': rule('true') });
  for (let step = 0; step < 60; step += 1) {
    await writeFile(path, rule(`${step} < 0`));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await changed(1);
  const text = () => Buffer.from(policies.current().canonical).toString();
  const begun = performance.now();
  while (!text().includes('59 < 0')) {
    assert.ok(performance.now() - begun < 2_000, `${changes.length} changes`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
