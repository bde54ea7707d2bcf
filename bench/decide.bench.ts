import assert from 'node:assert/strict';
import { celEnv, parse, plan } from '@bufbuild/cel';
import { hexOf } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { ApprovalPredicate, ScanPredicate } from '#evidence/predicates.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import { compileCel } from '#policy/cel/expression.ts';
import { DecisionTime } from '#policy/cel/time.ts';
import { bool, int, listOf, record, string } from '#policy/cel/types.ts';
import { decide } from '#policy/decide.ts';
import type { Decision } from '#policy/decision.ts';
import { EvidenceIndex } from '#policy/evidence-index.ts';
import {
  at,
  decideCase,
  defaultPolicies,
  digestNamed,
  EvidenceBook,
  file,
  question,
  soundBook,
  subject,
} from '../test/support/policy-case.ts';
import { benchmark } from './support.ts';
import type { Bench, BenchRow, Goal } from './support.ts';

const book = soundBook();
book.approval('person-1');
book.approval('person-2');
const given = {
  evidence: book.entries,
  question: { environment: 'production' as const },
  subject: { tier: 'high' as const },
};

/** The rules of production in tier high as somebody would write them by hand: a bool, no reasons, no validity. */
function handWritten(evidence: readonly VerifiedEvidence[]): boolean {
  const newest = new Map<string, ScanPredicate['results'][number] & { readonly scannedAt: string }>();
  const people = new Set<string>();
  const listed = new Set<string>();
  let observed = false;
  let revoked = false;
  const needed = subject.files.filter(
    ({ path, role }) => role === 'steering' || question.files?.includes(path),
  );
  for (const { statement } of evidence) {
    if (statement.predicateType === predicateTypes.scan) {
      const { results, scannedAt } = statement.predicate as ScanPredicate;
      for (const result of results) newest.set(result.sha256, { ...result, scannedAt });
    } else if (statement.predicateType === predicateTypes.approval) {
      const approval = statement.predicate as ApprovalPredicate;
      if (approval.environments.includes('production') && approval.root !== 'weights')
        people.add(approval.person);
    } else if (statement.predicateType === predicateTypes.bom) {
      const { components } = statement.predicate as { components: { hashes: { content: string }[] }[] };
      for (const { hashes } of components) for (const { content } of hashes) listed.add(content);
    } else if (statement.predicateType === predicateTypes.observed) observed = true;
    else if (statement.predicateType === predicateTypes.revocation) revoked = true;
  }
  const clean = (sha256: string): boolean => {
    const scan = newest.get(sha256);
    return (
      scan?.verdict === 'clean' &&
      scan.completeness === 'complete' &&
      Date.parse(at) - Date.parse(scan.scannedAt) <= 30 * 86_400_000
    );
  };
  return (
    !revoked &&
    observed &&
    people.size >= 2 &&
    clean(hexOf(subject.artifact)) &&
    needed.every(({ digest, present }) => present && clean(hexOf(digest)) && listed.has(hexOf(digest)))
  );
}

function perSecond(work: () => void, atLeastMs = 1500): number {
  for (let count = 0; count < 200; count++) work();
  const started = performance.now();
  let done = 0;
  while (performance.now() - started < atLeastMs) {
    for (let count = 0; count < 50; count++) work();
    done += 50;
  }
  return (done * 1000) / (performance.now() - started);
}

const source =
  'findings.all(f, f.severity != "critical" && !(f.severity == "high" && tier == "high")) && size(findings) <= 100 && name.startsWith("model")';
const finding = record('finding', { severity: string, count: int });
const variables = {
  findings: Array.from({ length: 20 }, (_, index) => ({ severity: 'low', count: BigInt(index) })),
  tier: 'high',
  name: 'model.safetensors',
};

const manyFiles = 10_000;

/** An artifact of 10 000 scanned files, of which all but ten have this role, and a question about each in turn. */
function decideEach(role: 'weights' | 'steering'): (path: string) => Decision {
  const files = Array.from({ length: manyFiles }, (_, index) =>
    file(`part/${String(index).padStart(5, '0')}.x`, index < 10 ? 'steering' : role),
  );
  const many = { ...subject, files };
  const evidence = new EvidenceBook();
  evidence.observed({
    files: files.map(({ path, sizeBytes, digest, present }) => ({
      path,
      sizeBytes,
      present,
      sha256: hexOf(digest),
      gitOid: '0'.repeat(40),
      lfs: role === 'weights',
    })),
  });
  for (const { digest } of files) evidence.scan(digest);
  evidence.scan(many.artifact);
  evidence.bom(files);
  evidence.approval('person-1');
  const index = new EvidenceIndex('default', many, evidence.entries);
  return (path) =>
    decide({
      policy: defaultPolicies,
      question: { ...question, environment: 'production', files: [path] },
      subject: many,
      evidence: index,
      at,
      trustDigest: digestNamed('trust'),
      checkpoint: { size: 1, rootHash: '' },
    });
}

/** CPU milliseconds of one decision about one file. */
function oneOfMany(name: string, role: 'weights' | 'steering', goal: Goal): Promise<BenchRow> {
  const ask = decideEach(role);
  let next = 0;
  return benchmark(name, {
    ours: () => {
      const before = process.cpuUsage();
      const rounds = role === 'weights' ? 1_000 : 100;
      for (let count = 0; count < rounds; count += 1) {
        assert.equal(ask(`part/${String((next += 7) % manyFiles).padStart(5, '0')}.x`).verdict, 'allow');
      }
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1_000 / rounds;
    },
    peer: () => 6,
    peerName: 'a minute for all of them, no measurement',
    unit: 'CPU ms',
    goal,
  });
}

export const benches: readonly Bench[] = [
  {
    name: 'decide: production, tier high, against the same rules by hand without reasons',
    run: () =>
      benchmark('decisions per second', {
        ours: () => perSecond(() => assert.equal(decideCase(given).verdict, 'allow')),
        peer: () => perSecond(() => assert.equal(handWritten(book.entries), true)),
        peerName: 'hand-written JavaScript that answers yes or no',
        unit: 'decisions/s',
        goal: { atLeast: 0.02, guard: true },
      }),
  },
  {
    name: 'decide: one of 10 000 weights files',
    run: () => oneOfMany('decision about one of 10 000 weights files', 'weights', { atMost: 6, of: 'ours' }),
  },
  {
    name: 'decide: one of 10 000 files that all steer loading',
    run: () =>
      oneOfMany('decision about one of 10 000 steering files', 'steering', {
        atMost: 40,
        of: 'ours',
        guard: true,
      }),
  },
  {
    name: 'decide: one rule over 20 findings, against the evaluator of the library',
    run: () => {
      const ours = compileCel(source, { findings: listOf(finding), tier: string, name: string }, bool);
      const theirs = plan(celEnv(), parse(source));
      const time = new DecisionTime(Date.parse(at));
      return benchmark('rule evaluations per second', {
        ours: () => perSecond(() => assert.equal(ours.evaluate(variables, time, { steps: 1_000_000 }), true)),
        peer: () => perSecond(() => assert.equal(theirs(variables), true)),
        peerName: '@bufbuild/cel plan()',
        unit: 'evaluations/s',
        goal: { atLeast: 5 },
      });
    },
  },
];
