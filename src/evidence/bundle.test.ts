import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { digestOf } from '#artifact/digest.ts';
import { ecdsaSigner, ed25519Signer } from '../../test/support/signing.ts';
import { encodeBundle, parseBundle } from './bundle.ts';
import { encodeStatement, placeStatement } from './statement.ts';
import { signStatement } from './envelope.ts';
import { makeModelSignatureStatement } from './model-signature.ts';

const fault = (code: string) => (thrown: unknown) => {
  assert.equal((thrown as { code?: string }).code, code, String(thrown));
  return true;
};
const file = (path: string) => ({ path, digest: digestOf(Buffer.from(path)) });
const signer = ecdsaSigner();
const statement = placeStatement(makeModelSignatureStatement('m', [file('a')]), 'default');

test('a bundle carries one signature, no proofs, and comes back', async () => {
  const { envelope } = await signStatement(statement, ed25519Signer(), signer);
  const bundle = encodeBundle(envelope, signer.keyId);
  const json: { verificationMaterial: unknown } = JSON.parse(Buffer.from(bundle).toString());
  assert.deepEqual(Object.keys(json), ['dsseEnvelope', 'mediaType', 'verificationMaterial']);
  assert.deepEqual(json.verificationMaterial, { publicKey: { hint: signer.keyId }, tlogEntries: [] });
  const parsed = parseBundle(bundle);
  assert.deepEqual(parsed.material, { kind: 'key', keyId: signer.keyId });
  assert.deepEqual(parsed.envelope.signatures, [envelope.signatures[1]]);
  assert.throws(() => encodeBundle(envelope, ecdsaSigner().keyId), fault('bundle.invalid'));
});

test('older and other shapes of material are read, broken ones refused', async () => {
  const { envelope } = await signStatement(statement, signer);
  const bundle = JSON.parse(Buffer.from(encodeBundle(envelope, signer.keyId)).toString());
  const read = (verificationMaterial: unknown, more: object = {}) =>
    parseBundle(Buffer.from(JSON.stringify({ ...bundle, verificationMaterial, ...more })));
  const rawBytes = Buffer.from(signer.publicKeyPem).toString('base64');
  assert.deepEqual(read({ publicKey: { rawBytes, keyDetails: 'PKIX_ECDSA_P256_SHA_256' } }).material, {
    kind: 'key-text',
    keyId: signer.keyId,
    publicKeyPem: signer.publicKeyPem,
  });
  const hint = signer.keyId;
  assert.equal(read({ publicKey: { hint } }).material.kind, 'key');
  const certificates = [{ rawBytes: 'AAAA' }, { rawBytes: 'BBBB' }];
  const chain = read({ x509CertificateChain: { certificates }, tlogEntries: [] }).material;
  assert.equal(chain.kind === 'certificates' && chain.certificates.length, 2);
  assert.equal(read({ certificate: { rawBytes: 'AAAA' }, tlogEntries: [{}] }).material.kind, 'certificates');
  const bad = [
    undefined,
    {},
    { publicKey: {} },
    { publicKey: { hint: 'x' } },
    { publicKey: { hint }, certificate: {} },
    { certificate: {} },
    { x509CertificateChain: {} },
    { x509CertificateChain: { certificates: [] } },
  ];
  for (const material of bad)
    assert.throws(() => read(material), fault('bundle.invalid'), JSON.stringify(material));
  const good = bundle.verificationMaterial;
  assert.throws(() => read(good, { mediaType: 'application/json' }), fault('bundle.invalid'));
  assert.throws(() => read(good, { dsseEnvelope: undefined }), fault('bundle.invalid'));
  assert.throws(() => read(good, { dsseEnvelope: {} }), fault('envelope.invalid'));
  assert.throws(() => parseBundle(Buffer.from('[]')), fault('bundle.invalid'));
});

test('the OMS statement is canonical: order, root and bytes do not depend on the order given', () => {
  // U+1F600 is two UTF-16 units below U+FF5E: code-point order puts it last.
  const paths = ['a-b', 'a.b', 'a/b', 'z', '\uff5e', '\u{1f600}'];
  const files = paths.map(file);
  const made = makeModelSignatureStatement('model', files.toReversed(), ['b', 'a']);
  assert.deepEqual(
    made.predicate.resources.map(({ name }) => name),
    paths,
  );
  const root = createHash('sha256');
  for (const { digest } of files) root.update(Buffer.from(digest.slice(7), 'hex'));
  assert.deepEqual(made.subject, [{ name: 'model', digest: { sha256: root.digest('hex') } }]);
  assert.deepEqual(
    encodeStatement(made),
    encodeStatement(makeModelSignatureStatement('model', files, ['a', 'b'])),
  );
  assert.throws(() => makeModelSignatureStatement('m', []), fault('artifact.empty'));
  assert.throws(() => makeModelSignatureStatement('m', [file('a'), file('a')]), fault('path.collision'));
  for (const path of ['../a', '/a', 'a//b', './a', 'a/']) {
    assert.throws(() => makeModelSignatureStatement('m', [file(path)]), fault('path.invalid'));
  }
});
