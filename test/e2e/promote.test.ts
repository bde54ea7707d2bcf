import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { readTrustRoot } from '#evidence/trust.ts';
import { parseEnvelope } from '#evidence/envelope.ts';
import { parseTar } from '#lib/tar.ts';
import { missing } from '../support/foreign.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { removeFolder, root, runProgram, runWeighbridge } from '../support/server.ts';
import type { CommandResult } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

const id = 'org/released';
const files: Readonly<Record<string, string | Uint8Array>> = {
  'config.json': '{"model_type":"bert"}',
  'README.md': '# released\n',
  'model.safetensors': safetensors({ w: tensor(0, 4096) }, 4096),
  'onnx/shapes.json': '{"a":[1,2]}',
};

let house: WholeHouse;
let folder: string;

before(async () => {
  house = await openWholeHouse();
  folder = await mkdtemp(join(tmpdir(), 'promote-'));
  await house.hub.commit(id, files);
  await house.hub.commit('org/evil', { 'config.json': '{}', 'evil.pkl': 'cos\nsystem\n(S"id"\ntR.' });
  for (const repository of [id, 'org/evil']) {
    const answer = await fetch(`${house.server.clients}/${repository}/resolve/main/config.json`);
    await answer.arrayBuffer();
    assert.equal(answer.status, 200, answer.headers.get('x-error-message') ?? '');
  }
});
after(async () => {
  await house[Symbol.asyncDispose]();
  await removeFolder(folder);
});

const weighbridge = (...words: readonly string[]): Promise<CommandResult> =>
  runWeighbridge([...words, '--data', house.server.data]);
/** Model signatures among all envelopes that the server has stored: nothing is signed that is not logged, nothing logged that is not a blob. */
async function signatures(): Promise<number> {
  const blobs = await readdir(join(house.server.data, 'blobs'), { recursive: true, withFileTypes: true });
  let count = 0;
  for (const blob of blobs.filter((entry) => entry.isFile())) {
    const text = await readFile(join(blob.parentPath, blob.name), 'utf8');
    if (!text.startsWith('{"payload":')) continue;
    const payload = /^\{"payload":"([\w+/=]+)"/.exec(text)?.[1] ?? '';
    if (Buffer.from(payload, 'base64').includes('"predicateType":"https://model_signing/signature/v1.0"'))
      count += 1;
  }
  return count;
}

test('without approval the promote gate says no and the release key signs nothing', async () => {
  const signature = join(folder, 'denied.sig');
  const said = await weighbridge('promote', id, '--signature', signature);
  assert.equal(said.code, 2, said.stderr);
  assert.match(said.stdout, /not promoted: org\/released@[0-9a-f]{12}: deny/);
  assert.match(said.stdout, /production\.approved: nobody has approved/);
  assert.equal(existsSync(signature), false);
  assert.equal(await signatures(), 0);
  const json = await weighbridge('promote', id, '--output', 'json');
  assert.equal(json.code, 2);
  const answer = JSON.parse(json.stdout) as { bundle: unknown; decision: { verdict: string } };
  assert.deepEqual([answer.bundle, answer.decision.verdict], [null, 'deny']);
});

test('what is malicious is not promoted with any number of approvals', async () => {
  assert.equal(
    (await weighbridge('approve', 'org/evil', '--root', 'all', '--reason', 'somebody trusts it')).code,
    0,
  );
  const said = await weighbridge('promote', 'org/evil');
  assert.equal(said.code, 2, said.stdout);
  assert.match(said.stdout, /production\.not-malicious/);
  assert.equal(await signatures(), 0);
});

const python = join(root, '.cache/model-signing-venv/bin/python');
const skip = missing('python model-signing', existsSync(join(python, '../../.installed')));

/** The files as a client gets them, in a directory of their own. */
async function download(to: string): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) {
    const answer = await fetch(`${house.server.clients}/${id}/resolve/main/${path}`);
    assert.equal(answer.status, 200, answer.headers.get('x-error-message') ?? '');
    const body = Buffer.from(await answer.arrayBuffer());
    assert.ok(body.equals(Buffer.from(bytes)));
    await mkdir(dirname(join(to, path)), { recursive: true });
    await writeFile(join(to, path), body);
  }
}

/** PEM of the release key as trust root v1, the first entry of the log, names it. */
async function releaseKey(): Promise<string> {
  const archive = join(folder, 'decision.tar');
  assert.equal((await weighbridge('decide', id, '--export', archive)).code, 0);
  const entry = parseTar(await readFile(archive)).find(({ name }) => name === 'trust/0001.json');
  assert.ok(entry);
  const trustRoot = readTrustRoot(parseEnvelope(entry.bytes));
  const [keyId] = trustRoot.roles.release.keyIds;
  const key = trustRoot.keys.find((candidate) => candidate.keyId === keyId);
  assert.ok(key);
  return key.publicKeyPem;
}

const verify = (directory: string, signature: string, key: string): Promise<CommandResult> =>
  runProgram(python, [
    '-m',
    'model_signing',
    'verify',
    'key',
    directory,
    '--signature',
    signature,
    '--public_key',
    key,
  ]);

test(
  'after approval the release key signs, and Python model-signing verifies what a client downloaded',
  { skip },
  async () => {
    assert.equal((await weighbridge('approve', id, '--reason', 'it was reviewed')).code, 0);
    const model = join(folder, 'model');
    await download(model);
    const signature = join(model, 'model.sig');
    const said = await weighbridge('promote', id, '--signature', signature);
    assert.equal(said.code, 0, said.stdout + said.stderr);
    assert.match(
      said.stdout,
      /signed org\/released@[0-9a-f]{12} \(sha256:[0-9a-f]{64}\) with the release key/,
    );
    assert.equal(await signatures(), 1);
    const key = join(folder, 'release.pub');
    await writeFile(key, await releaseKey());
    const verified = await verify(model, signature, key);
    assert.match(verified.stdout + verified.stderr, /succe/i);
    assert.equal(verified.code, 0);

    // Positive controls: one more byte, then one more file, and the same verifier says no.
    await appendFile(join(model, 'config.json'), ' ');
    assert.notEqual((await verify(model, signature, key)).code, 0);
    await writeFile(join(model, 'config.json'), files['config.json'] ?? '');
    await writeFile(join(model, 'added.py'), 'import os\n');
    assert.notEqual((await verify(model, signature, key)).code, 0);
  },
);

test('after a revocation nothing is signed any more', { skip }, async () => {
  assert.equal((await weighbridge('deny', id, '--reason', 'it was found to leak')).code, 0);
  const signature = join(folder, 'late.sig');
  const said = await weighbridge('promote', id, '--signature', signature);
  assert.equal(said.code, 2);
  assert.match(said.stdout, /integrity\.revoked/);
  assert.equal(existsSync(signature), false);
});
