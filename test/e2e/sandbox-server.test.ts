import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { executingPickle, missingSandbox, systemPython } from '../support/sandbox.ts';
import { removeFolder, runWeighbridge } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/** No rule here looks at what the static scanner says. */
const policy = `apiVersion: weighbridge.dev/policy/v1
name: sandbox-only
description: only what was seen in the sandbox counts
appliesTo:
  environments: [development, staging, production]
rules:
  - id: not-acted
    description: it did nothing but load
    effect: deny
    integrity: true
    require: sandbox.outcome != "acted"
    messageExpression: '"in the sandbox it acted: " + sandbox.acts[0]'
    who: the publisher of the model
    remedy: use another version
`;

const skip = missingSandbox();
let house: WholeHouse;
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sandbox-policies-'));
  await writeFile(join(folder, 'sandbox-only.yaml'), policy);
  house = await openWholeHouse({ flags: ['--policies', folder, '--sandbox-python', systemPython] });
});
after(async () => {
  await house[Symbol.asyncDispose]();
  await removeFolder(folder);
});

const weighbridge = (...words: readonly string[]) => runWeighbridge([...words, '--data', house.server.data]);

async function pull(id: string, path: string) {
  const answer = await fetch(`${house.server.clients}/${id}/resolve/main/${path}`);
  await answer.arrayBuffer();
  return { status: answer.status, message: answer.headers.get('x-error-message') ?? '' };
}

/** Takes a repository in by one of its files; the rest of it is not here yet. */
async function takeIn(id: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const commit = await house.hub.commit(id, { 'config.json': '{}', ...files });
  const { status, message } = await pull(id, 'config.json');
  assert.equal(status, 200, message);
  return house.artifactOf(id, commit);
}

test(
  'a pickle that runs a command is caught with no static rule in force; from then on no byte leaves',
  {
    skip,
  },
  async () => {
    const artifact = await takeIn('org/acts', {
      'model.pkl': executingPickle('import os; os.system("id -u")'),
    });
    assert.equal((await pull('org/acts', 'model.pkl')).status, 200, 'the static rules are off');
    const said = await weighbridge('sandbox', artifact);
    assert.equal(said.code, 2, said.stderr);
    assert.match(said.stdout, /^acted: sha256:/);
    assert.match(said.stdout, /started `\/bin\/sh -c id -u`/);
    const refused = await pull('org/acts', 'model.pkl');
    // What was allowed and is not any more answers so that caches of clients are overridden.
    assert.equal(refused.status, 404);
    assert.match(refused.message, /in the sandbox it acted: started `\/bin\/sh -c id -u`/);
    const shown = await house.call('GET', `/wb/v1/artifacts/${artifact}`);
    assert.match(
      JSON.stringify(shown.body),
      /"summary":"loaded in the sandbox: acted, started `\/bin\/sh -c id -u`"/,
    );
  },
);

test('a quiet one stays allowed, and the run stands in the log', { skip }, async () => {
  const artifact = await takeIn('org/quiet', { 'model.pkl': '(lp0\nI1\na.' });
  const said = await weighbridge('sandbox', artifact, '--output', 'json');
  assert.equal(said.code, 0, `${said.stdout}${said.stderr}`);
  const { state, finding } = JSON.parse(said.stdout) as {
    state: string;
    finding: { outcome: string; acts: unknown; evidence: string };
  };
  assert.deepEqual([state, finding.outcome, finding.acts], ['done', 'quiet', []]);
  assert.match(finding.evidence, /^sha256:[0-9a-f]{64}$/);
  assert.equal((await pull('org/quiet', 'model.pkl')).status, 200);
  const explained = await weighbridge('explain', artifact);
  assert.match(explained.stdout, /^allowed: /);
});

test('only people of the namespace, and only about what is here', { skip }, async () => {
  const artifact = await takeIn('org/plain', { 'model.pkl': '(lp0\nI2\na.' });
  const path = `/wb/v1/artifacts/${artifact}/sandbox`;
  const anonymous = await fetch(`${house.server.console}${path}`, { method: 'POST' });
  assert.equal(anonymous.status, 401, await anonymous.text());
  const before_ = await house.call('GET', path);
  assert.deepEqual(before_, { status: 200, body: { state: 'none', fault: null, finding: null } });
  const unknown = await house.call('POST', `/wb/v1/artifacts/sha256:${'0'.repeat(64)}/sandbox`);
  assert.equal(unknown.status, 404, JSON.stringify(unknown.body));
  assert.deepEqual((await house.call('GET', path)).body, before_.body, 'nobody ran anything');
});

test('what cannot run says so: the interpreter is gone, or the sandbox is off', { skip }, async () => {
  const id = 'org/plain';
  for (const [flags, message] of [
    [['--sandbox-python', '/nonexistent/python'], /the interpreter `\/nonexistent\/python` does not start/],
    [['--sandbox', 'off'], /switched off on this server/],
  ] as const) {
    await using other = await openWholeHouse({ flags });
    const commit = await other.hub.commit(id, { 'config.json': '{}', 'model.pkl': '(lp0\nI1\na.' });
    await (await fetch(`${other.server.clients}/${id}/resolve/main/config.json`)).arrayBuffer();
    const artifact = await other.artifactOf(id, commit);
    const said = await runWeighbridge(['sandbox', artifact, '--data', other.server.data]);
    assert.equal(said.code, 1, said.stdout);
    assert.match(said.stderr, message);
    assert.match(said.stderr, /sandbox\.unavailable/);
    const { body } = await other.call('GET', `/wb/v1/artifacts/${artifact}`);
    assert.doesNotMatch(JSON.stringify(body), /evidence\/sandbox/, 'a run that was none is no evidence');
  }
});
