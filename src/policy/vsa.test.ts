import assert from 'node:assert/strict';
import test from 'node:test';
import { hexOf } from '#artifact/digest.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { explain, explanationOf } from './explain.ts';
import {
  decisionExtension,
  makeDecisionStatement,
  parseDecisionStatement,
  sameOutcome,
  statedInputs,
  subjectAsDecided,
  subjectExtension,
} from './vsa.ts';
import { after, decideCase, digestNamed, file, soundBook, subject } from '../../test/support/policy-case.ts';

const allowed = decideCase({ evidence: soundBook().entries });
const denied = decideCase({
  evidence: [],
  question: { environment: 'production' },
  subject: { tier: 'high' },
});
const options = {
  verifierId: 'https://weighbridge.example',
  resourceUri: 'hf://models/org/name',
  inputs: allowed.evidenceUsed,
  subject,
};

test('a decision is a SLSA verification summary about the artifact and comes back out of it', () => {
  const statement = makeDecisionStatement(allowed, options);
  assert.equal(statement.predicateType, 'https://slsa.dev/verification_summary/v1');
  assert.deepEqual(statement.subject, [{ digest: { sha256: hexOf(subject.artifact) } }]);
  const { predicate } = statement;
  assert.equal(predicate.verificationResult, 'PASSED');
  assert.deepEqual(predicate.verifiedLevels, ['WEIGHBRIDGE_ALLOW']);
  assert.equal(predicate.slsaVersion, '1.2');
  assert.equal(predicate.timeVerified, allowed.at);
  assert.equal(predicate.policy.digest.sha256, hexOf(allowed.policyDigest));
  assert.deepEqual(statedInputs(statement), allowed.evidenceUsed.map(hexOf));
  assert.deepEqual(parseDecisionStatement(JSON.parse(encodeJcsText(statement)) as typeof statement), allowed);
  const failed = makeDecisionStatement(denied, options);
  assert.equal(failed.predicate.verificationResult, 'FAILED');
  assert.deepEqual(failed.predicate.verifiedLevels, ['FAILED']);
});

test('a summary that contradicts the decision it carries is refused', () => {
  const statement = makeDecisionStatement(denied, options);
  const { predicate } = statement;
  const forged: readonly object[] = [
    { ...statement, predicateType: 'https://example.com/x' },
    { ...statement, subject: [{ digest: { sha256: 'f'.repeat(64) } }] },
    { ...statement, subject: [...statement.subject, ...statement.subject] },
    { ...statement, predicate: { ...predicate, verificationResult: 'PASSED' } },
    { ...statement, predicate: { ...predicate, verifiedLevels: ['SLSA_BUILD_LEVEL_3'] } },
    { ...statement, predicate: { ...predicate, timeVerified: after(1) } },
    { ...statement, predicate: { ...predicate, [decisionExtension]: { ...denied, verdict: 'allow' } } },
    { ...statement, predicate: { ...predicate, [decisionExtension]: { ...denied, reasons: [] } } },
    { ...statement, predicate: { ...predicate, [decisionExtension]: { ...denied, more: 1 } } },
    { ...statement, predicate: { ...predicate, [decisionExtension]: undefined } },
    { ...statement, predicate: null },
  ];
  for (const [index, value] of forged.entries())
    assert.throws(
      () => parseDecisionStatement(value as typeof statement),
      { code: 'statement.invalid' },
      `${index}`,
    );
});

test('the subject comes back as it was when it was decided about', () => {
  const then = {
    ...subject,
    tier: 'high' as const,
    files: [...subject.files, file('z.gguf', 'weights', { present: false })],
  };
  const statement = makeDecisionStatement(allowed, { ...options, subject: then });
  const now = {
    ...then,
    tier: 'low' as const,
    references: [],
    files: then.files.map((entry) => ({ ...entry, present: true })),
  };
  assert.deepEqual(subjectAsDecided(statement, now), then);
  const { subject: _, ...without } = options;
  assert.throws(() => subjectAsDecided(makeDecisionStatement(allowed, without), now), {
    code: 'statement.invalid',
  });
});

test('whether a person had to approve is signed with the decision, and nothing is where nobody had to', () => {
  const needed = { ...subject, approvalRequired: true as const };
  const statement = makeDecisionStatement(allowed, { ...options, subject: needed });
  assert.deepEqual(subjectAsDecided(statement, subject), needed);
  const without = makeDecisionStatement(allowed, { ...options, subject });
  assert.deepEqual(subjectAsDecided(without, needed), subject);
  assert.ok(!JSON.stringify(without).includes('approvalRequired'));
  const circumstances = { tier: 'low', references: [], absent: [], approvalRequired: false };
  const forged = { ...statement, predicate: { ...statement.predicate, [subjectExtension]: circumstances } };
  assert.throws(() => subjectAsDecided(forged, subject), { code: 'statement.invalid' });
});

test('the same outcome at another time is the same outcome; another reason or validity is not', () => {
  assert.equal(sameOutcome(allowed, { ...allowed, at: after(1), trustDigest: digestNamed('x') }), true);
  assert.equal(sameOutcome(allowed, denied), false);
  assert.equal(sameOutcome(allowed, { ...allowed, validUntil: after(1) }), false);
  assert.equal(sameOutcome(allowed, { ...allowed, reasons: allowed.reasons.slice(1) }), false);
});

test('an explanation says what would change a deny, each thing once, and until when an allow holds', () => {
  const explanation = explanationOf(denied);
  const needs = explanation.wouldChange.map(({ need }) => need);
  assert.equal(new Set(needs).size, needs.length);
  assert.ok(needs.includes('a bill of materials'));
  assert.ok(needs.some((need) => need.includes('two different people')));
  assert.equal(explanation.changeable, true);
  const text = explain(denied);
  assert.match(text, /^denied: to pull `model\.safetensors` in production is refused\n/);
  assert.match(text, /What would change it:/);
  for (const { who, remedy } of explanation.wouldChange) assert.ok(who !== '' && remedy !== '');
  assert.match(explain(allowed), /^allowed: .* until new evidence, policy or trust\n/);
  assert.match(explain({ ...allowed, validUntil: after(3) }), /at most until 2026-03-04T00:00:00Z/);
});

test('what an explanation promises is what happens: with everything that was missing the deny is gone', () => {
  const book = soundBook();
  book.approval('person-1');
  book.approval('person-2');
  const given = {
    evidence: book.entries,
    question: { environment: 'production' as const },
    subject: { tier: 'high' as const },
  };
  assert.equal(decideCase(given).verdict, 'allow');
});

test('a revocation is explained as final, and hostile text is harmless', () => {
  const book = soundBook();
  book.revocation(subject.artifact);
  const final = decideCase({ evidence: book.entries });
  assert.equal(explanationOf(final).changeable, false);
  assert.match(explain(final), /Nothing lifts this/);
  const nasty = 'model\u001b[2J\r\n\u202egnp.safetensors';
  const files = [file(nasty, 'weights')];
  const text = explain(decideCase({ evidence: [], subject: { files }, question: { files: [nasty] } }));
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202e]/);
  assert.match(text, /\\u\{1b\}/);
});
