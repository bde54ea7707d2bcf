import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDecisionHouse, policyNamed } from '../../../test/support/decision-house.ts';

test('a dossier is shared until evidence about its subject arrives', async () => {
  const house = await openDecisionHouse();
  const open = () => house.dossiers.open('default', house.snapshot.artifact);
  const first = await open();
  assert.ok(first !== undefined);
  assert.equal(await open(), first);
  await house.approve(null);
  const second = await open();
  assert.notEqual(second, first);
  assert.equal(second?.evidence.length, 1);
  house.dossiers.forgetArtifact('default', house.snapshot.artifact);
  assert.notEqual(await open(), second);
});

test('decisions in the log do not drop the dossier that they rest on', async () => {
  const house = await openDecisionHouse();
  const dossier = await house.dossiers.open('default', house.snapshot.artifact);
  await house.decisions.ask(house.question);
  assert.equal(await house.dossiers.open('default', house.snapshot.artifact), dossier);
});

test('another namespace neither sees the artifact nor drops its dossier', async () => {
  const house = await openDecisionHouse();
  assert.equal(await house.dossiers.open('team-a', house.snapshot.artifact), undefined);
  const dossier = await house.dossiers.open('default', house.snapshot.artifact);
  const revocations = house.store.entries.slice(0, 1).map((entry) => ({
    ...entry,
    namespace: 'team-a',
    statement: house.statement('https://example.com/x', {}),
  }));
  assert.deepEqual(house.dossiers.forget(revocations), []);
  assert.equal(await house.dossiers.open('default', house.snapshot.artifact), dossier);
});

test('who asks after a revocation was acknowledged does not get a reading that began before it', async () => {
  const house = await openDecisionHouse();
  const { find } = house.ports;
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  house.ports.find = async (query) => {
    const found = await find(query);
    begun.resolve();
    await gate.promise;
    return found;
  };
  const early = house.dossiers.open('default', house.snapshot.artifact);
  await begun.promise;
  await house.revoke();
  const late = house.dossiers.open('default', house.snapshot.artifact);
  gate.resolve();
  assert.equal((await late)?.evidence.length, 1);
  assert.equal((await early)?.evidence.length, 0);
  assert.equal((await house.dossiers.open('default', house.snapshot.artifact))?.evidence.length, 1);
});

test('a reading that failed is not remembered', async () => {
  const house = await openDecisionHouse();
  const { find } = house.ports;
  house.ports.find = () => Promise.reject(new Error('away'));
  await assert.rejects(house.dossiers.open('default', house.snapshot.artifact));
  house.ports.find = find;
  assert.ok(await house.dossiers.open('default', house.snapshot.artifact));
});

test('evidence that does not verify counts for nothing and is shown as rejected', async () => {
  const house = await openDecisionHouse();
  await house.approve(null);
  const entry = house.store.entries.at(-1);
  assert.ok(entry);
  const forged = {
    ...entry,
    envelope: { ...entry.envelope, signatures: [{ keyid: 'nobody', sig: 'AAAA' }] },
  };
  house.ports.find = async () => [forged];
  house.dossiers.forgetAll();
  const dossier = await house.dossiers.open('default', house.snapshot.artifact);
  assert.deepEqual([dossier?.evidence.length, dossier?.rejected.length], [0, 1]);
});

test('a rule that comes to ask for approval, or no longer does, is in the next dossier and decision', async () => {
  const house = await openDecisionHouse();
  house.ports.policy = () => policyNamed('house', 'true');
  const verdict = async (): Promise<string> => (await house.decisions.ask(house.question)).decision.verdict;
  assert.equal(await verdict(), 'allow');
  house.ports.needsApproval = () => true;
  house.dossiers.forgetAll();
  assert.equal(await verdict(), 'deny');
  await house.approve(null);
  assert.equal(await verdict(), 'allow');
  house.ports.needsApproval = () => false;
  house.dossiers.forgetAll();
  const dossier = await house.dossiers.open('default', house.snapshot.artifact);
  assert.ok(dossier && !('approvalRequired' in dossier.subject));
});
