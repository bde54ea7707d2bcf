import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test, { after, before } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { missing } from '../support/foreign.ts';
import { gatedContent } from '../support/gated-content.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { called, named, pickle, text } from '../support/pickle-assembler.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';
import { chromiumPath, keepScreen, layoutFaults, leave, openBrowser, openVisit } from './browser.ts';
import type { Visit } from './browser.ts';

const { buildConsole } = createRequire(import.meta.url)('../../bin/launch.js') as {
  readonly buildConsole: () => void;
};
const skip = missing('chromium', chromiumPath !== undefined);
const MB = 1_000_000;

/** The console in front of the real server and an upstream that gives no byte more than the test allows. */
let house: WholeHouse | undefined;
let browser: Browser | undefined;

// Large enough to be read along.
const elements = 3 * MB;
const weights = safetensors({ 'layer.weight': tensor(0, 4 * elements, 'F32', [elements]) }, 4 * elements);
const large = gatedContent(weights);

before(async () => {
  if (skip !== false) return;
  buildConsole();
  house = await openWholeHouse();
  await house.hub.commit('acme/large', {
    'config.json': '{"model_type":"bert"}',
    'model.safetensors': large.content,
  });
  await house.hub.commit('stranger/tool', {
    'config.json': '{"model_type":"gpt2"}',
    'pytorch_model.bin': pickle(called(named('posix', 'system'), text('touch /tmp/owned'))),
  });
  await house.hub.commit('stranger/liar', {
    'config.json': '{"model_type":"gpt2"}',
    'model.safetensors': safetensors({ w: tensor(0, 4, 'F32', [1]) }, 4),
  });
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await house?.[Symbol.asyncDispose]();
});

function visit(path: string): Promise<Visit> {
  assert.ok(browser !== undefined && house !== undefined);
  return openVisit(browser, { origin: house.server.console, token: house.server.token, path });
}

/** Only clients that are known to put a tail right may read along. */
const headers = { 'user-agent': 'unknown/None; hf_hub/1.16.0; python/3.13.0' };

/** Pulls as a patient client does. */
async function pulled(path: string): Promise<number> {
  for (;;) {
    const answer = await fetch(`${house?.server.clients}/${path}`, { headers });
    const whole = await answer.arrayBuffer().then(
      () => true,
      () => false,
    );
    if (answer.status !== 503) return whole ? answer.status : 0;
  }
}

async function until(page: Page, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await holds()) return;
    await page.waitForTimeout(100);
  }
  assert.ok(await holds());
}

test(
  'a slow upstream: the bar stands where the bytes are, moves with them, and the row leaves',
  { skip },
  async () => {
    const visited = await visit('/console/quarantine');
    const { page } = visited;
    await page.getByText('Nothing is on its way.').waitFor();
    large.letGo(3 * MB);
    const pull = pulled('acme/large/resolve/main/model.safetensors');
    const row = page.getByRole('region', { name: /^Arriving/ }).getByRole('listitem', { name: 'acme/large' });
    const bar = row.getByRole('progressbar', { name: /^model\.safetensors/ });
    await bar.waitFor();
    const received = async (): Promise<number> => Number(await bar.getAttribute('value'));
    await until(page, async () => (await received()) > 2 * MB);
    assert.ok((await received()) <= 3 * MB, 'no more than upstream gave');
    assert.match(await row.innerText(), /Fetching, step 2 of 3[^]*Its bytes are on their way/);
    await row.getByText('1 reader').waitFor();
    large.letGo(6 * MB);
    await until(page, async () => (await received()) > 5 * MB);
    assert.ok((await received()) <= 6 * MB, 'no more than upstream gave');
    await keepScreen(page, 'server-quarantine-moving');
    assert.deepEqual(await layoutFaults(page), []);
    large.letGo(weights.length);
    await row.filter({ hasText: 'Left the queue' }).waitFor();
    assert.equal(await pull, 200);
    await row.getByRole('link', { name: 'acme/large' }).click();
    await page.getByRole('article', { name: /Allowed in development/ }).waitFor();
    await leave(visited);
  },
);

test('what the server refuses is held with its reason and who can decide', { skip }, async () => {
  assert.notEqual(await pulled('stranger/tool/resolve/main/pytorch_model.bin'), 200);
  const visited = await visit('/console/quarantine');
  const { page } = visited;
  const row = page.getByRole('region', { name: /^Held/ }).getByRole('listitem', { name: 'stranger/tool' });
  await row.waitFor();
  assert.match(await row.innerText(), /posix\.system[^]*What would change it[^]*Who can/);
  await row.getByRole('link', { name: /^Look and decide/ }).click();
  await page
    .getByRole('article', { name: /Denied in development/ })
    .first()
    .waitFor();
  await leave(visited);
});

test('a lie of the upstream stands among its incidents, with its place in the log', { skip }, async () => {
  assert.ok(house);
  house.hub.lie('stranger/liar', 'wrong-bytes', { path: 'model.safetensors' });
  assert.notEqual(await pulled('stranger/liar/resolve/main/model.safetensors'), 200);
  const visited = await visit('/console/upstreams');
  const { page } = visited;
  const incident = page.getByRole('region', { name: 'Newest incidents' }).getByRole('listitem').first();
  await incident.waitFor();
  assert.match(
    await incident.innerText(),
    /Other bytes than declared[^]*hf:\/\/models\/stranger\/liar@[^]*model\.safetensors[^]*log \d+[^]*wrong-digest/,
  );
  const host = page
    .getByRole('region', { name: 'Hosts' })
    .getByRole('listitem')
    .filter({ hasText: house.hub.url.host });
  assert.match(await host.innerText(), /configured upstream[^]*\d+ requests?,/);
  await keepScreen(page, 'server-upstreams');
  assert.deepEqual(await layoutFaults(page), []);
  await leave(visited);
});

test('a look before the pull finds the command, and leaves nothing behind', { skip }, async () => {
  assert.ok(house);
  const { size } = (await house.call('GET', '/wb/v1/log/head')).body as { readonly size: number };
  const visited = await visit('/console/triage');
  const { page } = visited;
  await page.getByLabel('Repository').fill('stranger/tool');
  await page.keyboard.press('Enter');
  const report = page.getByRole('article', { name: 'Malicious in stranger/tool' });
  await report.waitFor();
  assert.match(await report.innerText(), /Bytes read: \d+/);
  await page
    .getByRole('region', { name: /^Findings/ })
    .getByText('posix.system')
    .first()
    .waitFor();
  await page.getByLabel('Repository').fill('nobody/nothing');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  await keepScreen(page, 'server-triage-unknown');
  const after = (await house.call('GET', '/wb/v1/log/head')).body as { readonly size: number };
  assert.equal(after.size, size);
  await leave(visited);
});
