import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { missing } from '../support/foreign.ts';
import { openLoopbackHub, type LoopbackHub } from '../support/hub/hub.ts';
import { openPullHouse, type PullHouse } from '../support/pull-house.ts';
import { clientEnvironment, openPythonHub, pythonIn, type PythonHub } from '../support/python-hub.ts';
import { hubClientCases, sha256 } from './hf-python-cases.ts';

/** The newest client, and older ones whose time-outs, retries and caches differ. */
const versions = [
  ['current', 'venv'],
  ['v1.16', 'hub-1.16.0'],
  ['v0.36', 'hub-0.36.0'],
] as const;

interface World {
  readonly hub: LoopbackHub;
  readonly house: PullHouse;
  readonly python: PythonHub;
}

async function openWorld(
  t: TestContext,
  python: string,
  settings: Parameters<typeof openPullHouse>[1] = {},
): Promise<World> {
  const hub = await openLoopbackHub();
  const house = await openPullHouse(hub.url, settings);
  const session = await openPythonHub(python, house.url);
  t.after(async () => {
    await session[Symbol.asyncDispose]();
    await house[Symbol.asyncDispose]();
    await hub.close();
  });
  return { hub, house, python: session };
}

for (const [name, environment] of versions) {
  const python = pythonIn(environment);
  const skip = missing(`huggingface_hub in .cache/${environment}`, python !== undefined);
  if (python === undefined) {
    test(`huggingface_hub ${name}`, { skip }, () => undefined);
    continue;
  }
  hubClientCases(name, async (t) => {
    const { hub, house, python: session } = await openWorld(t, python);
    return {
      python: session,
      commit: (id, files) => hub.commit(id, files),
      refuse: async (path, reason) => void house.verdicts.denied.set(path, reason),
      revoke: async (_id, commit) => void house.verdicts.withdrawn.add(commit),
    };
  });

  test(`${name}: waits through 503 and Retry-After where no interim answer may be sent`, async (t) => {
    const { hub, house, python: session } = await openWorld(t, python, { heartbeat: 'never', holdMs: 200 });
    await hub.commit('org/slow', { 'model.bin': 'slow' });
    house.setIntakeDelay(1_500);
    const answer = await session.call('download', { repo_id: 'org/slow', filename: 'model.bin' });
    assert.deepEqual(answer, { value: { sha256: sha256('slow'), name: 'model.bin', bytes: 4 } });
    assert.ok(house.events.some(({ outcome }) => outcome === 'held'));
  });

  test(`${name}: a hold longer than the client's time-out is bridged by interim answers`, async (t) => {
    const { hub, house, python: session } = await openWorld(t, python);
    await hub.commit('org/slower', { 'model.bin': 'slower' });
    house.setIntakeDelay(13_000);
    const started = performance.now();
    const answer = await session.call('download', { repo_id: 'org/slower', filename: 'model.bin' });
    assert.deepEqual(answer, { value: { sha256: sha256('slower'), name: 'model.bin', bytes: 6 } });
    assert.ok(performance.now() - started >= 12_500);
    assert.equal(house.events.filter(({ outcome }) => outcome === 'held').length, 0, 'one HEAD was enough');
  });
}

const current = pythonIn('venv');
const skip = missing('huggingface_hub in .cache/venv', current !== undefined);

test('current: a broken download is resumed with Range', { skip }, async (t) => {
  if (current === undefined) return;
  const hub = await openLoopbackHub();
  const house = await openPullHouse(hub.url);
  const cutter = await openCutter(new URL(house.url), 22_000_000);
  const session = await openPythonHub(current, cutter.url);
  t.after(async () => {
    await session[Symbol.asyncDispose]();
    await cutter.close();
    await house[Symbol.asyncDispose]();
    await hub.close();
  });
  const bytes = Buffer.alloc(30_000_000, 'resume me ');
  await hub.commit('org/big', { 'model.safetensors': bytes });
  const answer = await session.call('download', { repo_id: 'org/big', filename: 'model.safetensors' });
  assert.deepEqual(answer, {
    value: { sha256: sha256(bytes), name: 'model.safetensors', bytes: bytes.length },
  });
  assert.ok(cutter.cuts() > 0, 'the connection was cut');
  assert.ok(
    cutter.requests().some((text) => /^range: bytes=[1-9]\d*-/im.test(text)),
    'the client continued with Range',
  );
});

test('current: the `hf` command downloads, and prints our reason', { skip }, async (t) => {
  if (current === undefined) return;
  const hub = await openLoopbackHub();
  const house = await openPullHouse(hub.url);
  const home = await mkdtemp(join(tmpdir(), 'hf-command-'));
  t.after(async () => {
    await rm(home, { recursive: true, force: true });
    await house[Symbol.asyncDispose]();
    await hub.close();
  });
  await hub.commit('org/cli', { 'config.json': '{}', 'model.bin': 'weights', 'evil.pkl': 'x' });
  const hf = (...words: readonly string[]): Promise<{ readonly code: number; readonly text: string }> =>
    runCommand(join(dirname(current), 'hf'), words, clientEnvironment(current, house.url, { HF_HOME: home }));
  house.verdicts.denied.set('evil.pkl', 'would call `os.system`');
  const good = await hf('download', 'org/cli', 'config.json', 'model.bin', '--local-dir', join(home, 'out'));
  assert.equal(good.code, 0, good.text);
  assert.deepEqual((await readdir(join(home, 'out'))).filter((name) => name !== '.cache').sort(), [
    'config.json',
    'model.bin',
  ]);
  const bad = await hf('download', 'org/cli', 'evil.pkl');
  assert.notEqual(bad.code, 0);
  assert.match(bad.text, /weighbridge refuses/);
  assert.match(bad.text, /os\.system/);
});

function runCommand(
  program: string,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve) => {
    execFile(program, words, { env, timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, text: stdout + stderr });
    });
  });
}

interface Cutter {
  readonly url: string;
  requests(): readonly string[];
  cuts(): number;
  close(): Promise<void>;
}

/** A TCP relay that closes the first connection that has carried this many bytes to the client. */
async function openCutter(target: URL, afterBytes: number): Promise<Cutter> {
  const requests: string[] = [];
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let carried = 0;
    client.on('data', (chunk: Buffer) => {
      requests.push(chunk.toString('latin1'));
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      carried += chunk.length;
      if (!client.write(chunk)) {
        upstream.pause();
        client.once('drain', () => upstream.resume());
      }
      if (cuts === 0 && carried > afterBytes) {
        cuts += 1;
        client.end();
        upstream.destroy();
      }
    });
    for (const socket of [client, upstream]) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    cuts: () => cuts,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
