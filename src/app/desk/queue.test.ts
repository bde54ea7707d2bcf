import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Snapshot } from '#artifact/catalog.ts';
import { parseDigest } from '#artifact/digest.ts';
import type { KeptDecision } from '#policy/decision-store.ts';
import { openQueueDesk } from './queue.ts';

const digest = parseDigest(`sha256:${'ab'.repeat(32)}`);
const snapshot: Snapshot = {
  namespace: 'default',
  repository: { type: 'models', id: 'org/name' },
  commit: 'c'.repeat(40),
  artifact: digest,
  files: [],
  provisional: false,
};

function kept(verdict: 'allow' | 'deny', logIndex: number): KeptDecision {
  const reason = { rule: 'base.scan', effect: verdict, message: 'words', evidence: [], missing: null };
  return {
    logIndex,
    envelopeDigest: digest,
    decision: {
      version: 1,
      question: {
        principal: 'client',
        action: 'pull',
        artifact: digest,
        files: null,
        namespace: 'default',
        environment: 'development',
      },
      verdict,
      reasons: [{ ...reason, who: 'somebody', remedy: 'something' }],
      evidenceUsed: [],
      policyDigest: digest,
      trustDigest: digest,
      checkpoint: { size: logIndex, rootHash: '' },
      at: '2026-11-21T09:12:44Z',
      validUntil: null,
    },
  };
}

test('decisions are read again when the log or the newest of them moves, or when time passes; not at every look', async () => {
  const state = { size: 5, nowMs: 1_800_000_000_000, newest: kept('deny', 4), failing: false, reads: 0 };
  const desk = openQueueDesk({
    arrivals: { underWay: () => ({ flights: [], fills: [] }) },
    clock: { now: () => state.nowMs },
    log: { ledger: { head: async () => ({ size: state.size }) } },
    catalog: { listSnapshots: async () => ({ snapshots: [snapshot], next: undefined }) },
    decisionStore: {
      recent: async () => [state.newest],
      list: async () => {
        state.reads += 1;
        if (state.failing) throw new Error('the database does not answer');
        return [state.newest];
      },
    },
  });
  const look = async (): Promise<readonly [number, number]> => {
    const { held } = await desk.view('default');
    return [held.length, state.reads];
  };
  assert.deepEqual(await Promise.all([look(), look()]), [
    [1, 1],
    [1, 1],
  ]);
  assert.deepEqual(await look(), [1, 1]);
  // The log has moved, the row of the decision is not there yet.
  state.size = 6;
  assert.deepEqual(await look(), [1, 2]);
  state.newest = kept('allow', 5);
  assert.deepEqual(await look(), [0, 3]);
  state.nowMs += 10_000;
  assert.deepEqual(await look(), [0, 4]);
  state.size = 7;
  state.failing = true;
  await assert.rejects(look());
  state.failing = false;
  assert.deepEqual(await look(), [0, 6]);
  assert.equal((await desk.view('other')).held.length, 0);
  assert.equal(state.reads, 7);
});
