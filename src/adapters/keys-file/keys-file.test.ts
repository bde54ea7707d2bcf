import assert from 'node:assert/strict';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { generateKeyPairSync } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { signerContract } from '../../../test/contracts/signer.contract.ts';
import { keyRoles } from '#evidence/trust.ts';
import { injectFault } from '#lib/fault-point.ts';
import { openKeysFile } from './keys-file.ts';

async function scratch(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'weighbridge-keys-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  return root;
}
const fault = (code: string) => (thrown: unknown) => {
  assert.equal((thrown as { code?: string }).code, code, String(thrown));
  assert.doesNotMatch(JSON.stringify(thrown), /PRIVATE/);
  return true;
};
const idsOf = async (directory: string) => {
  const keys = await openKeysFile(directory);
  return keyRoles.map((role) => keys[role].keyId);
};

for (const algorithm of [
  'ecdsa-sha2-256-nistp256',
  'ecdsa-sha2-384-nistp384',
  'ecdsa-sha2-512-nistp521',
  'ed25519',
] as const) {
  signerContract(`key file ${algorithm}`, async () => {
    const root = await mkdtemp(join(tmpdir(), 'weighbridge-keys-'));
    try {
      return (await openKeysFile(join(root, 'keys'), { algorithms: { release: algorithm } })).release;
    } finally {
      await rm(root, { recursive: true });
    }
  });
}

test('the first start makes four different keys, private to their owner; later starts read them', async (t) => {
  const root = await scratch(t);
  const directory = join(root, 'data', 'keys');
  const keys = await openKeysFile(directory);
  assert.equal(keys.log.algorithm, 'ed25519');
  assert.equal(keys.release.algorithm, 'ecdsa-sha2-256-nistp256');
  assert.equal((await stat(directory)).mode & 0o777, 0o700);
  assert.deepEqual((await readdir(directory)).sort(), [
    'decisions.pem',
    'evidence.pem',
    'log.pem',
    'release.pem',
  ]);
  for (const name of await readdir(directory)) {
    assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600);
  }
  assert.deepEqual(
    await idsOf(directory),
    keyRoles.map((role) => keys[role].keyId),
  );
  assert.deepEqual(await readdir(join(root, 'data')), ['keys'], 'nothing is left beside them');
});

test('an interrupted first start leaves no keys, and the next one makes all', async (t) => {
  t.after(() => injectFault(undefined));
  for (const passing of [1, 3]) {
    const root = await scratch(t);
    injectFault({ site: 'durable-file.rename', moment: 'before', action: 'fail', passing });
    await assert.rejects(openKeysFile(join(root, 'keys')));
    injectFault(undefined);
    assert.equal((await readdir(root)).includes('keys'), false);
    assert.equal((await idsOf(join(root, 'keys'))).length, 4);
    assert.deepEqual(await readdir(root), ['keys']);
  }
});

test('an empty directory is a first start', async (t) => {
  const directory = join(await scratch(t), 'keys');
  await mkdir(directory, { mode: 0o755 });
  assert.equal((await idsOf(directory)).length, 4);
});

test('a missing key is never made anew', async (t) => {
  for (const role of keyRoles) {
    const directory = join(await scratch(t), 'keys');
    await openKeysFile(directory);
    await rm(join(directory, `${role}.pem`));
    await assert.rejects(openKeysFile(directory), fault('key.missing'));
  }
});

test('shared, linked, swapped, broken and foreign keys are refused', async (t) => {
  const damages: readonly ((directory: string) => Promise<void>)[] = [
    (directory) => chmod(join(directory, 'log.pem'), 0o640),
    (directory) => chmod(join(directory, 'release.pem'), 0o604),
    (directory) => chmod(directory, 0o750),
    async (directory) => {
      await rename(join(directory, 'log.pem'), join(directory, 'elsewhere.pem'));
      await symlink('elsewhere.pem', join(directory, 'log.pem'));
    },
    (directory) => copyFile(join(directory, 'evidence.pem'), join(directory, 'release.pem')),
    (directory) => copyFile(join(directory, 'evidence.pem'), join(directory, 'log.pem')),
    (directory) => writeFile(join(directory, 'evidence.pem'), ''),
    (directory) => writeFile(join(directory, 'evidence.pem'), Buffer.alloc(20_000, 'A')),
    (directory) => writeFile(join(directory, 'evidence.pem'), '-----BEGIN PRIVATE KEY-----\nAAAA\n'),
    (directory) => {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      return writeFile(join(directory, 'evidence.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    },
    async (directory) => {
      await rm(join(directory, 'evidence.pem'));
      await mkdir(join(directory, 'evidence.pem'), { mode: 0o700 });
    },
  ];
  for (const damage of damages) {
    const directory = join(await scratch(t), 'keys');
    await openKeysFile(directory);
    await damage(directory);
    await assert.rejects(openKeysFile(directory), fault('key.invalid'));
  }
});
