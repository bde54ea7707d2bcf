import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { expectedPaths, tilePath } from '#evidence/log/tile.ts';
import { parseJson } from '#lib/json.ts';
import { member } from '../../src/app/cli/connection.ts';
import {
  approve,
  artifactOf,
  holdsEverything,
  modelFiles,
  nothingAcknowledged,
  pull,
  readHead,
  sha256,
  showArtifact,
} from '../fault/server-driver.ts';
import { openLoopbackHub } from '../support/hub/hub.ts';
import type { LoopbackHub } from '../support/hub/hub.ts';
import { called, named, pickle, text } from '../support/pickle-assembler.ts';
import { removeFolder, runWeighbridge, startTestServer } from '../support/server.ts';
import type { CommandResult, TestServer } from '../support/server.ts';

let hub: LoopbackHub;
let data: string;
let artifacts: readonly string[];
/** What the house says of itself after a restart, before anything was deleted. */
let told: Told;
let logFiles: ReadonlyMap<string, string>;
const acknowledged = nothingAcknowledged();

interface Told {
  readonly log: string;
  readonly decisions: readonly string[];
  readonly artifacts: readonly unknown[];
}

const start = (environment: Readonly<Record<string, string>> = {}): Promise<TestServer> =>
  startTestServer({ upstream: hub.url, data, environment });

async function stop(server: TestServer): Promise<void> {
  assert.equal(await server.stop(), 0, server.output());
}

const command = (
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<CommandResult> => runWeighbridge([...words, '--data', data], { environment });

before(async () => {
  hub = await openLoopbackHub();
  await hub.commit('org/sound', modelFiles(1));
  await hub.commit('org/trap', {
    'config.json': '{"model_type":"bert"}',
    'pytorch_model.bin': pickle(called(named('posix', 'system'), text('id'))),
  });
  const server = await startTestServer({ upstream: hub.url });
  ({ data } = server);
  for (const name of ['config.json', 'model.safetensors']) {
    const path = `/org/sound/resolve/main/${name}`;
    const { status, bytes } = await pull(server, path);
    assert.equal(status, 200);
    acknowledged.files.set(path, sha256(bytes));
  }
  assert.equal((await pull(server, '/org/trap/resolve/main/pytorch_model.bin')).status, 403);
  artifacts = [await artifactOf(server, 'org/sound'), await artifactOf(server, 'org/trap')];
  const approval = await approve(server, artifacts[0] ?? '');
  acknowledged.entries.set(approval.logIndex, approval.envelopeDigest);
  await ask();
  await readHead(server, acknowledged);
  await stop(server);
});

// Pulls are counted in the log when the server stops: what is compared is said by a server that nobody pulled from.
beforeEach(async () => {
  const server = await start();
  told = await tell(server);
  assert.match(told.decisions.join('\n'), /"verdict":"allow"/);
  assert.match(told.decisions.join('\n'), /"verdict":"deny"/);
  await stop(server);
  logFiles = await readLog();
});

after(async () => {
  await hub.close();
  await removeFolder(data);
});

/** Several questions about both artifacts, as the command line prints their answers. */
async function ask(): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const artifact of artifacts) {
    for (const question of [
      ['--environment', 'production'],
      ['--environment', 'staging', '--action', 'deploy'],
      ['--environment', 'development', '--file', 'config.json'],
    ]) {
      const { code, stdout, stderr } = await command(['decide', artifact, ...question, '--output', 'json']);
      assert.ok(code === 0 || code === 2, stderr);
      assert.equal(code === 0, stdout.includes('"verdict":"allow"') || stdout.includes('"verdict":"warn"'));
      answers.push(stdout);
    }
  }
  return answers;
}

async function tell(server: TestServer): Promise<Told> {
  const { stdout } = await command(['log', '--output', 'json']);
  const shown = [];
  for (const artifact of artifacts) shown.push(await showArtifact(server, artifact));
  return { log: stdout, decisions: await ask(), artifacts: shown };
}

/** Everything under `log/`, path to SHA-256. */
async function readLog(): Promise<ReadonlyMap<string, string>> {
  const folder = join(data, 'log');
  const found = new Map<string, string>();
  for (const item of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!item.isFile()) continue;
    const path = join(item.parentPath, item.name);
    found.set(relative(folder, path), sha256(await readFile(path)));
  }
  return found;
}

/** The server starts, says the same as before about log and decisions, and finds nothing wrong with itself. */
async function saysTheSame(): Promise<void> {
  const server = await start();
  try {
    assert.deepEqual(await tell(server), told);
    const doctor = await command(['doctor']);
    assert.equal(doctor.code, 0, doctor.stdout);
    await holdsEverything(server, acknowledged);
  } finally {
    await stop(server);
  }
}

/** No server starts on a directory whose database is gone or half rebuilt: the Fault names the way out. */
async function refusesToServe(): Promise<void> {
  await assert.rejects(start(), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /ledger\.diverged/);
    assert.match(error.message, /hint: .*`weighbridge reindex`/);
    return true;
  });
}

async function reindex(): Promise<void> {
  const { code, stdout, stderr } = await command(['reindex', '--output', 'json']);
  assert.equal(code, 0, stderr);
  const answer = parseJson(stdout);
  assert.equal(member(answer, 'rootHash'), member(parseJson(told.log), 'rootHash'));
  assert.equal(member(answer, 'entries'), member(parseJson(told.log), 'size'));
  assert.equal(member(answer, 'snapshots'), 2);
}

test('without its database the server refuses; reindex brings the same log root and decisions back', async () => {
  await rm(join(data, 'postgres'), { recursive: true });
  await refusesToServe();
  assert.deepEqual(await readLog(), logFiles, 'no second history was begun');
  await reindex();
  const twice = await command(['reindex']);
  assert.equal(twice.code, 1);
  assert.match(twice.stderr, /ledger\.diverged/);
  await saysTheSame();
});

for (const moment of ['before', 'after']) {
  test(`reindex killed ${moment} its commit: the server refuses or is whole, and reindex can run again`, async () => {
    await rm(join(data, 'postgres'), { recursive: true });
    const killed = await command(['reindex'], { WEIGHBRIDGE_FAULT_AT: `ledger.commit:${moment}:kill` });
    assert.notEqual(killed.code, 0);
    if (moment === 'before') {
      await refusesToServe();
      await reindex();
    }
    await saysTheSame();
  });
}

test('without its tiles the server derives them again, byte for byte', async () => {
  await rm(join(data, 'log'), { recursive: true });
  const server = await start();
  const derived = await readLog();
  await stop(server);
  const size = Number(member(parseJson(told.log), 'size'));
  for (const path of ['checkpoint', ...expectedPaths(size)]) assert.ok(derived.has(path), path);
  for (const [path, digest] of derived) assert.equal(digest, logFiles.get(path), path);
  await saysTheSame();
});

test('a tile that is not what was signed is not rebuilt from', async () => {
  const size = Number(member(parseJson(told.log), 'size'));
  const path = join(data, 'log', tilePath('entries', 0, size));
  const whole = await readFile(path);
  const altered = Buffer.from(whole);
  altered[10] = (altered[10] ?? 0) ^ 1;
  await rm(join(data, 'postgres'), { recursive: true });
  await rm(path);
  await writeFile(path, altered);
  const refused = await command(['reindex']);
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, /proof\.invalid/);
  await refusesToServe();
  await writeFile(path, whole);
  await reindex();
  await saysTheSame();
});
