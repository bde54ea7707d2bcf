import assert from 'node:assert/strict';
import test from 'node:test';
import { digestOf, hexOf } from '#artifact/digest.ts';
import { encodeEnvelope, signStatement } from '#evidence/envelope.ts';
import { makeStatement, systemNamespace } from '#evidence/statement.ts';
import { encodeJcs, encodeJcsText } from '#lib/jcs.ts';
import { encodeTar, parseTar } from '#lib/tar.ts';
import { encodeOfflineBundle } from '#policy/offline.ts';
import type { OfflineParts } from '#policy/offline.ts';
import { openTestLog } from '../../../test/support/log.ts';
import {
  exportDecision,
  offlineFiles,
  offlineRoots,
  offlineSubject,
} from '../../../test/support/offline-case.ts';
import { digestNamed } from '../../../test/support/policy-case.ts';
import type { EvidenceBook } from '../../../test/support/policy-case.ts';
import { recheckBundle } from './recheck.ts';

test('an exported decision is reproduced byte for byte, pinned or not', async () => {
  for (const [change, asked, verdict] of [
    [() => {}, {}, 'allow'],
    [
      (book: EvidenceBook) =>
        book.scan(offlineFiles[2]?.digest ?? offlineRoots.all, { verdict: 'malicious' }),
      {},
      'deny',
    ],
    [(book: EvidenceBook) => book.revocation(offlineRoots.all), {}, 'deny'],
    [() => {}, { environment: 'production' as const, files: null }, 'deny'],
  ] as const) {
    const { archive, decision, fingerprint } = await exportDecision(change, asked);
    assert.equal(decision.verdict, verdict);
    const pinned = recheckBundle(archive, fingerprint);
    assert.deepEqual(pinned.reasons, []);
    assert.equal(pinned.reproduced, true);
    assert.equal(pinned.selfAsserted, false);
    assert.equal(encodeJcsText(pinned.decision), encodeJcsText(decision));
    const alone = recheckBundle(archive);
    assert.equal(alone.reproduced, true);
    assert.equal(alone.selfAsserted, true);
    assert.equal(alone.fingerprint, fingerprint);
  }
});

test('a decision about what needs approval is reproduced, and the need cannot be taken out of it', async () => {
  const subject = { ...offlineSubject, approvalRequired: true as const };
  const approve = (book: EvidenceBook): void =>
    void book.approval('person-1', { environments: ['development'] }, offlineRoots.loading);
  for (const [change, verdict] of [
    [() => {}, 'deny'],
    [approve, 'allow'],
  ] as const) {
    const { archive, decision, parts, fingerprint } = await exportDecision(change, {}, subject);
    assert.equal(decision.verdict, verdict);
    assert.ok(decision.reasons.some(({ rule }) => rule === 'delivery.approval'));
    assert.deepEqual(recheckBundle(archive, fingerprint).reasons, []);
    const without = encodeTar(encodeOfflineBundle({ ...parts, subject: offlineSubject }));
    assert.match(recheckBundle(without, fingerprint).reasons.join(), /not the one that was decided about/);
  }
  const { parts, fingerprint } = await exportDecision();
  const added = encodeTar(encodeOfflineBundle({ ...parts, subject }));
  assert.match(recheckBundle(added, fingerprint).reasons.join(), /not the one that was decided about/);
});

test('another pinned fingerprint is refused', async () => {
  const { archive } = await exportDecision();
  const result = recheckBundle(archive, digestNamed('another installation'));
  assert.equal(result.reproduced, false);
  assert.match(result.reasons.join(), /not the pinned one/);
});

test('an altered byte of the bundle changes the result (test/conformance has many more of them)', async () => {
  const { archive, fingerprint } = await exportDecision();
  const copy = Uint8Array.from(archive);
  const survivors: number[] = [];
  for (let offset = 5; offset < copy.length; offset += Math.ceil(copy.length / 100)) {
    const original = copy[offset] ?? 0;
    copy[offset] = original ^ (1 << (offset % 8));
    if (recheckBundle(copy, fingerprint).reproduced) survivors.push(offset);
    copy[offset] = original;
  }
  assert.deepEqual(survivors, []);
  assert.equal(recheckBundle(copy, fingerprint).reproduced, true);
});

test('truncated, extended, reordered, doubled and removed files are refused', async () => {
  const { archive, fingerprint } = await exportDecision();
  const entries = parseTar(archive);
  const variants: readonly Uint8Array[] = [
    new Uint8Array(0),
    archive.subarray(0, -512),
    Buffer.concat([archive, new Uint8Array(512)]),
    encodeTar(entries.toReversed()),
    encodeTar([...entries, { name: 'extra', bytes: new Uint8Array(1) }]),
    ...entries.map((_, index) => encodeTar(entries.toSpliced(index, 1))),
  ];
  for (const [index, variant] of variants.entries())
    assert.equal(recheckBundle(variant, fingerprint).reproduced, false, `variant ${index}`);
});

test('a bundle made up around a real one is refused, with the reason', async () => {
  const { parts, fingerprint } = await exportDecision(() => {}, { environment: 'production', files: null });
  const other = await exportDecision();
  const check = (changed: Partial<OfflineParts>): string =>
    recheckBundle(encodeTar(encodeOfflineBundle({ ...parts, ...changed })), fingerprint).reasons.join();
  assert.equal(check({}), '');
  assert.match(check({ subject: { ...offlineSubject, tier: 'low' } }), /not the one that was decided about/);
  assert.match(
    check({ subject: { ...offlineSubject, references: [] } }),
    /not the one that was decided about/,
  );
  const [readme, ...rest] = offlineFiles;
  assert.ok(readme);
  assert.match(
    check({ subject: { ...offlineSubject, files: [{ ...readme, sizeBytes: 1 }, ...rest] } }),
    /do not make the artifact/,
  );
  assert.match(
    check({ subject: { ...offlineSubject, files: [{ ...readme, role: 'weights' }, ...rest] } }),
    /roles do not follow/,
  );
  assert.match(
    check({ subject: { ...offlineSubject, files: [{ ...readme, present: false }, ...rest] } }),
    /not the one that was decided/,
  );
  assert.match(check({ policy: encodeJcs({ version: 1, policies: [] }) }), /another policy/);
  assert.match(check({ evidence: parts.evidence.slice(1) }), /not the evidence that was used/);
  assert.match(check({ evidence: other.parts.evidence }), /another checkpoint/);
  assert.match(check({ trust: other.parts.trust }), /not the pinned one/);
  assert.match(check({ checkpoint: other.parts.checkpoint }), /./);
  assert.match(check({ decision: other.parts.decision }), /./);
  const witness = `${parts.checkpoint}— witness.example AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n`;
  assert.match(check({ checkpoint: witness }), /./);
});

test('a decision signed by the wrong key or not bound to its subject is refused', async () => {
  const { parts, decision } = await exportDecision();
  const log = await openTestLog();
  const statement = makeStatement({
    namespace: systemNamespace,
    predicateType: 'https://slsa.dev/verification_summary/v1',
    subject: [{ digest: { sha256: hexOf(decision.question.artifact) } }],
    predicate: {},
  });
  const { envelope } = await signStatement(statement, log.keys.evidence);
  const forged = { envelope: encodeEnvelope(envelope), proof: parts.decision.proof };
  const archive = encodeTar(encodeOfflineBundle({ ...parts, decision: forged }));
  assert.equal(recheckBundle(archive).reproduced, false);
  assert.equal(digestOf(archive) === digestOf(encodeTar(encodeOfflineBundle(parts))), false);
});
