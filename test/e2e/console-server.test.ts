import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test, { after, before } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { missing } from '../support/foreign.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { called, named, pickle, text } from '../support/pickle-assembler.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';
import {
  chromiumPath,
  keepScreen,
  layoutFaults,
  leave,
  openBrowser,
  openVisit,
  weakContrasts,
} from './browser.ts';
import type { Visit, VisitOptions } from './browser.ts';

const { buildConsole } = createRequire(import.meta.url)('../../bin/launch.js') as {
  readonly buildConsole: () => void;
};
const skip = missing('chromium', chromiumPath !== undefined);

/** The console in front of the real server: what people see is what the log says. */
let house: WholeHouse | undefined;
let browser: Browser | undefined;
const artifacts = new Map<string, string>();

const weights = () => safetensors({ 'layer.weight': tensor(0, 16, 'F32', [2, 2]) }, 16);
const evil = pickle(called(named('posix', 'system'), text('touch /tmp/owned')));
const repositories: Readonly<Record<string, Readonly<Record<string, Uint8Array | string>>>> = {
  'acme/clean-encoder': {
    'config.json': '{"model_type":"bert"}',
    'model.safetensors': weights(),
    'README.md': '# Clean\n',
  },
  'stranger/helpful-finetune': { 'config.json': '{"model_type":"gpt2"}', 'pytorch_model.bin': evil },
  'acme/reviewed': {
    'config.json': '{"model_type":"t5"}',
    'model.safetensors': weights(),
    'README.md': '# Reviewed\n',
  },
  'acme/leaked': { 'config.json': '{"model_type":"vit"}', 'model.safetensors': weights() },
};

before(async () => {
  if (skip !== false) return;
  buildConsole();
  house = await openWholeHouse();
  for (const [id, files] of Object.entries(repositories)) {
    const commit = await house.hub.commit(
      id,
      Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, Buffer.from(bytes)])),
    );
    for (const path of Object.keys(files)) await pulled(`${house.server.clients}/${id}/resolve/main/${path}`);
    artifacts.set(id, await house.artifactOf(id, commit));
  }
  // Asked for last and allowed: that one harmless file of a malicious artifact may be read must not make it look allowed.
  const harmless = `${house.server.clients}/stranger/helpful-finetune/resolve/main/config.json`;
  const headers = { authorization: `Bearer ${house.server.token}` };
  const answer = await fetch(harmless, { headers });
  assert.equal(answer.status, 200, answer.headers.get('x-error-message') ?? '');
  await answer.arrayBuffer();
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await house?.[Symbol.asyncDispose]();
});

async function pulled(url: string): Promise<number> {
  for (;;) {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    if (answer.status !== 503) return answer.status;
  }
}

function visit(options: Partial<VisitOptions> = {}): Promise<Visit> {
  assert.ok(browser !== undefined && house !== undefined);
  return openVisit(browser, { origin: house.server.console, token: house.server.token, ...options });
}

const artifactPath = (id: string): string => `/console/artifacts/${artifacts.get(id) ?? ''}`;
const rowOf = (page: Page, id: string) =>
  page.getByRole('region', { name: 'Artifacts' }).getByRole('listitem').filter({ hasText: id });

async function sign(page: Page, verb: 'Approve' | 'Refuse', reason: string): Promise<number> {
  await page.getByRole('button', { name: `${verb}…` }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill(reason);
  if (verb === 'Approve') await dialog.getByLabel('production').check();
  await dialog.getByRole('button', { name: verb === 'Approve' ? 'Sign approval' : 'Sign refusal' }).click();
  const status = page.getByRole('status').filter({ hasText: 'recorded as log entry' });
  await status.waitFor();
  const position = Number(/log entry (\d+)/.exec(await status.innerText())?.[1]);
  assert.ok(position > 0);
  return position;
}

test(
  'the administrator token opens the inventory with what scans and decisions say; another token does not',
  { skip },
  async () => {
    const stranger = await visit({ signIn: false });
    await stranger.page.getByLabel('Administrator token').fill('hf_somebodyElse');
    await stranger.page.keyboard.press('Enter');
    await stranger.page.getByRole('alert').filter({ hasText: 'does not accept this token' }).waitFor();
    await leave(stranger);
    const visited = await visit();
    const { page } = visited;
    await rowOf(page, 'acme/clean-encoder').waitFor();
    assert.match(await rowOf(page, 'acme/clean-encoder').innerText(), /main[\s\S]*Clean[\s\S]*Allowed/);
    assert.match(await rowOf(page, 'stranger/helpful-finetune').innerText(), /Malicious[\s\S]*Denied/);
    await page.getByLabel('Search by repository or digest').fill('helpful');
    await page.keyboard.press('Enter');
    await rowOf(page, 'acme/clean-encoder').waitFor({ state: 'detached' });
    await rowOf(page, 'stranger/helpful-finetune').waitFor();
    await leave(visited);
  },
);

test(
  'a malicious pickle is explained in words, with place, remedy and what would change the decision',
  { skip },
  async () => {
    const visited = await visit({ path: artifactPath('stranger/helpful-finetune') });
    const { page } = visited;
    const decision = page.getByRole('article', { name: /Denied in development/ }).first();
    await decision.waitFor();
    assert.match(await decision.innerText(), /posix\.system[\s\S]*What would change it/i);
    assert.match(await decision.innerText(), /to pull pytorch_model\.bin/);
    await page
      .getByRole('region', { name: 'Evidence' })
      .getByRole('listitem')
      .filter({ hasText: /pytorch_model\.bin.*: malicious/ })
      .first()
      .waitFor();
    const finding = page
      .getByRole('region', { name: /^Findings/ })
      .getByRole('listitem')
      .first();
    assert.match(await finding.innerText(), /Critical[\s\S]*posix\.system[\s\S]*pytorch_model\.bin/);
    const positions = await page
      .getByRole('region', { name: 'Evidence' })
      .locator('.position')
      .allInnerTexts();
    assert.ok(positions.length >= 3 && positions.every((position) => /\d/.test(position)), positions.join());
    await leave(visited);
  },
);

test(
  'approving in the console is evidence in the log and changes the decision for production',
  { skip },
  async () => {
    assert.ok(house);
    const artifact = artifacts.get('acme/reviewed') ?? '';
    const question = { artifact, action: 'pull', environment: 'production', files: null };
    const ask = async () => {
      const { body } = (await house?.call('POST', '/wb/v1/decisions', question)) ?? {};
      return (body as { readonly decision: { readonly verdict: string } }).decision.verdict;
    };
    assert.equal(await ask(), 'deny');
    const visited = await visit({ path: artifactPath('acme/reviewed') });
    const { page } = visited;
    const position = await sign(page, 'Approve', 'read line by line with the risk team');
    assert.notEqual(await ask(), 'deny');
    await page.reload();
    const timeline = page.getByRole('region', { name: 'Evidence' });
    await timeline.getByText('read line by line with the risk team').waitFor();
    assert.ok(
      (await timeline.locator('.position').allInnerTexts()).some(
        (text) => text.replace(/\D/g, '') === String(position),
      ),
    );
    const head = (await house.call('GET', '/wb/v1/log/head')).body as { readonly size: number };
    assert.ok(head.size > position);
    await page
      .getByRole('article', { name: /(Allowed|Warning|Warned|Allowed with).* in production/ })
      .first()
      .waitFor();
    await leave(visited);
  },
);

test('refusing in the console stops the next pull and is shown at once', { skip }, async () => {
  assert.ok(house);
  const url = `${house.server.clients}/acme/leaked/resolve/main/config.json`;
  assert.equal(await pulled(url), 200);
  const visited = await visit({ path: artifactPath('acme/leaked') });
  const { page } = visited;
  await sign(page, 'Refuse', 'trained on leaked customer letters');
  assert.equal(await pulled(url), 404);
  await page
    .getByRole('article', { name: /Denied in development/ })
    .first()
    .waitFor();
  await page
    .getByRole('region', { name: 'Evidence' })
    .getByText('trained on leaked customer letters')
    .waitFor();
  await page.getByRole('link', { name: 'Inventory' }).click();
  await rowOf(page, 'acme/leaked').filter({ hasText: 'Denied' }).waitFor();
  await leave(visited);
});

for (const width of [1440, 390]) {
  for (const dark of [false, true]) {
    const scheme = dark ? 'dark' : 'light';
    test(`what the server says fits and reads at ${width} px, ${scheme}`, { skip }, async () => {
      const visited = await visit({ width, dark });
      const { page } = visited;
      const pages = [
        ['inventory', '/console/'],
        ...[...artifacts.keys()].map((id) => [id.replace('/', '-'), artifactPath(id)]),
      ];
      for (const [name = '', path = ''] of pages) {
        await page.goto(`${house?.server.console}${path}`);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page
          .getByText(name === 'inventory' ? 'acme/clean-encoder' : 'signed by')
          .first()
          .waitFor();
        await keepScreen(page, `server-${name}-${width}-${scheme}`);
        assert.deepEqual(await layoutFaults(page), [], name);
        assert.deepEqual(await weakContrasts(page), [], name);
      }
      await leave(visited);
    });
  }
}
