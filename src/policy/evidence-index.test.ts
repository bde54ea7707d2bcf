import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hexOf } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { EvidenceBook } from '../../test/support/policy-case.ts';
import {
  after,
  at,
  defaultPolicies,
  digestNamed,
  file,
  question,
  soundBook,
  subject,
} from '../../test/support/policy-case.ts';
import { decide } from './decide.ts';
import type { DecisionSubject, Question } from './decision.ts';
import { EvidenceIndex } from './evidence-index.ts';

const ask = (
  asked: Partial<Question>,
  about: DecisionSubject,
  evidence: EvidenceBook['entries'] | EvidenceIndex,
) =>
  decide({
    policy: defaultPolicies,
    question: { ...question, ...asked },
    subject: about,
    evidence,
    at,
    trustDigest: digestNamed('trust'),
    checkpoint: { size: 100, rootHash: 'cm9vdA==' },
  });

/** Books in which something is wrong in every way that a decision looks at. */
const books: Readonly<Record<string, (book: EvidenceBook) => void>> = {
  sound: () => undefined,
  'a malicious weights file': (book) =>
    book.scan(digestNamed('bytes of pytorch_model.bin'), { verdict: 'malicious' }),
  'a later clean scan': (book) => {
    book.scan(digestNamed('bytes of config.json'), { verdict: 'suspicious' });
    book.scan(digestNamed('bytes of config.json'));
  },
  'a finding about one path': (book) =>
    book.scan(subject.artifact, {
      verdict: 'malicious',
      findings: [
        {
          ruleId: 'r',
          severity: 'critical',
          message: 'bad',
          location: { path: 'pytorch_model.bin' },
        } as never,
      ],
    }),
  'an unreadable scan of one file': (book) =>
    book.add(predicateTypes.scan, [digestNamed('bytes of pytorch_model.bin')], { nonsense: true }),
  'an unreadable bill of materials': (book) => book.add(predicateTypes.bom, [subject.artifact], []),
  'other bytes observed': (book) =>
    book.observed({
      files: [
        {
          path: 'config.json',
          sizeBytes: 1,
          sha256: hexOf(digestNamed('other')),
          gitOid: '0'.repeat(40),
          lfs: false,
          present: true,
        },
      ],
    }),
  'a revoked file': (book) => book.revocation(digestNamed('bytes of pytorch_model.bin')),
  'a revoked artifact': (book) => book.revocation(subject.artifact),
  'approvals and a waiver': (book) => {
    book.approval('person-1');
    book.approval('person-2', { expiresAt: after(5) });
    book.scan(digestNamed('bytes of model.safetensors'), { verdict: 'suspicious' });
    book.waiver('no-suspicious-files');
  },
  'a revocation in another namespace': (book) => book.revocation(subject.artifact, 'team-b'),
};

const questions: readonly Partial<Question>[] = [
  {},
  { files: ['pytorch_model.bin'] },
  { files: ['README.md', 'config.json'] },
  { files: [] },
  { files: null },
  { files: ['absent', 'model.safetensors', 'absent'] },
  { environment: 'production' },
  { environment: 'staging', files: null },
  { action: 'promote', files: null, environment: 'production' },
  { namespace: 'team-b' },
];

for (const [name, spoil] of Object.entries(books)) {
  test(`one index for many questions gives the same bytes as the evidence itself: ${name}`, () => {
    const book = soundBook();
    spoil(book);
    const high: DecisionSubject = { ...subject, tier: 'high' };
    for (const about of [subject, high]) {
      const index = new EvidenceIndex('default', about, book.entries);
      for (const asked of [...questions, ...questions.toReversed()]) {
        assert.deepEqual(
          ask(asked, about, index),
          ask(asked, about, [...book.entries]),
          JSON.stringify(asked),
        );
      }
    }
  });
}

test('an index that was made for another artifact is not believed', () => {
  const index = new EvidenceIndex('default', subject, soundBook().entries);
  const other: DecisionSubject = {
    ...subject,
    files: subject.files.map((one) => file(one.path, one.role, { digest: digestNamed(`evil ${one.path}`) })),
  };
  assert.equal(ask({}, subject, index).verdict, 'allow');
  assert.equal(ask({}, other, index).verdict, 'deny');
});
