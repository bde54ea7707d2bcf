import assert from 'node:assert/strict';
import test from 'node:test';
import { encodeJcsText } from '#lib/jcs.ts';
import type { DecisionSubject } from './decision.ts';
import { explanationOf } from './explain.ts';
import { compilePolicySet } from './compile.ts';
import { after, at, decideCase, rulesWith, soundBook, subject } from '../../test/support/policy-case.ts';
import type { EvidenceBook } from '../../test/support/policy-case.ts';

const required = { approvalRequired: true } as const;
const here = { environments: ['development' as const] };

const reasonOf = (book: EvidenceBook, more: Partial<DecisionSubject> = {}, instant = at) => {
  const decision = decideCase({ evidence: book.entries, subject: { ...required, ...more }, at: instant });
  return { decision, reason: decision.reasons.find(({ rule }) => rule === 'delivery.approval') };
};

test('nobody has to approve where the rules do not ask for it, and the decision is the one of before', () => {
  const book = soundBook();
  const decision = decideCase({ evidence: book.entries });
  assert.equal(decision.verdict, 'allow');
  assert.ok(!encodeJcsText(decision).includes('delivery.'));
});

test('without an approval every action is denied in words that say who, how and for what', () => {
  const book = soundBook();
  for (const action of ['pull', 'promote', 'deploy', 'load', 'serve'] as const) {
    const decision = decideCase({ evidence: book.entries, subject: required, question: { action } });
    assert.deepEqual(rulesWith(decision, 'deny'), ['delivery.approval'], action);
  }
  const { decision, reason } = reasonOf(book);
  assert.match(reason?.message ?? '', /needs approval by a person .* for development/);
  assert.equal(reason?.missing, 'an approval for development');
  assert.match(reason?.who ?? '', /administrator of the namespace `default`/);
  assert.match(
    reason?.remedy ?? '',
    new RegExp(`weighbridge approve ${subject.artifact} --environment development`),
  );
  assert.equal(explanationOf(decision).changeable, true);
});

const approvals: readonly (readonly [what: string, verdict: string, say: (book: EvidenceBook) => void])[] = [
  ['of what steers loading', 'allow', (book) => book.approval('p', here)],
  ['of all files', 'allow', (book) => book.approval('p', { ...here, root: 'all' }, subject.roots.all)],
  [
    'of the weights alone',
    'deny',
    (book) => book.approval('p', { ...here, root: 'weights' }, subject.roots.weights),
  ],
  [
    'that says `all` and is about the weights',
    'deny',
    (book) => book.approval('p', { ...here, root: 'all' }, subject.roots.weights),
  ],
  ['for another environment', 'deny', (book) => book.approval('p', { environments: ['production'] })],
  ['in another namespace', 'deny', (book) => book.approval('p', { ...here, namespace: 'team-a' })],
  ['by nobody', 'deny', (book) => book.approval('', here)],
  ['that is over', 'deny', (book) => book.approval('p', { ...here, approvedAt: after(-2), expiresAt: at })],
  ['that has not begun', 'deny', (book) => book.approval('p', { ...here, approvedAt: after(1) })],
  [
    'that is over, and a new one',
    'allow',
    (book) => {
      book.approval('p', { ...here, approvedAt: after(-2), expiresAt: at });
      book.approval('q', here);
    },
  ],
  [
    'and a revocation after it',
    'deny',
    (book) => {
      book.approval('p', here);
      book.revocation(subject.artifact);
    },
  ],
];

test('an approval counts when it is in force, here, and binds what steers loading', () => {
  for (const [what, verdict, say] of approvals) {
    const book = soundBook();
    say(book);
    assert.equal(reasonOf(book).decision.verdict, verdict, what);
  }
});

test('where nothing but weights steers loading, an approval of the weights binds everything that does', () => {
  const book = soundBook();
  const roots = { ...subject.roots, loading: subject.roots.weights };
  book.approval('p', { ...here, root: 'weights' }, subject.roots.weights);
  assert.equal(reasonOf(book, { roots }).reason?.effect, 'allow');
});

test('an answer holds until the longest approval ends or the next begins, and rests on it', () => {
  const book = soundBook();
  book.approval('p', { ...here, expiresAt: after(1) });
  const longest = book.approval('q', { ...here, expiresAt: after(3) });
  const { decision, reason } = reasonOf(book);
  assert.deepEqual(reason?.evidence, [longest]);
  assert.ok(decision.evidenceUsed.includes(longest));
  assert.equal(decision.validUntil, after(3));
  assert.equal(reasonOf(book, {}, after(3)).decision.verdict, 'deny');
  assert.match(reasonOf(book, {}, after(3)).reason?.message ?? '', new RegExp(`ended at ${after(3)}`));

  const early = soundBook();
  early.approval('p', { ...here, approvedAt: after(1) });
  const before = reasonOf(early).decision;
  assert.equal(before.validUntil, after(1));
  assert.equal(reasonOf(early, {}, after(1)).decision.verdict, 'allow');
});

test('the same answer comes from only the evidence that it rests on', () => {
  for (const [what, , say] of approvals) {
    const book = soundBook();
    say(book);
    const { decision } = reasonOf(book);
    const evidence = book.entries.filter(({ envelopeDigest }) =>
      decision.evidenceUsed.includes(envelopeDigest),
    );
    const again = decideCase({ evidence, subject: required });
    assert.equal(encodeJcsText(again), encodeJcsText(decision), what);
  }
});

test('an approval lifts nothing else, no waiver lifts the need for it, and what stands against the file comes first', () => {
  const book = soundBook();
  book.approval('p', here);
  const weights = subject.files.find(({ path }) => path === 'model.safetensors');
  assert.ok(weights);
  book.scan(weights.digest, { verdict: 'malicious' });
  assert.equal(reasonOf(book).decision.verdict, 'deny');

  const waived = soundBook();
  waived.waiver('delivery.approval');
  assert.equal(reasonOf(waived).decision.verdict, 'deny');
  waived.scan(weights.digest, { verdict: 'malicious' });
  assert.deepEqual(rulesWith(reasonOf(waived).decision, 'deny'), [
    'development.not-malicious',
    'delivery.approval',
  ]);
});

test('no policy may take the name', () => {
  const set = compilePolicySet([
    {
      name: 'x',
      text: JSON.stringify({
        apiVersion: 'weighbridge.dev/policy/v1',
        name: 'delivery',
        description: 'x',
        rules: [
          {
            id: 'approval',
            effect: 'deny',
            description: 'x',
            require: 'true',
            message: 'm',
            who: 'w',
            remedy: 'r',
          },
        ],
      }),
    },
  ]);
  assert.match(set.problems[0]?.message ?? '', /reserved/);
});
