import assert from 'node:assert/strict';
import { hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { roleOf } from '#artifact/roles.ts';
import { rootsOf } from '#artifact/roots.ts';
import { encodeEnvelope, signStatement } from '#evidence/envelope.ts';
import { encodeProof, proveEntry } from '#evidence/log/proof.ts';
import { placeStatement } from '#evidence/statement.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import { openTrust, readTrustRoot } from '#evidence/trust.ts';
import { verifyLogged } from '#evidence/verify.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import { encodeTar } from '#lib/tar.ts';
import { decide } from '#policy/decide.ts';
import type { Decision, DecisionSubject, Question } from '#policy/decision.ts';
import { encodeOfflineBundle } from '#policy/offline.ts';
import type { OfflineParts, ProvenEnvelope } from '#policy/offline.ts';
import { makeDecisionStatement } from '#policy/vsa.ts';
import { openTestLog } from './log.ts';
import type { TestLog } from './log.ts';
import { EvidenceBook, defaultPolicies, digestNamed } from './policy-case.ts';

export const offlineFiles = ['README.md', 'config.json', 'model.safetensors'].map((path) => ({
  path,
  digest: digestNamed(`bytes of ${path}`),
  sizeBytes: 1000,
  role: roleOf(path),
  present: true,
}));
export const offlineRoots = rootsOf(offlineFiles);
export const offlineSubject: DecisionSubject = {
  artifact: offlineRoots.all,
  roots: { ...offlineRoots },
  files: offlineFiles,
  tier: 'high',
  references: ['hf://models/org/name@main'],
};

async function append(
  log: TestLog,
  statement: Statement,
  role: 'evidence' | 'decisions',
): Promise<LoggedEvidence> {
  const namespace = 'default';
  const { envelope } = await signStatement(placeStatement(statement, namespace), log.keys[role]);
  const [logged] = await log.sequencer.append([
    { namespace, statement: placeStatement(statement, namespace), envelope },
  ]);
  assert.ok(logged);
  return logged;
}

export interface Exported {
  readonly parts: OfflineParts;
  readonly archive: Uint8Array;
  readonly decision: Decision;
  readonly fingerprint: Digest;
}

/** A decision taken, signed and logged as the server does it, then exported. */
export async function exportDecision(
  change: (book: EvidenceBook) => void = () => {},
  asked: Partial<Question> = {},
  subject: DecisionSubject = offlineSubject,
): Promise<Exported> {
  const log = await openTestLog();
  const book = new EvidenceBook();
  for (const { digest } of offlineFiles) book.scan(digest);
  book.add('https://weighbridge.dev/evidence/scan/v1', [offlineRoots.all], {
    producer: { name: 'scan', version: '1', ruleSetDigest: digestNamed('rules') },
    scannedAt: '2026-03-01T00:00:00Z',
    scope: 'artifact',
    results: [
      {
        sha256: hexOf(offlineRoots.all),
        formats: [],
        sizeBytes: 0,
        verdict: 'clean',
        completeness: 'complete',
        incompleteReasons: [],
        findings: [],
      },
    ],
  });
  for (const person of ['person-1', 'person-2']) book.approval(person, {}, offlineRoots.loading);
  change(book);
  const [first] = await log.store.readEntries(0, 1);
  assert.ok(first);
  const trust = openTrust(readTrustRoot(first.envelope));
  const evidence: VerifiedEvidence[] = [];
  for (const { statement } of book.entries) {
    const verified = verifyLogged(await append(log, statement, 'evidence'), trust);
    assert.ok(verified.ok);
    evidence.push(verified.evidence);
  }
  const head = await log.sequencer.head();
  const question: Question = {
    principal: 'client',
    action: 'pull',
    artifact: offlineRoots.all,
    files: ['model.safetensors'],
    namespace: 'default',
    environment: 'development',
    ...asked,
  };
  const decision = decide({
    policy: defaultPolicies,
    question,
    subject,
    evidence,
    at: '2026-03-02T00:00:00Z',
    trustDigest: trust.digest,
    checkpoint: { size: head.size, rootHash: head.rootHash },
  });
  const statement = makeDecisionStatement(decision, {
    verifierId: 'https://weighbridge.example',
    resourceUri: 'hf://models/org/name',
    inputs: decision.evidenceUsed,
    subject,
  });
  const recorded = await append(log, statement, 'decisions');
  await log.projector.project();
  const proven = async (
    index: number,
    envelope: Parameters<typeof encodeEnvelope>[0],
  ): Promise<ProvenEnvelope> => ({
    envelope: encodeEnvelope(envelope),
    proof: encodeProof(await proveEntry(log.files, log.log, index)),
  });
  const used = evidence.filter(({ envelopeDigest }) => decision.evidenceUsed.includes(envelopeDigest));
  const published = await proveEntry(log.files, log.log, 0);
  const parts: OfflineParts = {
    subject,
    trust: [await proven(0, first.envelope)],
    policy: defaultPolicies.canonical,
    evidence: await Promise.all(used.map(async (entry) => proven(entry.logIndex, entry.envelope))),
    decision: await proven(recorded.logIndex, recorded.envelope),
    checkpoint: published.checkpoint,
  };
  return { parts, archive: encodeTar(encodeOfflineBundle(parts)), decision, fingerprint: log.fingerprint };
}
