import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { digestOf, parseDigest } from '#artifact/digest.ts';
import { recheckBundle } from '#gates/offline/recheck.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { parseJson } from '#lib/json.ts';
import { missing } from '../support/foreign.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { withoutNetwork } from '../support/no-network.ts';
import { removeFolder, root, runProgram, runWeighbridge } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/** One question that was asked of the running server, what it answered, and the archive it gave. */
interface Recorded {
  readonly name: string;
  readonly verdict: string;
  /** JCS of the decision that `weighbridge decide --output json` printed. */
  readonly answered: string;
  readonly file: string;
}

let house: WholeHouse;
let elsewhere: string;
const recorded: Recorded[] = [];
const launcher = join(root, 'bin', 'weighbridge');
const nightly = process.env['WEIGHBRIDGE_NIGHTLY'] === '1';

before(async () => {
  house = await openWholeHouse();
  elsewhere = await mkdtemp(join(tmpdir(), 'weighbridge-elsewhere-'));
});
after(async () => {
  await house[Symbol.asyncDispose]();
  await removeFolder(elsewhere);
});

const weights = safetensors({ w: tensor(0, 64) }, 64);
const repositories: Readonly<Record<string, Readonly<Record<string, string | Uint8Array>>>> = {
  'org/clean': {
    'config.json': '{"model_type":"bert"}',
    'README.md': '# clean\n',
    'model.safetensors': weights,
  },
  'org/hooked': {
    'config.json': '{"auto_map":{"AutoModel":"modeling_x.X"}}',
    'modeling_x.py': 'import os\n',
  },
  'org/evil': { 'config.json': '{}', 'evil.pkl': 'cos\nsystem\n(S"id"\ntR.' },
  'org/odd': { 'config.json': '{}', 'logo.png': Buffer.from([0x89, 0x50, 0x4e, 0x47, 1, 2, 3, 4]) },
};

async function pullEverything(): Promise<void> {
  for (const [id, files] of Object.entries(repositories)) {
    await house.hub.commit(id, files);
    for (const path of Object.keys(files)) {
      const deadline = performance.now() + 60_000;
      for (;;) {
        const answer = await fetch(`${house.server.clients}/${id}/resolve/main/${path}`);
        await answer.arrayBuffer();
        if (answer.status !== 503) break;
        assert.ok(performance.now() < deadline, `${id}/${path} stays pending`);
      }
    }
  }
}

async function record(name: string, id: string, ...question: readonly string[]): Promise<void> {
  const words = ['decide', id, ...question, '--data', house.server.data];
  const said = await runWeighbridge([...words, '--output', 'json']);
  assert.equal(said.stderr, '');
  const decision = parseJson(Buffer.from(said.stdout)) as { readonly verdict: string };
  assert.equal(said.code, decision.verdict === 'deny' ? 2 : 0);
  const file = join(elsewhere, `${String(recorded.length).padStart(2, '0')}.tar`);
  const exported = await runWeighbridge([...words, '--export', file]);
  assert.equal(exported.code, 0, exported.stderr);
  recorded.push({
    name: `${name}: ${id} ${question.join(' ')}`,
    verdict: decision.verdict,
    answered: encodeJcsText(decision),
    file,
  });
}

async function editPolicy(): Promise<void> {
  const path = join(house.server.data, 'policies', 'staging.yaml');
  const sound = await readFile(path, 'utf8');
  await writeFile(path, sound.replace(/require: bom\.exists\n/, 'require: bom.exists && tier == "low"\n'));
  const deadline = performance.now() + 10_000;
  for (;;) {
    const { stdout } = await runWeighbridge([
      'decide',
      'org/clean',
      '--environment',
      'staging',
      '--output',
      'json',
      '--data',
      house.server.data,
    ]);
    if (stdout.includes('"deny"')) return;
    assert.ok(performance.now() < deadline, 'the policy edit is not seen');
  }
}

test('more than twenty decisions of different kinds are recorded and exported', async () => {
  await pullEverything();
  const [development, staging, production] = ['development', 'staging', 'production'].map((name) => [
    '--environment',
    name,
  ]);
  assert.ok(development && staging && production);
  const whole = 'whole artifact';
  await record(whole, 'org/clean', ...development);
  await record(whole, 'org/clean', ...staging);
  await record(whole, 'org/clean', ...production);
  await record(whole, 'org/hooked', ...development);
  await record(whole, 'org/evil', ...development);
  await record(whole, 'org/evil', ...production);
  await record(whole, 'org/odd', ...development);
  await record(whole, 'org/odd', ...staging);
  for (const action of ['promote', 'deploy', 'load', 'serve']) {
    await record(action, 'org/clean', '--action', action, ...staging);
  }
  await record('promote', 'org/clean', '--action', 'promote');
  await record('one file', 'org/clean', '--file', 'config.json', ...development);
  await record('one file', 'org/evil', '--file', 'config.json', ...development);
  await record('one file', 'org/evil', '--file', 'evil.pkl', ...development);
  await record('two files', 'org/clean', '--file', 'config.json,model.safetensors', ...staging);
  await record('a file that is not there', 'org/clean', '--file', 'absent.bin', ...development);
  const approved = await runWeighbridge([
    'approve',
    'org/clean',
    '--reason',
    'it was reviewed',
    '--data',
    house.server.data,
  ]);
  assert.equal(approved.code, 0, approved.stderr);
  await record('after approval', 'org/clean', ...production);
  await record('after approval', 'org/clean', '--action', 'promote', ...production);
  await editPolicy();
  await record('after policy edit', 'org/clean', ...staging);
  await record('after policy edit', 'org/clean', '--file', 'config.json', ...staging);
  const revoked = await runWeighbridge([
    'deny',
    'org/clean',
    '--reason',
    'it was found to leak',
    '--data',
    house.server.data,
  ]);
  assert.equal(revoked.code, 0, revoked.stderr);
  await record('after revocation', 'org/clean', ...production);
  await record('after revocation', 'org/clean', '--file', 'config.json', ...development);
  assert.ok(recorded.length >= 20);
  assert.deepEqual([...new Set(recorded.map(({ verdict }) => verdict))].toSorted(), [
    'allow',
    'deny',
    'warn',
  ]);
  assert.equal(
    new Set(recorded.map(({ answered }) => digestOf(Buffer.from(answered)))).size,
    recorded.length,
  );
});

const unshare = withoutNetwork();
const skip = missing('unshare -n', unshare !== undefined);
const offline = (file: string, ...words: readonly string[]) =>
  runProgram(
    unshare?.[0] ?? '',
    [
      ...(unshare?.slice(1) ?? []),
      process.execPath,
      launcher,
      'decide',
      '--offline',
      file,
      '--output',
      'json',
      ...words,
    ],
    {
      directory: elsewhere,
      environment: { HOME: elsewhere, WEIGHBRIDGE_DATA: join(elsewhere, 'no-data') },
    },
  );

test(
  'the place of the re-check has no network (control: the server can be reached from outside it)',
  { skip },
  async () => {
    const reach = [
      '-e',
      `fetch(${JSON.stringify(house.server.clients)}).then(() => console.log('reached'), (e) => console.log(e.cause.code))`,
    ];
    assert.equal((await runProgram(process.execPath, reach)).stdout.trim(), 'reached');
    const [program = '', ...words] = unshare ?? [];
    assert.match(
      (await runProgram(program, [...words, process.execPath, ...reach])).stdout,
      /^(ENETUNREACH|ECONNREFUSED|EADDRNOTAVAIL)/,
    );
  },
);

test(
  'with the server stopped and no network every recorded decision is reproduced byte for byte',
  { skip },
  async (t) => {
    await house.server.stop();
    for (const { name, verdict, answered, file } of recorded) {
      await t.test(name, async () => {
        const said = await offline(file, '--trust', house.server.fingerprint);
        assert.equal(said.stderr, '');
        assert.equal(said.code, verdict === 'deny' ? 2 : 0, said.stdout);
        const expected = `{"decision":${answered},"fingerprint":"${house.server.fingerprint}","reasons":[],"reproduced":true,"selfAsserted":false}\n`;
        assert.equal(said.stdout, expected);
      });
    }
  },
);

test(
  'a bundle under another pinned trust root, or altered, is refused by the command',
  { skip },
  async () => {
    const [first] = recorded;
    assert.ok(first);
    const stranger = await offline(first.file, '--trust', digestOf(Buffer.from('another root')));
    assert.equal(stranger.code, 2);
    assert.match(stranger.stdout, /"reproduced":false/);
    const bytes = await readFile(first.file);
    const altered = join(elsewhere, 'altered.tar');
    for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
      await writeFile(altered, changed(bytes, at, 1));
      const said = await offline(altered, '--trust', house.server.fingerprint);
      assert.equal(said.code, 2, `byte ${at}`);
      assert.match(said.stdout, /"reproduced":false/);
    }
    const unpinned = await offline(first.file);
    assert.match(unpinned.stdout, /"reproduced":true,"selfAsserted":true/);
  },
);

function changed(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ bit;
  return copy;
}

/** Bytes to alter: in the gate suite about `samples` of each archive at uneven distances, at night every byte of the smallest one. */
function placesIn(bytes: Uint8Array, all: boolean, samples: number): readonly number[] {
  if (all) return Array.from(bytes, (_, index) => index);
  const stride = Math.max(1, Math.floor(bytes.length / samples));
  return Array.from(
    { length: Math.floor(bytes.length / stride) },
    (_, index) => index * stride + ((index * 7919) % stride),
  );
}

test('any altered, added or missing byte of any of the archives changes the result', async () => {
  assert.ok(recorded.length >= 20);
  const pin = parseDigest(house.server.fingerprint);
  const archives = await Promise.all(recorded.map(({ file }) => readFile(file)));
  const smallest = Math.min(...archives.map(({ length }) => length));
  for (const [index, bytes] of archives.entries()) {
    assert.equal(recheckBundle(bytes, pin).reproduced, true);
    const all = nightly && bytes.length === smallest;
    for (const at of placesIn(bytes, all, nightly ? 500 : 25)) {
      const bit = 1 << (at % 8);
      assert.equal(
        recheckBundle(changed(bytes, at, bit), pin).reproduced,
        false,
        `archive ${index}, byte ${at}, bit ${bit}`,
      );
    }
    for (const variant of [
      bytes.subarray(0, -1),
      bytes.subarray(512),
      Buffer.concat([bytes, Buffer.alloc(1)]),
      Buffer.concat([bytes, bytes]),
    ]) {
      assert.equal(recheckBundle(variant, pin).reproduced, false);
    }
  }
});
