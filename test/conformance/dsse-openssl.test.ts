import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { signStatement } from '#evidence/envelope.ts';
import type { Signer } from '#evidence/signer.ts';
import { makeStatement } from '#evidence/statement.ts';
import { have, missing } from '../support/foreign.ts';
import { ecdsaSigner, ed25519Signer } from '../support/signing.ts';

const run = promisify(execFile);
const skip = missing('openssl', have('openssl'));
const cases: readonly (readonly [string, Signer])[] = [
  ['-sha256', ecdsaSigner('P-256')],
  ['-sha384', ecdsaSigner('P-384')],
  ['-sha512', ecdsaSigner('P-521')],
  ['ed25519', ed25519Signer()],
];

for (const [algorithm, signer] of cases) {
  test(`openssl verifies our DSSE signature (${signer.algorithm})`, { skip }, async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'weighbridge-dsse-'));
    t.after(() => rm(root, { recursive: true }));
    const at = (name: string) => join(root, name);
    const statement = makeStatement({
      namespace: 'default',
      predicateType: 'https://example.com/é/v1',
      subject: [{ digest: { sha256: 'a'.repeat(64) } }],
      predicate: { text: 'é\u{1f600}' },
    });
    const { envelope } = await signStatement(statement, signer);
    // The PAE is put together here from the protocol text, not by the code under test.
    const payload = Buffer.from(envelope.payload, 'base64');
    const pae = Buffer.concat([
      Buffer.from(`DSSEv1 28 application/vnd.in-toto+json ${payload.length} `),
      payload,
    ]);
    await writeFile(at('pub'), signer.publicKeyPem);
    await writeFile(at('sig'), Buffer.from(envelope.signatures[0]?.sig ?? '', 'base64'));
    const verify = async (message: Buffer): Promise<string> => {
      await writeFile(at('pae'), message);
      const args =
        algorithm === 'ed25519'
          ? [
              'pkeyutl',
              '-verify',
              '-rawin',
              '-pubin',
              '-inkey',
              at('pub'),
              '-sigfile',
              at('sig'),
              '-in',
              at('pae'),
            ]
          : ['dgst', algorithm, '-verify', at('pub'), '-signature', at('sig'), at('pae')];
      return (await run('openssl', args)).stdout;
    };
    assert.match(await verify(pae), /OK|Successfully/);
    await assert.rejects(verify(Buffer.concat([pae, Buffer.from(' ')])), 'positive control');
  });
}
