import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '#artifact/digest.ts';
import type { Decision, Question, Verdict } from '#policy/decision.ts';
import { promote } from './promote.ts';
import type { PromotePorts } from './promote.ts';

const artifact = digestOf(new Uint8Array([1]));
const asked = {
  namespace: 'default',
  artifact,
  environment: 'production',
  principal: 'administrator',
} as const;

function decisionOf(question: Question, verdict: Verdict): Decision {
  return {
    version: 1,
    question,
    verdict,
    reasons: [],
    evidenceUsed: [],
    policyDigest: artifact,
    trustDigest: artifact,
    checkpoint: { size: 1, rootHash: '' },
    at: '2026-01-01T00:00:00Z',
    validUntil: null,
  };
}

function portsAnswering(verdict: Verdict, steps: string[]): PromotePorts {
  return {
    complete: (_namespace, digest) => {
      steps.push('complete');
      return Promise.resolve({ artifact: digest, name: 'model', files: [] });
    },
    ask: (question) => {
      steps.push(`ask ${question.action} ${String(question.files)}`);
      return Promise.resolve(decisionOf(question, verdict));
    },
    sign: () => {
      steps.push('sign');
      return Promise.resolve('{}');
    },
  };
}

test('the release key signs after an allow about the whole artifact', async () => {
  const steps: string[] = [];
  const promotion = await promote(portsAnswering('allow', steps), asked);
  assert.equal(promotion.bundle, '{}');
  assert.deepEqual(steps, ['complete', 'ask promote null', 'sign']);
});

for (const verdict of ['warn', 'deny'] as const) {
  test(`nothing is signed after a ${verdict}`, async () => {
    const steps: string[] = [];
    const promotion = await promote(portsAnswering(verdict, steps), asked);
    assert.equal(promotion.bundle, null);
    assert.equal(promotion.decision.verdict, verdict);
    assert.ok(!steps.includes('sign'));
  });
}
