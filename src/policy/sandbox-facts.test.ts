import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { digestNamed, decideCase, rulesWith, soundBook } from '../../test/support/policy-case.ts';
import { compilePolicySet } from './compile.ts';

const acted = {
  outcome: 'acted',
  events: [
    { grade: 'note', kind: 'wrote', words: 'wrote `/tmp/x`', times: 1 },
    { grade: 'act', kind: 'started', words: 'started `/bin/sh -c id`', times: 1 },
  ],
} as const;

const newer = { producer: { name: 'sandbox', version: '2', ruleSetDigest: digestNamed('rules') } };

test('the reason has the words of the act, and rests on the run', () => {
  const book = soundBook();
  const run = book.sandbox(acted);
  const { verdict, reasons } = decideCase({ evidence: book.entries });
  assert.equal(verdict, 'deny');
  const reason = reasons.find(({ rule }) => rule === 'development.not-acted');
  assert.equal(reason?.message, 'in the sandbox it acted: started `/bin/sh -c id`');
  assert.deepEqual(reason?.evidence, [run]);
});

test('a second run by the same sandbox does not undo the first; one by a newer version does', () => {
  const book = soundBook();
  book.sandbox(acted);
  book.sandbox();
  assert.deepEqual(rulesWith(decideCase({ evidence: book.entries }), 'deny'), ['development.not-acted']);
  book.sandbox(newer);
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'allow');
  book.sandbox({ ...newer, ...acted });
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'deny');
});

test('a run that cannot be read is never good news', () => {
  const book = soundBook();
  book.sandbox({ outcome: 'fine' as never });
  assert.deepEqual(rulesWith(decideCase({ evidence: book.entries }), 'deny'), [
    'evaluation.evidence-malformed',
  ]);
});

test('the rule of sandbox.md asks for a quiet run, and says what is missing', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/reference/sandbox.md'), 'utf8');
  const rule = /```yaml\n(- id: exercised\n.*?)```/s.exec(page)?.[1] ?? '';
  const indented = rule.replaceAll(/^(?=.)/gm, '  ');
  const policy = compilePolicySet([
    {
      name: 'own',
      text: `apiVersion: weighbridge.dev/policy/v1\nname: own\ndescription: own\nappliesTo:\n  environments: [development]\nrules:\n${indented}`,
    },
  ]);
  assert.deepEqual(policy.problems, []);
  const book = soundBook();
  const before = decideCase({ policy, evidence: book.entries });
  assert.equal(before.verdict, 'deny');
  assert.equal(before.reasons[0]?.missing, 'a run in the sandbox');
  book.sandbox({ outcome: 'inconclusive', reasons: ['it reached the limit of time'] });
  const open = decideCase({ policy, evidence: book.entries });
  assert.equal(open.reasons[0]?.message, 'the sandbox says inconclusive: it reached the limit of time');
  book.sandbox();
  assert.equal(decideCase({ policy, evidence: book.entries }).verdict, 'allow');
});
