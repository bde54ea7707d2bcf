import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { digestOf } from '#artifact/digest.ts';
import { encodeBundle } from '#evidence/bundle.ts';
import { signStatement } from '#evidence/envelope.ts';
import { makeModelSignatureStatement } from '#evidence/model-signature.ts';
import { placeStatement } from '#evidence/statement.ts';
import { missing } from '../support/foreign.ts';
import { ecdsaSigner } from '../support/signing.ts';

const run = promisify(execFile);
/** Made by tools/model-signing-env.sh. */
const python = join(import.meta.dirname, '../../.cache/model-signing-venv/bin/python');
const skip = missing('python model-signing', existsSync(join(python, '../../.installed')));

// Names whose order differs between code points, path components and UTF-16.
const contents = {
  'config.json': '{}',
  'a/b.txt': 'component order puts this first',
  'a-b.txt': 'code points put this first',
  'a.b.txt': 'dot',
  'weights/model-00001.safetensors': 'w1',
  'é/\u{1f600}.bin': 'emoji',
  'é/\uff5e.bin': 'wide tilde',
  'empty.bin': '',
};

async function verify(directory: string, signature: string, publicKey: string): Promise<string> {
  const args = [
    '-m',
    'model_signing',
    'verify',
    'key',
    directory,
    '--signature',
    signature,
    '--public_key',
    publicKey,
  ];
  const { stdout, stderr } = await run(python, args, { timeout: 120_000 });
  return stdout + stderr;
}

for (const curve of ['P-256', 'P-384', 'P-521'] as const) {
  test(
    `Python model-signing verifies our OMS bundle (${curve}) over a real directory`,
    { skip },
    async (t) => {
      const root = await mkdtemp(join(tmpdir(), 'weighbridge-oms-'));
      t.after(() => rm(root, { recursive: true }));
      const model = join(root, 'model');
      for (const [path, text] of Object.entries(contents)) {
        await mkdir(dirname(join(model, path)), { recursive: true });
        await writeFile(join(model, path), text);
      }
      const files = Object.entries(contents).map(([path, text]) => ({
        path,
        digest: digestOf(Buffer.from(text)),
      }));
      const release = ecdsaSigner(curve);
      const statement = placeStatement(makeModelSignatureStatement('model', files), 'default');
      const { envelope } = await signStatement(statement, release);
      const signature = join(model, 'model.sig');
      const publicKey = join(root, 'release.pub');
      await writeFile(signature, encodeBundle(envelope, release.keyId));
      await writeFile(publicKey, release.publicKeyPem);
      assert.match(await verify(model, signature, publicKey), /succe/i);

      // Positive controls: the same verifier refuses another key, another byte and another file.
      const stranger = join(root, 'stranger.pub');
      await writeFile(stranger, ecdsaSigner(curve).publicKeyPem);
      await assert.rejects(verify(model, signature, stranger), /Verification failed/);
      await writeFile(join(model, 'extra.bin'), 'x');
      await assert.rejects(verify(model, signature, publicKey), /Verification failed/);
      await rm(join(model, 'extra.bin'));
      await appendFile(join(model, 'config.json'), ' ');
      await assert.rejects(verify(model, signature, publicKey), /Verification failed/);
    },
  );
}
