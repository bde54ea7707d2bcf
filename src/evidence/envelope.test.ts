import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { limits } from '#lib/limits.ts';
import { decodePayload, encodeEnvelope, encodePae, paeOf, parseEnvelope, signStatement } from './envelope.ts';
import { keyIdOf, parsePublicKey, signerOf, verifySignature } from './signer.ts';
import { makeStatement, namespaceOf, parseStatement, statementPayloadType } from './statement.ts';

const sha256 = 'a'.repeat(64);
const statement = makeStatement({
  namespace: 'default',
  predicateType: 'https://example.com/p/v1',
  subject: [{ digest: { sha256 } }],
  predicate: { é: 1, a: [true] },
});
const keys = {
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed25519: generateKeyPairSync('ed25519'),
};
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));
const fault = (code: string) => (thrown: unknown) => {
  assert.equal((thrown as { code?: string }).code, code, String(thrown));
  return true;
};

test('PAE counts bytes, as the DSSE v1 protocol page shows', () => {
  const pae = encodePae('http://example.com/HelloWorld', Buffer.from('hello world'));
  assert.equal(Buffer.from(pae).toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  assert.equal(Buffer.from(encodePae('é', Buffer.from('ü'))).toString(), 'DSSEv1 2 é 2 ü');
});

for (const [name, { privateKey, publicKey }] of Object.entries(keys)) {
  test(`${name}: signs, verifies, and no other message or signature does`, async () => {
    const signer = signerOf(privateKey);
    const signed = await signStatement(statement, signer);
    const key = parsePublicKey(publicKey.export({ type: 'spki', format: 'pem' }));
    assert.equal(signed.envelope.signatures[0]?.keyid, key.keyId);
    assert.equal(key.keyId, createHash('sha256').update(key.publicKeyPem).digest('hex'));
    const signature = Buffer.from(signed.envelope.signatures[0]?.sig ?? '', 'base64');
    const pae = paeOf(signed.envelope);
    assert.equal(verifySignature(key, pae, signature), true);
    assert.equal(verifySignature(key, pae.subarray(1), signature), false);
    assert.equal(verifySignature(key, pae, signature.subarray(1)), false);
    assert.equal(verifySignature(key, pae, new Uint8Array(0)), false);
    assert.deepEqual(parseEnvelope(signed.envelopeBytes), signed.envelope);
    assert.deepEqual(parseStatement(decodePayload(signed.envelope)), statement);
    assert.equal(namespaceOf(parseStatement(decodePayload(signed.envelope))), 'default');
  });
}

test('the key id is the same for every spelling of one PEM', () => {
  const pem = keys.p256.publicKey.export({ type: 'spki', format: 'pem' });
  assert.equal(parsePublicKey(pem.replaceAll('\n', '\r\n')).keyId, keyIdOf(pem));
  assert.equal(parsePublicKey(pem.trimEnd()).keyId, keyIdOf(pem));
});

test('private keys, other algorithms and junk are not public keys', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
  const bad = [
    '',
    'x'.repeat(5000),
    rsa.export({ type: 'spki', format: 'pem' }),
    keys.p256.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n',
  ];
  for (const pem of bad) assert.throws(() => parsePublicKey(pem), fault('key.invalid'));
});

test('a key id may be absent, null or empty', async () => {
  const { envelope } = await signStatement(statement, signerOf(keys.p256.privateKey));
  const sig = envelope.signatures[0]?.sig;
  for (const signature of [{ sig }, { sig, keyid: null }, { sig, keyid: '' }]) {
    const parsed = parseEnvelope(bytesOf({ ...envelope, signatures: [signature], extra: 1 }));
    assert.deepEqual(parsed.signatures, [{ keyid: '', sig }]);
  }
});

test('broken envelopes are refused', async () => {
  const { envelope, envelopeBytes } = await signStatement(statement, signerOf(keys.p256.privateKey));
  const signature = envelope.signatures[0] ?? assert.fail();
  const cases: readonly (readonly [string, unknown])[] = [
    ['envelope.invalid', []],
    ['envelope.invalid', null],
    ['envelope.invalid', { ...envelope, payload: 1 }],
    ['envelope.invalid', { ...envelope, payload: `${envelope.payload} ` }],
    ['envelope.invalid', { ...envelope, payload: 'A' }],
    ['envelope.invalid', { ...envelope, payload: '_w==' }],
    ['envelope.invalid', { ...envelope, payloadType: '' }],
    ['envelope.invalid', { ...envelope, signatures: [] }],
    ['envelope.invalid', { ...envelope, signatures: [{ ...signature, sig: '' }] }],
    ['envelope.invalid', { ...envelope, signatures: [{ ...signature, keyid: 7 }] }],
    ['limit.exceeded', { ...envelope, signatures: Array(limits.signaturesPerEnvelope + 1).fill(signature) }],
  ];
  for (const [code, value] of cases) assert.throws(() => parseEnvelope(bytesOf(value)), fault(code));
  for (let end = 0; end < envelopeBytes.length; end += 37) {
    assert.throws(() => parseEnvelope(envelopeBytes.subarray(0, end)), fault('json.invalid'));
  }
  const twice = Buffer.from(Buffer.from(envelopeBytes).toString().replace('{', '{"payload":"AAAA",'));
  assert.throws(() => parseEnvelope(twice), fault('json.invalid'));
});

test('broken statements are refused', () => {
  const subject = [{ digest: { sha256 } }];
  const cases: readonly (readonly [string, unknown])[] = [
    ['statement.invalid', 7],
    ['statement.invalid', { ...statement, _type: 'https://in-toto.io/Statement/v0.1' }],
    ['statement.invalid', { ...statement, predicateType: undefined }],
    ['statement.invalid', { ...statement, predicate: [] }],
    ['statement.invalid', { ...statement, subject: [] }],
    ['statement.invalid', { ...statement, subject: {} }],
    ['statement.invalid', { ...statement, subject: [{ digest: { sha256: sha256.toUpperCase() } }] }],
    ['statement.invalid', { ...statement, subject: [{ digest: { sha512: 'a'.repeat(128) } }] }],
    ['statement.invalid', { ...statement, subject: [{ digest: { sha256 }, name: 4 }] }],
    ['statement.invalid', { ...statement, subject: Array(limits.statementSubjects + 1).fill(subject[0]) }],
  ];
  for (const [code, value] of cases) assert.throws(() => parseStatement(bytesOf(value)), fault(code));
  const text = JSON.stringify(statement).replace('{', '{"predicateType":"https://example.com/q",');
  assert.throws(() => parseStatement(Buffer.from(text)), fault('json.invalid'));
  assert.equal(statement.predicateType, parseStatement(bytesOf({ ...statement, more: 1 })).predicateType);
});

test('a namespace is on every subject or nowhere', () => {
  const subject = [{ digest: { sha256 } }, { digest: { sha256: 'b'.repeat(64) } }];
  const placed = makeStatement({ namespace: 'team-a', predicateType: 'p', subject, predicate: {} });
  assert.equal(namespaceOf(placed), 'team-a');
  const [first, second] = placed.subject;
  if (first === undefined || second === undefined) assert.fail();
  assert.equal(namespaceOf({ ...placed, subject: [first, { digest: second.digest }] }), undefined);
  for (const namespace of ['', 'A', '-a', 'a/b', '..', 'a'.repeat(64)]) {
    assert.throws(
      () => makeStatement({ namespace, predicateType: 'p', subject, predicate: {} }),
      fault('request.invalid'),
    );
  }
  assert.throws(
    () => makeStatement({ namespace: 'a', predicateType: 'p', subject: [], predicate: {} }),
    fault('statement.invalid'),
  );
});

test('anything that parses encodes to the same envelope again', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.string({ minLength: 1, maxLength: 20 }),
      (payload, keyid) => {
        fc.pre(keyid.isWellFormed());
        const envelope = {
          payloadType: statementPayloadType,
          payload: Buffer.from(payload).toString('base64'),
          signatures: [{ keyid, sig: 'AAAA' }],
        };
        assert.deepEqual(parseEnvelope(encodeEnvelope(envelope)), envelope);
      },
    ),
    { numRuns: 50 },
  );
});
