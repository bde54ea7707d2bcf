import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import type { Browser } from 'playwright-core';
import { renderAdoptionHtml } from '#app/adopt/html.ts';
import { chromiumPath, keepScreen, layoutFaults, leave, weakContrasts } from './browser.ts';
import type { Visit, VisitOptions } from './browser.ts';
import { openFixtureConsole } from './fixture-console.ts';
import type { FixtureConsole } from './fixture-console.ts';
import { digestOf, fixtureRows, fixtureToken, openFixtureDesk } from '../support/fixture-desk.ts';
import { fixtureAdoption, fixtureReport } from '../support/fixture-adoptions.ts';
import { missing } from '../support/foreign.ts';

const skip = missing('chromium', chromiumPath !== undefined);
const fixture = openFixtureDesk();
const good = digestOf('1f');
const bad = digestOf('b4');

let house: FixtureConsole | undefined;
let browser: Browser | undefined;
let origin = '';

before(async () => {
  if (skip !== false) return;
  house = await openFixtureConsole(fixture);
  ({ browser, origin } = house);
});
after(() => house?.[Symbol.asyncDispose]());

const visit = (options: Partial<VisitOptions> = {}): Promise<Visit> => {
  assert.ok(house);
  return house.visit(options);
};

const artifactPath = (digest: string): string => `/console/artifacts/${digest}`;

test(
  'a wrong token is refused in words, the right one opens the inventory and stays in the tab',
  { skip },
  async () => {
    const visited = await visit({ signIn: false });
    const { page } = visited;
    await keepScreen(page, 'sign-in');
    await page.getByLabel('Administrator token').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').filter({ hasText: 'does not accept this token' }).waitFor();
    await page.getByLabel('Administrator token').fill('two words');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'not a token' }).waitFor();
    await page.getByLabel('Administrator token').fill(fixtureToken);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Inventory' }).waitFor();
    const kept = await page.evaluate(() => [
      window.localStorage.length,
      document.cookie,
      window.location.href,
    ]);
    assert.deepEqual(kept, [0, '', `${origin}/console/`]);
    await page.reload();
    await page.getByRole('heading', { level: 1, name: 'Inventory' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Administrator token').waitFor();
    assert.equal(await page.evaluate(() => window.sessionStorage.length), 0);
    await leave(visited);
  },
);

test('the inventory lists what arrived with scan and decision, searches, and pages', { skip }, async () => {
  const visited = await visit();
  const { page } = visited;
  const rows = page.getByRole('region', { name: 'Artifacts' }).getByRole('listitem');
  await rows.first().waitFor();
  assert.equal(await rows.count(), 5);
  const denied = rows.filter({ hasText: 'someone/very-useful-finetune' });
  assert.match(await denied.innerText(), /Malicious[\s\S]*Denied/);
  const incomplete = rows.filter({ hasText: 'a-rather-long' });
  assert.match(await incomplete.innerText(), /17 absent[\s\S]*Inconclusive[\s\S]*Undecided/);
  assert.doesNotMatch(await incomplete.innerText(), /Clean/);
  await page.getByRole('button', { name: 'Show older artifacts' }).click();
  await rows.filter({ hasText: 'gpt2' }).waitFor();
  assert.equal(await rows.count(), fixtureRows.length);
  await keepScreen(page, 'inventory-1440-light');
  await page.getByLabel('Search by repository or digest').fill('bank');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/console/?search=bank');
  await rows.filter({ hasText: 'bank/credit-scoring' }).waitFor();
  assert.equal(await rows.count(), 1);
  await page.getByLabel('Search by repository or digest').fill('nowhere');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Nothing matches' }).waitFor();
  await keepScreen(page, 'inventory-empty');
  await page.goBack();
  await rows.filter({ hasText: 'bank/credit-scoring' }).waitFor();
  await leave(visited);
});

test('a failure is told with its hint and can be tried again', { skip }, async () => {
  const visited = await visit({ path: artifactPath(bad) });
  const { page } = visited;
  fixture.fail.next = true;
  await page.getByRole('link', { name: 'Inventory' }).click();
  const alert = page.getByRole('alert');
  await alert.waitFor();
  assert.match(
    await alert.innerText(),
    /The database does not answer[\s\S]*readyz[\s\S]*database\.unavailable/,
  );
  await keepScreen(page, 'inventory-failed');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('bank/credit-scoring').waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  await leave(visited);
});

test(
  'an artifact shows the decision, what would change it, findings in words and the log position of evidence',
  { skip },
  async () => {
    const visited = await visit();
    const { page } = visited;
    await page.getByRole('link', { name: 'someone/very-useful-finetune' }).click();
    await page.getByRole('heading', { level: 1, name: 'someone/very-useful-finetune' }).waitFor();
    const decision = page.getByRole('article', { name: 'Denied in development' });
    const text = await decision.innerText();
    assert.match(text, /A file would run a command when it is loaded: pytorch_model\.bin/);
    assert.match(text, /What would change it[\s\S]*Ask for safetensors weights/);
    assert.match(text, /Missing[\s\S]*An approval of the root loading/);
    const findings = page.getByRole('region', { name: /^Findings/ });
    const first = await findings.getByRole('listitem').first().innerText();
    assert.match(
      first,
      /Critical[\s\S]*Would call posix\.system[\s\S]*pytorch_model\.bin[\s\S]*byte 1204[\s\S]*Do not load this file/,
    );
    const timeline = page.getByRole('region', { name: 'Evidence' });
    assert.deepEqual(
      (await timeline.locator('.position').allInnerTexts()).map((position) => position.replace(/\D/g, '')),
      ['7', '6', '5'],
    );
    await decision.getByRole('link', { name: 'log 6' }).first().click();
    assert.equal(await page.evaluate(() => window.location.hash), '#log-6');
    await keepScreen(page, 'artifact-bad-1440-light');
    await page.goto(`${origin}${artifactPath(digestOf('00'))}`);
    await page.getByRole('heading', { name: 'This artifact is not here' }).waitFor();
    await leave(visited);
  },
);

test('text from artifacts cannot act, hide or turn round what is read', { skip }, async () => {
  const visited = await visit({ path: artifactPath(bad) });
  const { page } = visited;
  await page.getByRole('heading', { level: 1 }).waitFor();
  for (const path of [artifactPath(bad), '/console/']) {
    await page.goto(`${origin}${path}`);
    await page.getByText('onerror=alert(1)').first().waitFor();
    assert.equal(await page.locator('img[src="x"]').count(), 0);
    const shown = await page.evaluate(() => document.body.innerText);
    assert.doesNotMatch(shown, /[\u202a-\u202e\u2066-\u2069\u200b\u001b]/);
    assert.match(shown, /U\+202E/);
    assert.match(shown, /U\+001B/);
  }
  await leave(visited);
});

test('the content policy stops a planted inline script and a planted foreign request', { skip }, async () => {
  const { page, context, trouble } = await visit();
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.planted = true';
    document.body.append(script);
    document.body.insertAdjacentHTML('beforeend', '<img src="http://127.0.0.1:9/x.png">');
  });
  await page.waitForTimeout(200);
  assert.equal(await page.evaluate(() => 'planted' in window), false);
  assert.ok(
    trouble.some((line) => /script-src/.test(line)),
    trouble.join('\n'),
  );
  assert.ok(
    trouble.some((line) => /img-src/.test(line)),
    trouble.join('\n'),
  );
  await context.close();
});

test(
  'approving needs a reason and an environment, and sends what was chosen; by keyboard alone',
  { skip },
  async () => {
    const visited = await visit({ path: artifactPath(good) });
    const { page } = visited;
    const opener = page.getByRole('button', { name: 'Approve…' });
    await opener.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Approve this artifact' });
    await dialog.waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.equal(await opener.evaluate((element) => document.activeElement === element), true);
    await page.keyboard.press('Enter');
    await dialog.getByRole('button', { name: 'Sign approval' }).focus();
    await page.keyboard.press('Enter');
    await dialog.getByText('Say why').waitFor();
    await dialog.getByLabel('Reason').fill('  ');
    await dialog.getByLabel('development').focus();
    await page.keyboard.press('Space');
    await dialog.getByRole('button', { name: 'Sign approval' }).click();
    await dialog.getByText('Choose at least one environment').waitFor();
    assert.equal(fixture.recorded.approvals.length, 0);
    await keepScreen(page, 'approve-1440-light');
    await dialog.getByLabel('Reason').fill('read the findings with the risk team');
    await dialog.getByLabel('staging').check();
    await dialog.getByLabel('production').check();
    await dialog.getByLabel('Weights only').check();
    await dialog.getByLabel('Until the end of').fill('2099-12-31');
    await dialog.getByLabel('Reason').focus();
    await dialog.getByRole('button', { name: 'Sign approval' }).press('Enter');
    await page.getByRole('status').filter({ hasText: 'The approval is recorded as log entry 9.' }).waitFor();
    assert.deepEqual(fixture.recorded.approvals, [
      {
        artifact: good,
        reason: 'read the findings with the risk team',
        root: 'weights',
        environments: ['staging', 'production'],
        expiresAt: '2099-12-31T23:59:59Z',
      },
    ]);
    await leave(visited);
  },
);

test(
  'a run in the sandbox is ordered, waited for and shown; what acted says what it did',
  { skip },
  async () => {
    const visited = await visit({ path: artifactPath(good) });
    const { page } = visited;
    const sandbox = page.getByRole('region', { name: 'Sandbox' });
    await sandbox.getByText('has not been loaded here yet').waitFor();
    await sandbox.getByRole('button', { name: 'Run in the sandbox' }).click();
    await sandbox.getByRole('status').filter({ hasText: 'loaded and called in isolation' }).waitFor();
    assert.equal(await sandbox.getByRole('button').isDisabled(), true);
    await sandbox.getByText('Stayed quiet').waitFor();
    await page.getByRole('region', { name: 'Evidence' }).getByText('Sandbox run').waitFor();
    await page.goto(`${origin}${artifactPath(bad)}`);
    await sandbox.getByText('Acted').waitFor();
    assert.match(await sandbox.innerText(), /It started \/bin\/sh -c U\+202Ecurl[^]*log 6/);
    await sandbox.getByRole('button', { name: 'Run again' }).click();
    await sandbox.getByRole('alert').filter({ hasText: 'switched off here' }).waitFor();
    await leave(visited);
  },
);

test('refusing needs a reason and says that nothing outweighs it', { skip }, async () => {
  const visited = await visit({ path: artifactPath(bad) });
  const { page } = visited;
  await page.getByRole('button', { name: 'Refuse…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Refuse this artifact' });
  await dialog.getByText('can outweigh it').waitFor();
  await dialog.getByRole('button', { name: 'Sign refusal' }).click();
  await dialog.getByText('Say why').waitFor();
  assert.equal(fixture.recorded.refusals.length, 0);
  await keepScreen(page, 'refuse-1440-light');
  await dialog.getByLabel('Reason').fill('runs a command when loaded');
  await dialog.getByRole('button', { name: 'Sign refusal' }).click();
  await page.getByRole('status').filter({ hasText: 'The refusal is recorded as log entry' }).waitFor();
  assert.deepEqual(fixture.recorded.refusals, [{ artifact: bad, reason: 'runs a command when loaded' }]);
  await leave(visited);
});

test(
  'an adoption shows risks of that day by severity, filters them, and is saved as a page that does nothing',
  { skip },
  async () => {
    const visited = await visit();
    const { page } = visited;
    await page.getByRole('link', { name: 'Adoptions' }).click();
    const rows = page.getByRole('region', { name: 'Adoptions' }).getByRole('listitem');
    await rows.first().waitFor();
    assert.match(await rows.nth(0).innerText(), /3 models[^]*not everything was looked at[^]*2 critical/);
    assert.match(await rows.nth(1).innerText(), /1 of 1 origin proved[^]*No risk found/);
    await rows.nth(0).getByRole('link').click();
    await page.getByRole('heading', { level: 1, name: 'What was there' }).waitFor();
    const risks = page.getByRole('list', { name: 'Risks' }).getByRole('listitem');
    assert.equal(await risks.count(), fixtureReport.risks.length);
    assert.match(
      await risks.first().innerText(),
      /Critical[^]*Would run something[^]*posix\.system[^]*PKL-CALL-DENIED/,
    );
    await page.getByRole('button', { name: 'High 1' }).click();
    assert.equal(await risks.count(), 1);
    assert.match(await risks.first().innerText(), /U\+202E[^]*U\+001B/);
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await page.getByLabel('Filter by model, file or words').fill('run-7');
    assert.equal(await risks.count(), 3);
    await page.getByLabel('Filter by model, file or words').fill('nothing like it');
    await page.getByText('No risk matches.').waitFor();
    const shown = await page.evaluate(() => document.body.innerText);
    assert.doesNotMatch(shown, /[\u202a-\u202e\u2066-\u2069\u001b]/);
    const [saved] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save as HTML' }).click(),
    ]);
    const path = await saved.path();
    assert.match(saved.suggestedFilename(), /^adoption-[0-9a-f]+\.html$/);
    const file = readFileSync(path, 'utf8');
    assert.doesNotMatch(file, /<script|<img|\u202e|\u001b/);
    assert.match(file, /&lt;img src=x onerror=alert\(1\)&gt;/);
    await page.goto(`${origin}/console/adoptions/${digestOf('00')}`);
    await page.getByRole('heading', { name: 'This adoption is not here' }).waitFor();
    await leave(visited);
  },
);

for (const width of [1440, 390]) {
  for (const dark of [false, true]) {
    const scheme = dark ? 'dark' : 'light';
    test(`the adoption report as a file fits and reads at ${width} px, ${scheme}`, { skip }, async () => {
      assert.ok(browser);
      const context = await browser.newContext({
        viewport: { width, height: 900 },
        colorScheme: scheme,
        javaScriptEnabled: true,
      });
      const page = await context.newPage();
      const trouble: string[] = [];
      page.on('request', (request) => {
        if (!request.url().startsWith('file:')) trouble.push(request.url());
      });
      page.on('console', (message) => trouble.push(message.text()));
      page.on('dialog', (dialog) => {
        trouble.push(dialog.message());
        void dialog.dismiss();
      });
      const folder = mkdtempSync(join(tmpdir(), 'weighbridge-report-'));
      writeFileSync(join(folder, 'report.html'), renderAdoptionHtml(fixtureReport));
      await page.goto(`file://${folder}/report.html`);
      await page.getByText('Would run').or(page.getByText('would run a command')).first().waitFor();
      await keepScreen(page, `report-${width}-${scheme}`);
      assert.deepEqual(await layoutFaults(page), []);
      assert.deepEqual(await weakContrasts(page), []);
      assert.deepEqual(trouble, []);
      await context.close();
      rmSync(folder, { recursive: true });
    });
  }
}

const awaited = {
  inventory: 'bank/credit-scoring',
  'artifact-good': 'signed by',
  'artifact-bad': 'signed by',
  adoptions: 'No risk found',
  adoption: 'Would run something',
} as const;

for (const width of [1440, 768, 390]) {
  for (const dark of [false, true]) {
    const scheme = dark ? 'dark' : 'light';
    test(`every page fits and reads at ${width} px, ${scheme}`, { skip }, async () => {
      const visited = await visit({ width, dark });
      const { page } = visited;
      for (const [name, path] of [
        ['inventory', '/console/'],
        ['artifact-good', artifactPath(good)],
        ['artifact-bad', artifactPath(bad)],
        ['adoptions', '/console/adoptions'],
        ['adoption', `/console/adoptions/${fixtureAdoption.id}`],
      ] as const) {
        await page.goto(`${origin}${path}`);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.getByText(awaited[name]).first().waitFor();
        await keepScreen(page, `${name}-${width}-${scheme}`);
        assert.deepEqual(await layoutFaults(page), [], name);
        assert.deepEqual(await weakContrasts(page), [], name);
      }
      await page.goto(`${origin}${artifactPath(bad)}`);
      await page.getByRole('button', { name: 'Approve…' }).click();
      await page.getByText('An approval will not change this').waitFor();
      await keepScreen(page, `approve-${width}-${scheme}`);
      assert.deepEqual(await layoutFaults(page), [], 'approve');
      assert.deepEqual(await weakContrasts(page), [], 'approve');
      await leave(visited);
    });
  }
}

test('the checks of layout and contrast see a planted fault', { skip }, async () => {
  const { page, context } = await visit();
  await page.getByText('bank/credit-scoring').waitFor();
  assert.deepEqual(await layoutFaults(page), []);
  await page.evaluate(() => {
    const faint = document.createElement('p');
    faint.textContent = 'hard to read';
    faint.style.color = 'rgb(200 200 200)';
    const wide = document.createElement('div');
    wide.style.width = '3000px';
    wide.textContent = 'x';
    document.querySelector('main')?.append(faint, wide, document.createElement('button'));
  });
  assert.match((await weakContrasts(page)).join('\n'), /hard to read/);
  const faults = (await layoutFaults(page)).join('\n');
  assert.match(faults, /ends at/);
  assert.match(faults, /no name/);
  await context.close();
});
