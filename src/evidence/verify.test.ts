import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, digestOfHex, hexOf } from '#artifact/digest.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { parseJson } from '#lib/json.ts';
import { ecdsaSigner, ed25519Signer } from '../../test/support/signing.ts';
import { encodeEnvelope, signStatement } from './envelope.ts';
import { predicateTypes } from './predicates.ts';
import type { Signer } from './signer.ts';
import { makeStatement, statementType, type Envelope } from './statement.ts';
import {
  makeTrustRoot,
  openTrust,
  parseTrustRoot,
  readTrustRoot,
  replaceKey,
  signTrustRoot,
  trustDigest,
  type TrustRoot,
} from './trust.ts';
import { verifyEvidence, verifyLogged, verifyTrustRootChain } from './verify.ts';

const keys = {
  log: ed25519Signer(),
  evidence: ecdsaSigner(),
  decisions: ecdsaSigner('P-384'),
  release: ecdsaSigner('P-521'),
};
const stranger = ecdsaSigner();
const root = makeTrustRoot({ origin: 'test.example/log', issuedAt: '2026-11-21T09:00:00Z', keys });
const trust = openTrust(root);
const all: [Signer, ...Signer[]] = [keys.log, keys.evidence, keys.decisions, keys.release];
const sha256 = 'c'.repeat(64);
const subject = digestOfHex(sha256);

function statementOf(predicateType: string, namespace = 'default', predicate: object = {}) {
  return makeStatement({ namespace, predicateType, subject: [{ digest: { sha256 } }], predicate });
}
async function envelopeOf(predicateType: string, signer: Signer, namespace = 'default'): Promise<Envelope> {
  return (await signStatement(statementOf(predicateType, namespace), signer)).envelope;
}
function codes(
  verification: ReturnType<typeof verifyEvidence> | ReturnType<typeof verifyTrustRootChain>,
): string[] {
  return verification.ok ? [] : verification.reasons.map(({ code }) => code);
}
const fault = (code: string) => (thrown: unknown) => {
  assert.equal((thrown as { code?: string }).code, code, String(thrown));
  return true;
};

test('each key may assert its own predicates and nothing else', async () => {
  const entitled: Readonly<Record<keyof typeof keys, readonly string[]>> = {
    log: [],
    evidence: [
      predicateTypes.observed,
      predicateTypes.scan,
      predicateTypes.bom,
      predicateTypes.approval,
      predicateTypes.waiver,
      predicateTypes.revocation,
      predicateTypes.policy,
      predicateTypes.tally,
      predicateTypes.upstreamIncident,
      predicateTypes.adoption,
      predicateTypes.sandbox,
    ],
    decisions: [predicateTypes.decision],
    release: [predicateTypes.modelSignature],
  };
  for (const role of ['log', 'evidence', 'decisions', 'release'] as const) {
    for (const predicateType of Object.values(predicateTypes)) {
      const result = verifyEvidence(await envelopeOf(predicateType, keys[role]), trust);
      if (entitled[role].includes(predicateType)) {
        assert.ok(result.ok);
        assert.deepEqual(result.issuer, { keyId: keys[role].keyId, role });
        assert.equal(result.namespace, 'default');
      } else {
        assert.deepEqual(codes(result), ['issuer-not-entitled'], `${role} ${predicateType}`);
      }
    }
  }
});

test('every altered part of an envelope has its reason', async () => {
  const { scan } = predicateTypes;
  const envelope = await envelopeOf(scan, keys.evidence);
  const other = await envelopeOf(scan, keys.evidence, 'team-a');
  const [signature] = envelope.signatures;
  if (signature === undefined) assert.fail();
  const text = Buffer.from(envelope.payload, 'base64').toString();
  const cases: readonly (readonly [string, Envelope])[] = [
    ['signature-invalid', { ...envelope, payload: other.payload }],
    ['signature-invalid', { ...envelope, signatures: other.signatures }],
    ['signature-invalid', { ...envelope, signatures: [{ ...signature, keyid: keys.release.keyId }] }],
    ['signature-invalid', { ...envelope, signatures: [signature, { ...signature, keyid: keys.log.keyId }] }],
    ['key-unknown', { ...envelope, signatures: [{ ...signature, keyid: stranger.keyId }] }],
    ['key-unknown', await envelopeOf(scan, stranger)],
    ['key-unknown', { ...envelope, signatures: [] }],
    ['payload-type', { ...envelope, payloadType: 'application/json' }],
    ['malformed', { ...envelope, payload: '%' }],
    ['malformed', { ...envelope, payload: payloadOf('{}') }],
    ['malformed', { ...envelope, payload: payloadOf('['.repeat(1000)) }],
    ['malformed', { ...envelope, signatures: [{ ...signature, sig: '%' }] }],
    [
      'namespace-mismatch',
      { ...envelope, payload: payloadOf(text.replace('weighbridge.dev/namespace', 'x')) },
    ],
  ];
  for (const [code, altered] of cases) assert.deepEqual(codes(verifyEvidence(altered, trust)), [code]);
});

test('a signature without key id is tried against every key', async () => {
  const envelope = await envelopeOf(predicateTypes.scan, keys.evidence);
  const nameless = envelope.signatures.map(({ sig }) => ({ keyid: '', sig }));
  const result = verifyEvidence({ ...envelope, signatures: nameless }, trust);
  assert.equal(result.ok && result.issuer.keyId, keys.evidence.keyId);
  const foreign = await envelopeOf(predicateTypes.scan, stranger);
  const unknown = foreign.signatures.map(({ sig }) => ({ keyid: '', sig }));
  assert.deepEqual(codes(verifyEvidence({ ...foreign, signatures: unknown }, trust)), ['key-unknown']);
});

test('what is expected must be what it says', async () => {
  const envelope = await envelopeOf(predicateTypes.scan, keys.evidence);
  assert.ok(verifyEvidence(envelope, trust, { subjects: [subject], namespace: 'default' }).ok);
  assert.deepEqual(codes(verifyEvidence(envelope, trust, { subjects: [] })), ['subject-mismatch']);
  const elsewhere = verifyEvidence(envelope, trust, { subjects: [digestOf(Buffer.from('x'))] });
  assert.deepEqual(codes(elsewhere), ['subject-mismatch']);
  assert.deepEqual(codes(verifyEvidence(envelope, trust, { namespace: 'team-a' })), ['namespace-mismatch']);
  const lying = statementOf(predicateTypes.approval, 'default', { namespace: 'team-a' });
  const signed = await signStatement(lying, keys.evidence);
  assert.deepEqual(codes(verifyEvidence(signed.envelope, trust)), ['namespace-mismatch']);
});

test('a database record must be its envelope, and the statement comes from the signed bytes', async () => {
  const signed = await signStatement(statementOf(predicateTypes.scan), keys.evidence);
  const { envelope, envelopeDigest } = signed;
  const forged = { ...signed.statement, predicate: { verdict: 'clean' } };
  const logged = { envelope, envelopeDigest, logIndex: 4, namespace: 'default', statement: forged };
  const result = verifyLogged(logged, trust);
  assert.ok(result.ok);
  assert.deepEqual(result.evidence.statement, signed.statement);
  assert.equal(result.evidence.logIndex, 4);
  for (const change of [{ namespace: 'team-a' }, { envelopeDigest: digestOf(Buffer.from('x')) }]) {
    const refused = verifyLogged({ ...logged, ...change }, trust);
    assert.deepEqual(refused.ok ? [] : refused.reasons.map(({ code }) => code), ['record-mismatch']);
  }
});

test('foreign issuers count only for the predicate and namespace that trust names', async () => {
  const { publicKeyPem, keyId, algorithm } = stranger;
  const evaluation = 'https://example.com/evaluation/v1';
  const issuer = { keyId };
  const wider = openTrust(
    reparse({
      ...root,
      keys: [...root.keys, { keyId, algorithm, publicKeyPem }],
      assertions: [...root.assertions, { issuer, predicateTypes: [evaluation], namespaces: ['team-a'] }],
    }),
  );
  const good = verifyEvidence(await envelopeOf(evaluation, stranger, 'team-a'), wider);
  assert.deepEqual(good.ok && good.issuer, { keyId, role: 'foreign' });
  for (const [predicateType, namespace] of [
    [evaluation, 'default'],
    [predicateTypes.scan, 'team-a'],
  ] as const) {
    const result = verifyEvidence(await envelopeOf(predicateType, stranger, namespace), wider);
    assert.deepEqual(codes(result), ['issuer-not-entitled']);
  }
});

test('the trust root round-trips and its digest is its subject', async () => {
  const signed = await signTrustRoot(root, all);
  assert.deepEqual(readTrustRoot(signed.envelope), root);
  assert.equal(signed.statement.subject[0]?.digest.sha256, hexOf(trustDigest(root)));
  assert.equal(trustDigest(root), digestOf(encodeJcs(root)));
  const result = verifyTrustRootChain([signed.envelope], trustDigest(root));
  assert.equal(result.ok && result.trust.digest, trustDigest(root));
  const own = verifyEvidence(signed.envelope, trust);
  assert.equal(own.ok && own.issuer.role, 'root');
});

test('the first root needs all four signatures and the pinned fingerprint', async () => {
  for (let missing = 0; missing < 4; missing += 1) {
    const [first, ...rest] = all.filter((_, index) => index !== missing);
    if (first === undefined) assert.fail();
    const { envelope } = await signTrustRoot(root, [first, ...rest]);
    assert.deepEqual(codes(verifyTrustRootChain([envelope])), ['chain-broken']);
  }
  const { envelope } = await signTrustRoot(root, all);
  assert.deepEqual(codes(verifyTrustRootChain([envelope], digestOf(Buffer.from('x')))), ['chain-broken']);
  assert.deepEqual(codes(verifyTrustRootChain([])), ['chain-broken']);
  const scan = await envelopeOf(predicateTypes.scan, keys.evidence);
  assert.deepEqual(codes(verifyTrustRootChain([scan])), ['malformed']);
});

test('three old keys rotate the fourth out; two cannot, and neither can new keys alone', async () => {
  const first = (await signTrustRoot(root, all)).envelope;
  const evidence = ecdsaSigner();
  const retire = keys.evidence.keyId;
  const next = replaceKey(root, {
    role: 'evidence',
    retire,
    key: evidence,
    beforeIndex: 50,
    issuedAt: '2026-11-22T09:00:00Z',
  });
  const sign = async (...signers: [Signer, ...Signer[]]) => (await signTrustRoot(next, signers)).envelope;
  const good = await sign(keys.log, keys.decisions, keys.release, evidence);
  const result = verifyTrustRootChain([first, good]);
  assert.equal(result.ok && result.trust.digest, trustDigest(next));
  if (!result.ok) assert.fail();

  const old = await envelopeOf(predicateTypes.scan, keys.evidence);
  const fresh = await envelopeOf(predicateTypes.scan, evidence);
  const before = verifyEvidence(old, result.trust, { logIndex: 49 });
  assert.deepEqual(before.ok && before.issuer, { keyId: retire, role: 'evidence' });
  const stolen = verifyEvidence(old, result.trust, { logIndex: 50 });
  assert.deepEqual(codes(stolen), ['issuer-not-entitled'], 'what the lost key signs later counts no more');
  assert.deepEqual(
    codes(verifyEvidence(old, result.trust)),
    ['issuer-not-entitled'],
    'nor what has no place',
  );
  assert.ok(verifyEvidence(fresh, result.trust, { logIndex: 50 }).ok);

  const bad = [
    await sign(keys.log, keys.decisions, evidence),
    await sign(evidence),
    await sign(keys.log, keys.evidence),
  ];
  for (const envelope of bad) assert.equal(verifyTrustRootChain([first, envelope]).ok, false);
  assert.deepEqual(codes(verifyTrustRootChain([good])), ['chain-broken'], 'a later version is no beginning');
  assert.deepEqual(codes(verifyTrustRootChain([first, first])), ['chain-broken'], 'no version twice');
  const third = { ...next, version: 3, issuedAt: '2026-11-23T09:00:00Z' };
  const byRetired = await signTrustRoot(third, [keys.evidence, keys.log, keys.decisions]);
  assert.equal(
    verifyTrustRootChain([first, good, byRetired.envelope]).ok,
    false,
    'a retired key is no root key',
  );
  assert.throws(
    () =>
      replaceKey(root, { role: 'release', retire, key: evidence, beforeIndex: 1, issuedAt: root.issuedAt }),
    fault('trust.invalid'),
  );
});

test('a successor keeps log, number and time', async () => {
  const first = (await signTrustRoot(root, all)).envelope;
  const changes = [
    { version: 3 },
    { version: 1 },
    { version: 2, origin: 'other.example/log' },
    { version: 2, issuedAt: '2026-11-20T09:00:00Z' },
  ];
  for (const change of changes) {
    const { envelope } = await signTrustRoot({ ...root, ...change }, all);
    assert.deepEqual(
      codes(verifyTrustRootChain([first, envelope])),
      ['chain-broken'],
      JSON.stringify(change),
    );
  }
});

test('roots that mean nothing or too much are refused', () => {
  const { roles } = root;
  const [key] = root.keys;
  if (key === undefined) assert.fail();
  const bad: readonly object[] = [
    [],
    { ...root, version: 0 },
    { ...root, version: 1.5 },
    { ...root, issuedAt: 'yesterday' },
    { ...root, origin: '' },
    { ...root, more: 1 },
    { ...root, keys: [] },
    { ...root, keys: [...root.keys, key] },
    { ...root, keys: root.keys.map((one) => ({ ...one, keyId: key.keyId })) },
    { ...root, keys: root.keys.map((one) => ({ ...one, publicKeyPem: one.publicKeyPem.trimEnd() })) },
    { ...root, roles: { ...roles, root: { ...roles.root, threshold: 1 } } },
    { ...root, roles: { ...roles, root: { ...roles.root, threshold: 5 } } },
    { ...root, roles: { ...roles, root: { ...roles.root, keyIds: Array(4).fill(key.keyId) } } },
    { ...root, roles: { ...roles, log: { ...roles.log, keyIds: [stranger.keyId] } } },
    { ...root, roles: { ...roles, log: roles.evidence } },
    { ...root, roles: { ...roles, log: { ...roles.log, retired: [{ keyId: key.keyId, beforeIndex: 1 }] } } },
    {
      ...root,
      roles: { ...roles, log: { ...roles.log, retired: [{ keyId: stranger.keyId, beforeIndex: 1 }] } },
    },
    { ...root, roles: { ...roles, log: { ...roles.log, retired: [{ keyId: key.keyId, beforeIndex: -1 }] } } },
    { ...root, roles: { ...roles, log: { keyIds: roles.log.keyIds, threshold: 1 } } },
    { ...root, assertions: [{ issuer: {}, predicateTypes: ['p'], namespaces: ['*'] }] },
    { ...root, assertions: [{ issuer: { role: 'king' }, predicateTypes: ['p'], namespaces: ['*'] }] },
    {
      ...root,
      assertions: [{ issuer: { keyId: stranger.keyId }, predicateTypes: ['p'], namespaces: ['*'] }],
    },
  ];
  for (const value of bad) assert.throws(() => reparse(value), fault('trust.invalid'), JSON.stringify(value));
});

test('a subject other than the digest of the root is refused', async () => {
  const statement = makeStatement({
    namespace: 'system',
    predicateType: predicateTypes.trustRoot,
    subject: [{ digest: { sha256 } }],
    predicate: root,
  });
  const { envelope } = await signStatement(statement, ...all);
  assert.deepEqual(codes(verifyTrustRootChain([envelope])), ['malformed']);
  assert.equal(statement._type, statementType);
  assert.ok(encodeEnvelope(envelope).length > 0);
});

function reparse(value: object): TrustRoot {
  return parseTrustRoot(parseJson(JSON.stringify(value)));
}

function payloadOf(text: string): string {
  return Buffer.from(text).toString('base64');
}
