import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatInstant } from '#lib/clock.ts';
import { Fault } from '#lib/fault.ts';
import type { Listing } from '#gates/pull/ports.ts';
import {
  approvedOnly,
  houseStartMs,
  openDecisionHouse,
  policyNamed,
} from '../../../test/support/decision-house.ts';
import type { DecisionHouse } from '../../../test/support/decision-house.ts';

const verdictOf = async (house: DecisionHouse): Promise<string> =>
  (await house.decisions.ask(house.question)).decision.verdict;
const inHours = (hours: number): string => formatInstant(houseStartMs + hours * 3_600_000);

test('an approval allows, what is remembered is not decided again, and one entry is kept', async () => {
  const house = await openDecisionHouse();
  assert.equal(await verdictOf(house), 'deny');
  await house.approve(null);
  const first = await house.decisions.ask(house.question);
  assert.equal(first.decision.verdict, 'allow');
  assert.equal(first.withdrawn, false);
  const size = house.store.entries.length;
  for (let count = 0; count < 10; count += 1) assert.equal(await verdictOf(house), 'allow');
  assert.equal(house.store.entries.length, size);
  assert.deepEqual(
    house.kept.map(({ decision }) => decision.verdict),
    ['deny', 'allow'],
  );
});

test('a thousand callers of a cold question make one entry in the log', async () => {
  const house = await openDecisionHouse();
  await house.approve(null);
  const before = house.store.entries.length;
  const rulings = await Promise.all(Array.from({ length: 1000 }, () => house.decisions.ask(house.question)));
  assert.ok(rulings.every(({ decision }) => decision.verdict === 'allow'));
  assert.equal(house.store.entries.length, before + 1);
  assert.equal(house.kept.length, 1);
});

test('questions that differ in anything are answered apart', async () => {
  const house = await openDecisionHouse();
  await house.approve(null);
  assert.equal(await verdictOf(house), 'allow');
  const others = [
    { environment: 'production' as const },
    { files: null },
    { action: 'deploy' as const },
    { principal: 'anonymous' as const },
  ];
  for (const other of others) await house.decisions.ask({ ...house.question, ...other });
  assert.equal(house.kept.length, 5);
  const production = await house.decisions.ask({ ...house.question, environment: 'production' });
  assert.equal(production.decision.verdict, 'deny');
});

test('an allow ends at validUntil and is asked for again', async () => {
  const house = await openDecisionHouse();
  await house.approve(inHours(1));
  const { decision } = await house.decisions.ask(house.question);
  assert.equal(decision.validUntil, inHours(1));
  house.clock.ms += 3_600_000 - 1;
  assert.equal(await verdictOf(house), 'allow');
  house.clock.ms += 1;
  const after = await house.decisions.ask(house.question);
  assert.equal(after.decision.verdict, 'deny');
  assert.equal(after.withdrawn, true);
});

test('a clock behind the newest checkpoint never extends an allow', async () => {
  const house = await openDecisionHouse();
  await house.approve(inHours(1));
  assert.equal(await verdictOf(house), 'allow');
  // Another replica signs a checkpoint two hours later while the clock of this one stands still.
  house.age.signedAtMs = houseStartMs + 2 * 3_600_000;
  const { decision } = await house.decisions.ask(house.question);
  assert.equal(decision.verdict, 'deny');
  assert.equal(decision.at, inHours(2));
});

test('a clock behind the checkpoint of the dossier itself never extends an allow', async () => {
  const house = await openDecisionHouse();
  await house.approve(inHours(1));
  house.clock.ms += 2 * 3_600_000;
  assert.equal(await verdictOf(house), 'deny');
  house.clock.ms = houseStartMs;
  house.dossiers.forgetAll();
  assert.equal(await verdictOf(house), 'deny');
});

test('a revocation withdraws at once, also from listings, and stands for the whole commit', async () => {
  const house = await openDecisionHouse();
  const listing: Listing = {
    namespace: 'default',
    repository: house.snapshot.repository,
    commit: house.snapshot.commit,
    files: [],
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
  const principal = {
    class: 'client' as const,
    id: 'p',
    namespace: 'default',
    environment: 'development' as const,
  };
  await house.approve(null);
  assert.equal(await verdictOf(house), 'allow');
  assert.equal(await house.decisions.standing(listing, principal), undefined);
  await house.revoke();
  const ruling = await house.decisions.ask(house.question);
  assert.equal(ruling.decision.verdict, 'deny');
  assert.equal(ruling.withdrawn, true);
  assert.equal((await house.decisions.standing(listing, principal))?.withdrawn, true);
  assert.equal(await house.decisions.standing({ ...listing, commit: 'b'.repeat(40) }, principal), undefined);
});

test('a policy that changes decides the next question, and a deny after an allow is withdrawn', async () => {
  const house = await openDecisionHouse();
  await house.approve(null);
  assert.equal(await verdictOf(house), 'allow');
  house.ports.policy = () => policyNamed('closed', 'false');
  const closed = await house.decisions.ask(house.question);
  assert.equal(closed.decision.verdict, 'deny');
  assert.equal(closed.withdrawn, true);
  house.ports.policy = () => approvedOnly;
  assert.equal(await verdictOf(house), 'allow');
});

const failures: Readonly<Record<string, (house: DecisionHouse) => void>> = {
  'the head of the ledger was not read for too long': ({ age }) => (age.stale = true),
  'the ledger cannot be asked': ({ ports }) => {
    ports.find = () => Promise.reject(new Fault('ledger.unavailable', 'away'));
  },
  'the catalog throws': ({ ports }) => {
    ports.catalog = { ...ports.catalog, findArtifact: () => Promise.reject(new Error('boom')) };
  },
  'the namespace does not hold the artifact': ({ ports }) => {
    ports.catalog = { ...ports.catalog, findArtifact: async () => [] };
  },
  'the entry cannot be written': ({ store, ports }) => {
    store.withHead = () => Promise.reject(new Fault('database.unavailable', 'away'));
    ports.policy = () => policyNamed('other', 'size(approvals) >= 1 && true');
  },
  'a rule fails while it is evaluated': ({ ports }) => {
    ports.policy = () => policyNamed('broken', '1 / (size(approvals) - 1) == 1');
  },
};

for (const [what, fail] of Object.entries(failures)) {
  test(`fails closed: ${what}`, async () => {
    const house = await openDecisionHouse();
    await house.approve(inHours(1));
    if (what !== 'the entry cannot be written') assert.equal(await verdictOf(house), 'allow');
    fail(house);
    if (!house.age.stale) house.dossiers.forgetAll();
    const { decision } = await house.decisions.ask(house.question);
    assert.equal(decision.verdict, 'deny');
    assert.ok(decision.reasons.length > 0 && decision.reasons.every(({ message }) => message !== ''));
  });
}

test('what failed is neither kept nor remembered: the next question is decided', async () => {
  const house = await openDecisionHouse();
  await house.approve(null);
  const { find } = house.ports;
  house.ports.find = () => Promise.reject(new Fault('ledger.unavailable', 'away'));
  assert.equal(await verdictOf(house), 'deny');
  assert.equal(house.kept.length, 0);
  house.ports.find = find;
  assert.equal(await verdictOf(house), 'allow');
});

test('evidence that is sequenced while a decision waits for the log is not outlived by the older answer', async () => {
  const house = await openDecisionHouse();
  await house.approve(null);
  const { withHead } = house.store;
  const gate = Promise.withResolvers<void>();
  let held = false;
  house.store.withHead = async (work) => {
    if (!held) {
      held = true;
      await gate.promise;
    }
    return withHead(work);
  };
  // The first answer is allow and waits to be written; the revocation goes into the same queue behind it.
  const older = house.decisions.ask(house.question);
  await new Promise((resolve) => setImmediate(resolve));
  const revoked = house.revoke();
  const newer = revoked.then(() => house.decisions.ask(house.question));
  gate.resolve();
  assert.equal((await newer).decision.verdict, 'deny');
  await older;
  assert.equal(house.kept.at(-1)?.decision.verdict, 'deny');
  assert.equal(await verdictOf(house), 'deny');
});
