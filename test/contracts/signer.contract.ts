import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { parsePublicKey, verifySignature, type Signer } from '#evidence/signer.ts';

/** Every implementation of `Signer` passes this. */
export function signerContract(name: string, open: () => Promise<Signer>): void {
  test(`${name}: names its key by the SHA-256 of the canonical PEM`, async () => {
    const signer = await open();
    const key = parsePublicKey(signer.publicKeyPem);
    assert.equal(key.publicKeyPem, signer.publicKeyPem);
    assert.equal(signer.keyId, createHash('sha256').update(signer.publicKeyPem).digest('hex'));
    assert.equal(signer.algorithm, key.algorithm);
  });

  test(`${name}: signs any length, and only that message verifies`, async () => {
    const signer = await open();
    const key = parsePublicKey(signer.publicKeyPem);
    for (const length of [0, 1, 4096, 4097, 1_000_000]) {
      const message = new Uint8Array(length).fill(7);
      const signature = await signer.sign(message);
      assert.equal(verifySignature(key, message, signature), true, `${length} bytes`);
      assert.equal(verifySignature(key, new Uint8Array(length + 1).fill(7), signature), false);
      const flipped = Uint8Array.from(signature);
      flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
      assert.equal(verifySignature(key, message, flipped), false);
    }
  });

  test(`${name}: signs concurrently`, async () => {
    const signer = await open();
    const key = parsePublicKey(signer.publicKeyPem);
    const messages = Array.from({ length: 20 }, (_, index) => Buffer.from(`message ${index}`));
    const signatures = await Promise.all(messages.map((message) => signer.sign(message)));
    for (const [index, signature] of signatures.entries()) {
      assert.equal(verifySignature(key, messages[index] ?? assert.fail(), signature), true);
    }
  });

  test(`${name}: shows no private material when printed or serialised`, async () => {
    const signer = await open();
    const shown = inspect(signer, { depth: 10, showHidden: true }) + JSON.stringify(signer);
    assert.doesNotMatch(shown, /PRIVATE KEY/);
  });
}
