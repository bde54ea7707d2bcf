import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type {
  ApprovalPredicate,
  ObservedPredicate,
  RevocationPredicate,
  SandboxPredicate,
  ScanPredicate,
  ScanResult,
  WaiverPredicate,
} from '#evidence/predicates.ts';
import { statementType } from '#evidence/statement.ts';
import { compilePolicySet } from '#policy/compile.ts';
import type { CompiledPolicySet, PolicySource } from '#policy/compile.ts';
import { decide } from '#policy/decide.ts';
import type { Decision, DecisionSubject, Question, SubjectFile } from '#policy/decision.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';

/** Digests of nothing in particular, told apart by a word. */
export const digestNamed = (word: string): Digest => digestOf(Buffer.from(word));

export const at = '2026-03-01T00:00:00Z';
export const dayMs = 86_400_000;
/** An instant `days` after `at`. */
export const after = (days: number): string =>
  new Date(Date.parse(at) + days * dayMs).toISOString().replace('.000Z', 'Z');

export const defaultPolicyNames = ['development', 'staging', 'production'] as const;

export const defaultSources: readonly PolicySource[] = defaultPolicyNames.map((name) => ({
  name,
  text: readFileSync(join(import.meta.dirname, '../../policies', `${name}.yaml`), 'utf8'),
}));

export const defaultPolicies: CompiledPolicySet = compilePolicySet(defaultSources);

export const file = (
  path: string,
  role: SubjectFile['role'],
  more: Partial<SubjectFile> = {},
): SubjectFile => ({
  path,
  role,
  digest: digestNamed(`bytes of ${path}`),
  sizeBytes: 1000,
  present: true,
  ...more,
});

/** A model with two weight files, a config and a README. */
export const subject: DecisionSubject = {
  artifact: digestNamed('artifact'),
  roots: {
    all: digestNamed('artifact'),
    loading: digestNamed('loading root'),
    weights: digestNamed('weights root'),
  },
  files: [
    file('README.md', 'documentation'),
    file('config.json', 'steering'),
    file('model.safetensors', 'weights'),
    file('pytorch_model.bin', 'weights'),
  ],
  tier: 'low',
  references: ['hf://models/org/name@main'],
};

export const question: Question = {
  principal: 'client',
  action: 'pull',
  artifact: subject.artifact,
  files: ['model.safetensors'],
  namespace: 'default',
  environment: 'development',
};

const producer = { name: 'scan', version: '1', ruleSetDigest: digestNamed('rules') };

/** Evidence in the order in which it is made: each gets the next log index. */
export class EvidenceBook {
  readonly entries: VerifiedEvidence[] = [];

  add(predicateType: string, subjects: readonly Digest[], predicate: object, namespace = 'default'): Digest {
    const logIndex = this.entries.length;
    const envelopeDigest = digestNamed(
      JSON.stringify([predicateType, subjects, predicate, namespace, logIndex]),
    );
    this.entries.push({
      envelopeDigest,
      envelope: { payloadType: 'application/vnd.in-toto+json', payload: '', signatures: [] },
      logIndex,
      namespace,
      statement: {
        _type: statementType,
        subject: subjects.map((digest) => ({ digest: { sha256: hexOf(digest) } })),
        predicateType,
        predicate,
      },
      issuer: { keyId: 'test', role: 'evidence' },
    });
    return envelopeDigest;
  }

  scan(
    digest: Digest,
    more: Partial<ScanResult & Pick<ScanPredicate, 'producer' | 'scannedAt'>> = {},
  ): Digest {
    const { producer: by = producer, scannedAt = at, ...result } = more;
    return this.add(predicateTypes.scan, [digest], {
      producer: by,
      scannedAt,
      scope: digest === subject.artifact ? 'artifact' : 'blob',
      results: [
        {
          sha256: hexOf(digest),
          formats: ['safetensors'],
          sizeBytes: 1000,
          verdict: 'clean',
          completeness: 'complete',
          incompleteReasons: [],
          findings: [],
          ...result,
        },
      ],
    } satisfies ScanPredicate);
  }

  observed(more: Partial<ObservedPredicate> = {}): Digest {
    return this.add(predicateTypes.observed, [subject.artifact], {
      producer,
      observedAt: at,
      source: {
        uri: 'hf://models/org/name@0123',
        repositoryType: 'models',
        repository: 'org/name',
        commit: '0'.repeat(40),
        references: ['main'],
      },
      files: subject.files.map(({ path, sizeBytes, digest, present }) => ({
        path,
        sizeBytes,
        sha256: hexOf(digest),
        gitOid: '0'.repeat(40),
        lfs: false,
        present,
      })),
      provisional: false,
      ...more,
    } satisfies ObservedPredicate);
  }

  sandbox(more: Partial<SandboxPredicate> = {}): Digest {
    return this.add(predicateTypes.sandbox, [subject.artifact], {
      producer: { ...producer, name: 'sandbox' },
      exercisedAt: at,
      runner: 'bubblewrap',
      limits: {},
      trustRemoteCode: false,
      python: '3.13.0',
      libraries: [],
      files: [],
      outcome: 'quiet',
      reasons: [],
      steps: [],
      events: [],
      eventsOmitted: 0,
      ...more,
    } satisfies SandboxPredicate);
  }

  bom(files: readonly SubjectFile[] = subject.files): Digest {
    return this.add(predicateTypes.bom, [subject.artifact], {
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      metadata: {
        component: { type: 'machine-learning-model', licenses: [{ license: { id: 'Apache-2.0' } }] },
      },
      components: files.map(({ path, digest }) => ({
        type: 'file',
        name: path,
        hashes: [{ alg: 'SHA-256', content: hexOf(digest) }],
      })),
    });
  }

  approval(person: string, more: Partial<ApprovalPredicate> = {}, root = subject.roots.loading): Digest {
    return this.add(predicateTypes.approval, root === null ? [] : [root], {
      approvedAt: at,
      person,
      reason: 'reviewed',
      root: 'loading',
      namespace: 'default',
      environments: ['production'],
      expiresAt: null,
      ...more,
    } satisfies ApprovalPredicate);
  }

  waiver(rule: string, more: Partial<WaiverPredicate> = {}, root = subject.roots.loading): Digest {
    return this.add(predicateTypes.waiver, root === null ? [] : [root], {
      waivedAt: at,
      rule,
      people: ['person-1', 'person-2'],
      reason: 'accepted for the experiment',
      namespace: 'default',
      environments: ['development', 'staging', 'production'],
      expiresAt: after(10),
      breakGlass: false,
      ...more,
    } satisfies WaiverPredicate);
  }

  revocation(digest: Digest, namespace = 'default'): Digest {
    const predicate = { revokedAt: at, person: 'person-1', reason: 'found to be poisoned', namespace };
    return this.add(predicateTypes.revocation, [digest], predicate satisfies RevocationPredicate, namespace);
  }
}

/** Everything that production asks for in tier low. */
export function soundBook(): EvidenceBook {
  const book = new EvidenceBook();
  book.observed();
  for (const { digest } of subject.files) book.scan(digest);
  book.scan(subject.artifact);
  book.bom();
  return book;
}

export interface Case {
  readonly policy?: CompiledPolicySet;
  readonly question?: Partial<Question>;
  readonly subject?: Partial<DecisionSubject>;
  readonly evidence: readonly VerifiedEvidence[];
  readonly at?: string;
}

export function decideCase(given: Case): Decision {
  return decide({
    policy: given.policy ?? defaultPolicies,
    question: { ...question, ...given.question },
    subject: { ...subject, ...given.subject },
    evidence: given.evidence,
    at: given.at ?? at,
    trustDigest: digestNamed('trust'),
    checkpoint: { size: 100, rootHash: 'cm9vdA==' },
  });
}

/** Rules with the wanted effect. */
export const rulesWith = (decision: Decision, effect: string): readonly string[] => [
  ...new Set(decision.reasons.filter((reason) => reason.effect === effect).map(({ rule }) => rule)),
];
