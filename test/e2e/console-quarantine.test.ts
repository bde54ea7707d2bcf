import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import type { Page } from 'playwright-core';
import { digestOf, openFixtureDesk } from '../support/fixture-desk.ts';
import { missing } from '../support/foreign.ts';
import { chromiumPath, keepScreen, layoutFaults, leave, weakContrasts } from './browser.ts';
import type { Visit, VisitOptions } from './browser.ts';
import { openFixtureConsole } from './fixture-console.ts';
import type { FixtureConsole } from './fixture-console.ts';

const skip = missing('chromium', chromiumPath !== undefined);
const fixture = openFixtureDesk();
const { quarantine } = fixture;

let house: FixtureConsole | undefined;
before(async () => {
  if (skip === false) house = await openFixtureConsole(fixture);
});
after(() => house?.[Symbol.asyncDispose]());

function visit(options: Partial<VisitOptions> = {}): Promise<Visit> {
  assert.ok(house);
  return house.visit(options);
}

const arriving = (page: Page) => page.getByRole('region', { name: /^Arriving/ });
const large = /^a-rather-long-organisation/;

/** Asks until it holds; the answer is only read, never timed. */
async function until(page: Page, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await holds()) return;
    await page.waitForTimeout(100);
  }
  assert.ok(await holds());
}

test(
  'the queue moves by itself: bars, pace, what is left; and stands still when told to',
  { skip },
  async () => {
    const visited = await visit();
    const { page } = visited;
    await page.getByRole('link', { name: 'Quarantine' }).click();
    await page.getByRole('heading', { level: 1, name: 'Quarantine' }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'Quarantine' }).getAttribute('aria-current'), 'page');
    const row = arriving(page).getByRole('listitem', { name: large });
    await row.waitFor();
    const words = await row.innerText();
    assert.match(
      words,
      /Its bytes are on their way\.[^]*Fetching, step 2 of 3|Fetching, step 2 of 3[^]*Its bytes/,
    );
    assert.match(
      words,
      /digest is checked[^]*fetched by another replica[^]*12 readers[^]*waits for its turn/,
    );
    const bar = row.getByRole('progressbar', { name: /model-00002-of/ });
    const valueOf = async (): Promise<number> => Number(await bar.getAttribute('value'));
    const first = await valueOf();
    await until(page, async () => (await valueOf()) > first);
    await row.getByText(/\d MB\/s/).waitFor();
    await row.getByText(/about .* left/).waitFor();
    const top = async () => (await row.boundingBox())?.y;
    const before = await top();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('paused at').waitFor();
    await page.waitForTimeout(300);
    const { turn } = quarantine;
    await page.waitForTimeout(2000);
    assert.equal(quarantine.turn, turn);
    assert.equal(await top(), before);
    await page.getByRole('button', { name: 'Pause' }).click();
    await until(page, async () => quarantine.turn > turn);
    const show = (state: 'hidden' | 'visible'): Promise<void> =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'visibilityState', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await show('hidden');
    await page.waitForTimeout(300);
    const unseen = quarantine.turn;
    await page.waitForTimeout(2000);
    assert.equal(quarantine.turn, unseen, 'nobody looks, nothing is asked');
    await show('visible');
    await until(page, async () => quarantine.turn > unseen);
    await leave(visited);
  },
);

test('what leaves the queue stays in its place for a moment and says where it went', { skip }, async () => {
  const visited = await visit({ path: '/console/quarantine' });
  const { page } = visited;
  const inspected = arriving(page).getByRole('listitem', { name: 'bank/complaints' });
  await inspected.filter({ hasText: 'Inspecting, step 3 of 3' }).waitFor();
  quarantine.gone = 'bank/complaints';
  await inspected.filter({ hasText: 'Left the queue' }).waitFor();
  await inspected.getByRole('link', { name: 'See what was decided' }).click();
  await page.waitForURL(`**/console/artifacts/${digestOf('b4')}`);
  quarantine.gone = undefined;
  await leave(visited);
});

test(
  'what is held says why, who can decide and what would change it, and leads to where that is done',
  { skip },
  async () => {
    const visited = await visit({ path: '/console/quarantine' });
    const { page } = visited;
    const held = page.getByRole('region', { name: /^Held/ });
    const row = held.getByRole('listitem', { name: 'someone/very-useful-finetune' });
    await row.waitFor();
    assert.match(
      await row.innerText(),
      /Denied[^]*in development[^]*would run a command[^]*What would change it[^]*safetensors[^]*Who can[^]*The publisher of the model[^]*integrity\.malicious/,
    );
    assert.doesNotMatch(await row.innerText(), /delivery\.approve/);
    await row.getByText('1 more reason').click();
    assert.match(await row.innerText(), /delivery\.approve/);
    await row.getByRole('link', { name: 'Look and decide about someone/very-useful-finetune' }).click();
    await page.getByRole('button', { name: 'Approve…' }).waitFor();
    await leave(visited);
  },
);

test('ordered intakes show how far they are, why one failed and what one became', { skip }, async () => {
  const visited = await visit({ path: '/console/quarantine' });
  const rows = visited.page.getByRole('region', { name: /^Ordered intakes/ }).getByRole('listitem');
  await rows.first().waitFor();
  assert.match(
    await rows.nth(0).innerText(),
    /Under way[^]*git\+https:[^]*411 MB of 1\.3 GB[^]*3 of 11 files/,
  );
  assert.match(await rows.nth(1).innerText(), /Failed[^]*leads into this network: 10\.0\.0\.7/);
  await rows.nth(2).filter({ hasText: 'Arrived' }).getByRole('link', { name: 'vendor/encoder' }).waitFor();
  await leave(visited);
});

test(
  'a server that does not answer is told, what was known stays, and it goes on by itself',
  { skip },
  async () => {
    const visited = await visit({ path: '/console/quarantine' });
    const { page } = visited;
    await arriving(page).getByRole('listitem', { name: large }).waitFor();
    quarantine.away = true;
    await page.getByRole('alert').filter({ hasText: 'The database does not answer' }).waitFor();
    assert.equal(await arriving(page).getByRole('listitem', { name: large }).count(), 1);
    await keepScreen(page, 'quarantine-away');
    quarantine.away = false;
    await page.getByRole('alert').waitFor({ state: 'detached' });
    await leave(visited);
  },
);

test('with nothing there the pages say what to do', { skip }, async () => {
  quarantine.empty = true;
  const visited = await visit({ path: '/console/quarantine', width: 390 });
  const { page } = visited;
  await page.getByText('HF_ENDPOINT=').waitFor();
  await page.getByText('Nothing is held back').waitFor();
  await keepScreen(page, 'quarantine-empty-390');
  assert.deepEqual(await layoutFaults(page), []);
  await page.goto(`${house?.origin}/console/upstreams`);
  await page.getByText('None is recorded.').waitFor();
  await keepScreen(page, 'upstreams-empty-390');
  assert.deepEqual(await layoutFaults(page), []);
  quarantine.empty = false;
  await leave(visited);
});

test(
  'upstreams show their health in words and the newest incidents with their place in the log',
  { skip },
  async () => {
    const visited = await visit({ path: '/console/upstreams' });
    const { page } = visited;
    const hosts = page.getByRole('region', { name: 'Hosts' }).getByRole('listitem');
    await hosts.first().waitFor();
    assert.match(
      await hosts.nth(0).innerText(),
      /huggingface\.co[^]*configured upstream[^]*Limited[^]*asked for a pause[^]*429[^]*14 waiting[^]*0 requests left, anew at/,
    );
    assert.match(
      await hosts.nth(1).innerText(),
      /Away[^]*still served[^]*none yet[^]*The connection was refused/,
    );
    const incidents = page.getByRole('region', { name: 'Newest incidents' }).getByRole('listitem');
    assert.equal(await incidents.count(), 3);
    assert.match(
      await incidents.nth(1).innerText(),
      /Other bytes than declared[^]*hf:\/\/models[^]*log 70[^]*wrong-digest/,
    );
    await leave(visited);
  },
);

test(
  'a look before the pull sends what was asked, says how little it read, and is never green',
  { skip },
  async () => {
    const visited = await visit({ path: '/console/triage' });
    const { page } = visited;
    await page.getByRole('note').filter({ hasText: 'not a scan and allows nothing' }).waitFor();
    const look = page.getByRole('button', { name: 'Look', exact: true });
    await look.click();
    await page.getByRole('alert').filter({ hasText: 'Name a repository' }).waitFor();
    assert.deepEqual(quarantine.wishes, []);
    const repository = page.getByLabel('Repository');
    await repository.fill(' quiet/model ');
    await page.getByLabel('Type').selectOption('Dataset');
    await page.getByLabel('Revision').fill('v1.0');
    await page.keyboard.press('Enter');
    const quiet = page.getByRole('article', { name: 'Nothing found in quiet/model' });
    await quiet.waitFor();
    assert.deepEqual(quarantine.wishes, [{ type: 'datasets', repository: 'quiet/model', revision: 'v1.0' }]);
    assert.match(await quiet.innerText(), /Bytes read: less than 0\.01 %, 155 kB of 14\.7 GB/);
    assert.match(await quiet.innerText(), /3 of 4 files were not read to their end/);
    assert.equal(await page.locator('.good').count(), 0);
    await page.getByText('That is not clean').waitFor();
    await page
      .getByRole('status')
      .filter({ hasText: 'quiet/model: Nothing found, 0 findings. Not a scan.' })
      .waitFor({ state: 'attached' });
    await page.getByLabel('Revision').fill('');
    await repository.fill('someone/helpful');
    await page.keyboard.press('Enter');
    await page.getByRole('article', { name: 'Malicious in someone/helpful' }).waitFor();
    assert.deepEqual(quarantine.wishes.slice(1), [
      { type: 'datasets', repository: 'someone/helpful', revision: null },
    ]);
    const finding = page.getByRole('region', { name: /^Findings/ }).getByRole('listitem');
    assert.match(
      await finding.innerText(),
      /Critical[^]*posix\.system[^]*U\+202E[^]*member archive\/data\.pkl, byte 1204/,
    );
    const files = page.getByRole('region', { name: /^Files/ }).getByRole('listitem');
    assert.match(await files.first().innerText(), /Malicious/);
    await files.filter({ hasText: 'The archive has no directory at its end' }).waitFor();
    await repository.fill('nowhere');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'is not a repository name' }).waitFor();
    await keepScreen(page, 'triage-refused');
    await leave(visited);
  },
);

test('a look that takes long can be stopped', { skip }, async () => {
  const visited = await visit({ path: '/console/triage' });
  const { page } = visited;
  await page.getByLabel('Repository').fill('slow/model');
  await page.keyboard.press('Enter');
  await page.getByRole('status').filter({ hasText: 'slow/model' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Looking…' }).isDisabled(), true);
  await keepScreen(page, 'triage-looking');
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Look', exact: true }).waitFor();
  await leave(visited);
});

for (const width of [1440, 390]) {
  for (const dark of [false, true]) {
    const scheme = dark ? 'dark' : 'light';
    test(`quarantine, upstreams and triage fit and read at ${width} px, ${scheme}`, { skip }, async () => {
      const visited = await visit({ width, dark });
      const { page } = visited;
      const judge = async (name: string): Promise<void> => {
        await keepScreen(page, `${name}-${width}-${scheme}`);
        assert.deepEqual(await layoutFaults(page), [], name);
        assert.deepEqual(await weakContrasts(page), [], name);
        const shown = await page.evaluate(() => document.body.innerText);
        assert.doesNotMatch(shown, /[\u202a-\u202e\u2066-\u2069\u200b\u001b]/);
        assert.match(shown, /U\+202E[^]*<img src=x onerror/);
        assert.equal(await page.locator('img[src="x"]').count(), 0);
      };
      await page.goto(`${house?.origin}/console/quarantine`);
      await page.getByText(/about .* left/).waitFor();
      await judge('quarantine');
      await page.goto(`${house?.origin}/console/upstreams`);
      await page.getByText('changed-commit').waitFor();
      await judge('upstreams');
      await page.goto(`${house?.origin}/console/triage`);
      await page.getByLabel('Repository').fill('someone/helpful');
      await page.keyboard.press('Enter');
      await page.getByRole('article').waitFor();
      await judge('triage');
      await leave(visited);
    });
  }
}
