import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { compilePolicySet } from './compile.ts';
import { builtInRules } from './integrity.ts';
import { parsePolicy } from './policy.ts';
import {
  after,
  decideCase,
  defaultPolicies,
  defaultSources,
  digestNamed,
  rulesWith,
  soundBook,
  subject,
} from '../../test/support/policy-case.ts';
import type { Environment, Tier } from '#evidence/predicates.ts';
import type { Verdict } from './decision.ts';
import type { Case, EvidenceBook } from '../../test/support/policy-case.ts';

const [readme, config, model] = subject.files.map(({ digest }) => digest) as [never, never, never];

interface Row {
  readonly name: string;
  readonly environment: Environment;
  readonly tier?: Tier;
  readonly change?: (book: EvidenceBook) => void;
  readonly without?: string;
  readonly subject?: Case['subject'];
  readonly verdict: Verdict;
  /** Rules that deny, or warn where nothing denies. */
  readonly rules?: readonly string[];
}

const approve =
  (...people: readonly string[]) =>
  (book: EvidenceBook): void => {
    for (const person of people) book.approval(person);
  };
const rescan =
  (digest: never, more: Parameters<EvidenceBook['scan']>[1]) =>
  (book: EvidenceBook): void => {
    book.approval('person-1');
    book.scan(digest, more);
  };
const scanned = 'https://weighbridge.dev/evidence/scan/v1';
const inconclusive = { completeness: 'inconclusive' as const };

const common = (environment: Environment): readonly Row[] => [
  {
    name: 'malicious weights',
    environment,
    change: rescan(model, { verdict: 'malicious' }),
    verdict: 'deny',
    rules: ['not-malicious'],
  },
  {
    name: 'suspicious weights',
    environment,
    change: rescan(model, { verdict: 'suspicious' }),
    verdict: 'deny',
    rules: ['not-suspicious'],
  },
  {
    name: 'suspicious steering',
    environment,
    change: rescan(config, { verdict: 'suspicious' }),
    verdict: 'deny',
    rules: ['not-suspicious'],
  },
  {
    name: 'inconclusive weights',
    environment,
    change: rescan(model, inconclusive),
    verdict: 'deny',
    rules: ['scan-complete'],
  },
  {
    name: 'malicious paths',
    environment,
    change: rescan(subject.artifact as never, { verdict: 'malicious' }),
    verdict: 'deny',
    rules: ['paths-not-malicious', 'paths-clean'],
  },
  {
    name: 'suspicious paths',
    environment,
    change: rescan(subject.artifact as never, { verdict: 'suspicious' }),
    verdict: 'deny',
    rules: ['paths-clean'],
  },
  {
    name: 'malicious paths, the rest waived',
    environment,
    change: (book) => {
      book.approval('person-1');
      book.scan(subject.artifact, { verdict: 'malicious' });
      book.waiver(`${environment}.paths-clean`);
      book.waiver(`${environment}.paths-not-malicious`);
    },
    verdict: 'deny',
    rules: ['paths-not-malicious'],
  },
  {
    name: 'quiet in the sandbox',
    environment,
    change: (book) => {
      book.approval('person-1');
      book.sandbox();
      book.sandbox({ outcome: 'inconclusive', reasons: ['it reached the limit of time'] });
    },
    verdict: 'allow',
  },
  {
    name: 'acted in the sandbox, waived',
    environment,
    change: (book) => {
      book.approval('person-1');
      book.sandbox({ outcome: 'acted' });
      book.waiver(`${environment}.not-acted`);
    },
    verdict: 'deny',
    rules: ['not-acted'],
  },
  {
    name: 'malicious weights, everything waived',
    environment,
    change: (book) => {
      book.approval('person-1');
      book.scan(model, { verdict: 'malicious' });
      book.waiver(`${environment}.not-malicious`);
    },
    verdict: 'deny',
    rules: ['not-malicious'],
  },
  {
    name: 'unscanned, completeness waived',
    environment,
    without: scanned,
    change: (book) => {
      book.approval('person-1');
      for (const rule of ['scan-complete', 'paths-clean'])
        book.waiver(`${environment}.${rule}`, {}, subject.roots.all);
    },
    verdict: 'deny',
    rules: ['scanned'],
  },
];

const rows: readonly Row[] = [
  { name: 'clean', environment: 'development', verdict: 'allow' },
  {
    name: 'no origin, no bill of materials',
    environment: 'development',
    without: 'bom|observed',
    verdict: 'allow',
  },
  ...common('development'),
  {
    name: 'inconclusive documentation',
    environment: 'development',
    change: rescan(readme, inconclusive),
    verdict: 'warn',
    rules: ['documentation-complete'],
  },
  { name: 'clean', environment: 'staging', verdict: 'allow' },
  ...common('staging'),
  {
    name: 'inconclusive documentation',
    environment: 'staging',
    change: rescan(readme, inconclusive),
    verdict: 'deny',
    rules: ['scan-complete'],
  },
  {
    name: 'no origin',
    environment: 'staging',
    without: 'observed',
    verdict: 'deny',
    rules: ['origin-known'],
  },
  {
    name: 'no bill of materials',
    environment: 'staging',
    without: 'bom',
    verdict: 'deny',
    rules: ['bom-exists'],
  },
  {
    name: 'bill of materials without the model',
    environment: 'staging',
    change: (book) => book.bom(subject.files.slice(0, 2)),
    verdict: 'deny',
    rules: ['bom-covers'],
  },
  { name: 'clean and approved', environment: 'production', change: approve('person-1'), verdict: 'allow' },
  ...common('production'),
  {
    name: 'inconclusive documentation',
    environment: 'production',
    change: rescan(readme, inconclusive),
    verdict: 'deny',
    rules: ['scan-complete'],
  },
  {
    name: 'no origin',
    environment: 'production',
    without: 'observed',
    change: approve('person-1'),
    verdict: 'deny',
    rules: ['origin-known'],
  },
  {
    name: 'no bill of materials',
    environment: 'production',
    without: 'bom',
    change: approve('person-1'),
    verdict: 'deny',
    rules: ['bom-exists'],
  },
  {
    name: 'bill of materials without the model',
    environment: 'production',
    change: (book) => {
      book.approval('person-1');
      book.bom(subject.files.slice(0, 2));
    },
    verdict: 'deny',
    rules: ['bom-covers'],
  },
  { name: 'nobody approved', environment: 'production', verdict: 'deny', rules: ['approved'] },
  {
    name: 'approved elsewhere',
    environment: 'production',
    change: (book) => book.approval('person-1', { namespace: 'elsewhere' }),
    verdict: 'deny',
    rules: ['approved'],
  },
  {
    name: 'approved for staging',
    environment: 'production',
    change: (book) => book.approval('person-1', { environments: ['staging'] }),
    verdict: 'deny',
    rules: ['approved'],
  },
  {
    name: 'approval over',
    environment: 'production',
    change: (book) => book.approval('person-1', { approvedAt: after(-2), expiresAt: after(-1) }),
    verdict: 'deny',
    rules: ['approved'],
  },
  {
    name: 'approval not begun',
    environment: 'production',
    change: (book) => book.approval('person-1', { approvedAt: after(1) }),
    verdict: 'deny',
    rules: ['approved'],
  },
  {
    name: 'only the weights approved',
    environment: 'production',
    change: (book) => book.approval('person-1', { root: 'weights' }, subject.roots.weights),
    verdict: 'deny',
    rules: ['approved'],
  },
  {
    name: 'another root under this name',
    environment: 'production',
    change: (book) => book.approval('person-1', { root: 'loading' }, digestNamed('elsewhere')),
    verdict: 'deny',
    rules: ['approved'],
  },
  {
    name: 'all files approved',
    environment: 'production',
    change: (book) => book.approval('person-1', { root: 'all' }, subject.roots.all),
    verdict: 'allow',
  },
  {
    name: 'no name',
    environment: 'production',
    change: approve('person-1'),
    subject: { references: [] },
    verdict: 'warn',
    rules: ['released-name'],
  },
  {
    name: 'old scan',
    environment: 'production',
    tier: 'low',
    change: rescan(model, { scannedAt: after(-400) }),
    verdict: 'allow',
  },
  {
    name: 'scan of 90 days',
    environment: 'production',
    tier: 'medium',
    change: rescan(model, { scannedAt: after(-90) }),
    verdict: 'allow',
  },
  {
    name: 'scan of 91 days',
    environment: 'production',
    tier: 'medium',
    change: rescan(model, { scannedAt: after(-91) }),
    verdict: 'deny',
    rules: ['scan-recent'],
  },
  {
    name: 'two people',
    environment: 'production',
    tier: 'high',
    change: approve('person-1', 'person-2'),
    verdict: 'allow',
  },
  {
    name: 'one person',
    environment: 'production',
    tier: 'high',
    change: approve('person-1'),
    verdict: 'deny',
    rules: ['approved-by-two'],
  },
  {
    name: 'one person twice',
    environment: 'production',
    tier: 'high',
    change: approve('person-1', 'person-1'),
    verdict: 'deny',
    rules: ['approved-by-two'],
  },
  {
    name: 'scan of 31 days',
    environment: 'production',
    tier: 'high',
    change: (book) => {
      approve('person-1', 'person-2')(book);
      book.scan(config, { scannedAt: after(-31) });
    },
    verdict: 'deny',
    rules: ['scan-recent'],
  },
];

function caseOf(row: Row): Case {
  const book = soundBook();
  row.change?.(book);
  const without = new RegExp(row.without ?? '^$');
  return {
    evidence: book.entries.filter(({ statement }) => !without.test(statement.predicateType)),
    question: { environment: row.environment, files: ['README.md', 'model.safetensors'] },
    subject: { ...row.subject, tier: row.tier ?? 'low' },
  };
}

const outcomeOf = (row: Row, policy = defaultPolicies): string => {
  const decision = decideCase({ ...caseOf(row), policy });
  return JSON.stringify([
    decision.verdict,
    decision.verdict === 'allow' ? [] : rulesWith(decision, decision.verdict),
  ]);
};

test('the default policies are sound', () => {
  assert.deepEqual(defaultPolicies.problems, []);
});

for (const row of rows) {
  test(`${row.environment}${row.tier === undefined ? '' : `, tier ${row.tier}`}: ${row.name} → ${row.verdict}`, () => {
    const rules = (row.rules ?? []).map((rule) => `${row.environment}.${rule}`);
    assert.equal(outcomeOf(row), JSON.stringify([row.verdict, rules]));
  });
}

test('every rule carries weight: without it, or weakened, at least one of these cases comes out better', () => {
  for (const source of defaultSources) {
    const own = rows.filter(({ environment }) => environment === source.name);
    const alone = compilePolicySet([source]);
    const expected = own.map((row) => outcomeOf(row, alone));
    for (const { id, integrity, effect } of parsePolicy(source.text, source.name).rules) {
      const block = new RegExp(`  - id: ${id}\\n(?:(?!  - id: ).*\\n?)*`);
      const mutants = [source.text.replace(block, '')];
      if (integrity)
        mutants.push(
          source.text.replace(block, (rule) => rule.replace('integrity: true', 'integrity: false')),
        );
      if (effect === 'deny')
        mutants.push(source.text.replace(block, (rule) => rule.replace('effect: deny', 'effect: warn')));
      for (const text of mutants) {
        assert.notEqual(text, source.text);
        const policy = compilePolicySet([{ ...source, text }]);
        assert.deepEqual(policy.problems, []);
        const flipped = own.some((row, index) => outcomeOf(row, policy) !== expected[index]);
        assert.ok(flipped, `${source.name}.${id}`);
      }
    }
  }
});

test('every rule and every built-in reason has its anchor in docs/reference/deny-reasons.md, and nothing else has', () => {
  const page = readFileSync(new URL('../../docs/reference/deny-reasons.md', import.meta.url), 'utf8');
  const anchors = [...page.matchAll(/<a id="([^"]+)"><\/a>/g)].map(([, id]) => id ?? '').toSorted();
  const rules = defaultPolicies.policies.flatMap((policy) => policy.rules.map(({ name }) => name));
  assert.deepEqual(anchors, [...rules, ...builtInRules].toSorted());
});

test('every rule is described in docs/reference/policies.md', () => {
  const page = readFileSync(new URL('../../docs/reference/policies.md', import.meta.url), 'utf8');
  for (const { rules } of defaultPolicies.policies)
    for (const { name } of rules) assert.ok(page.includes(`\`${name}\``), name);
});
