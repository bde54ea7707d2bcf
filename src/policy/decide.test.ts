import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { systemNamespace } from '#evidence/statement.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { compilePolicySet, decodePolicySet } from './compile.ts';
import { parseDecision } from './parse-decision.ts';
import {
  EvidenceBook,
  after,
  decideCase,
  defaultPolicies,
  defaultSources,
  digestNamed,
  file,
  rulesWith,
  soundBook,
  subject,
} from '../../test/support/policy-case.ts';

const [readme, config, model, pickle] = subject.files.map(({ digest }) => digest) as [
  never,
  never,
  never,
  never,
];

test('a clean model may be pulled in development, and the answer says why', () => {
  const decision = decideCase({ evidence: soundBook().entries });
  assert.equal(decision.verdict, 'allow');
  assert.ok(decision.reasons.length > 0);
  assert.ok(decision.reasons.every(({ rule }) => rule.startsWith('development.')));
  assert.ok(decision.evidenceUsed.length > 0);
  assert.deepEqual(parseDecision(JSON.parse(encodeJcsText(decision))), decision);
});

test('nothing known is a deny that names what is missing', () => {
  const decision = decideCase({ evidence: [] });
  assert.equal(decision.verdict, 'deny');
  assert.ok(rulesWith(decision, 'deny').includes('development.scanned'));
  const reason = decision.reasons.find(({ rule }) => rule === 'development.scanned');
  assert.equal(reason?.missing, 'a scan of `config.json`');
  for (const { who, remedy } of decision.reasons) assert.ok(who !== '' && remedy !== '');
});

test('the planted bad file is refused, with the words of the finding', () => {
  const book = soundBook();
  const finding = {
    ruleId: 'PKL-CALL-DENIED',
    severity: 'critical' as const,
    message: 'would call `os.system("id")`',
    location: {},
    remedy: 'use safetensors',
  };
  const bad = book.scan(pickle, { verdict: 'malicious', findings: [finding] });
  const denied = decideCase({ evidence: book.entries, question: { files: ['pytorch_model.bin'] } });
  assert.equal(denied.verdict, 'deny');
  assert.match(denied.reasons[0]?.message ?? '', /pytorch_model\.bin.*os\.system/);
  assert.ok(denied.reasons[0]?.evidence.includes(bad));
  assert.equal(
    decideCase({ evidence: book.entries }).verdict,
    'allow',
    'the other nineteen files do not matter',
  );
  assert.equal(decideCase({ evidence: book.entries, question: { files: null } }).verdict, 'deny');
});

test('a pull of one file needs the files that steer loading too', () => {
  const book = soundBook();
  book.scan(config, { verdict: 'suspicious' });
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'deny');
  assert.equal(decideCase({ evidence: book.entries, question: { files: ['README.md'] } }).verdict, 'deny');
});

test('the newest scan counts, and the worst of several producers', () => {
  const book = soundBook();
  book.scan(model, { verdict: 'malicious' });
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'deny');
  book.scan(model);
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'allow', 'scanned again with better rules');
  const other = { name: 'second-scanner', version: '1', ruleSetDigest: digestNamed('other rules') };
  book.scan(model, { verdict: 'malicious', producer: other });
  book.scan(model);
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'deny', 'one scanner does not hide another');
});

test('what a path makes of other weights does not matter to a file; what it makes of this one does', () => {
  const finding = (path?: string) => ({
    ruleId: 'PATH-DECEPTIVE',
    severity: 'high' as const,
    message: 'has another format than its name',
    location: path === undefined ? {} : { path },
    remedy: 'rename it',
  });
  const cases: readonly (readonly [readonly ReturnType<typeof finding>[], string])[] = [
    [[finding('pytorch_model.bin')], 'allow'],
    [[finding('pytorch_model.bin'), finding('README.md')], 'allow'],
    [[finding('model.safetensors')], 'deny'],
    [[finding('config.json')], 'deny'],
    [[finding('pytorch_model.bin'), finding('config.json')], 'deny'],
    [[finding('pytorch_model.bin'), finding()], 'deny'],
    [[finding('no-such-file')], 'deny'],
    [[], 'deny'],
    [Array.from({ length: 1000 }, () => finding('pytorch_model.bin')), 'deny'],
  ];
  for (const [findings, verdict] of cases) {
    const book = soundBook();
    book.scan(subject.artifact, { verdict: 'malicious', findings });
    assert.equal(decideCase({ evidence: book.entries }).verdict, verdict);
    assert.equal(decideCase({ evidence: book.entries, question: { files: null } }).verdict, 'deny');
  }
});

test('inconclusive denies weights and steering files and warns about documentation', () => {
  for (const [digest, verdict] of [
    [model, 'deny'],
    [config, 'deny'],
    [readme, 'warn'],
  ] as const) {
    const book = soundBook();
    book.scan(digest, { completeness: 'inconclusive', incompleteReasons: ['unknown format'] });
    const decision = decideCase({
      evidence: book.entries,
      question: { files: ['README.md', 'model.safetensors'] },
    });
    assert.equal(decision.verdict, verdict);
    assert.match(decision.reasons[0]?.message ?? '', /unknown format/);
  }
});

test('absent bytes are neither clean nor malicious: not here yet', () => {
  const files = subject.files.map((entry) =>
    entry.path === 'pytorch_model.bin' ? { ...entry, present: false } : entry,
  );
  const book = soundBook();
  assert.equal(decideCase({ evidence: book.entries, subject: { files } }).verdict, 'allow');
  const decision = decideCase({
    evidence: book.entries,
    subject: { files },
    question: { files: ['pytorch_model.bin'] },
  });
  assert.deepEqual(rulesWith(decision, 'deny'), ['evaluation.absent']);
  assert.equal(decision.reasons[0]?.missing, 'the bytes of `pytorch_model.bin`');
});

test('a revocation of the artifact, of a root or of a needed blob has no bypass', () => {
  const { all, loading, weights } = subject.roots;
  for (const digest of [all, loading, weights, model, config]) {
    assert.ok(digest !== null);
    const book = soundBook();
    book.revocation(digest);
    for (const rule of ['integrity.revoked', 'development.scanned']) book.waiver(rule);
    const decision = decideCase({ evidence: book.entries });
    assert.deepEqual(rulesWith(decision, 'deny'), ['integrity.revoked']);
    const without = compilePolicySet([]);
    assert.ok(
      rulesWith(decideCase({ evidence: book.entries, policy: without }), 'deny').includes(
        'integrity.revoked',
      ),
    );
  }
  const book = soundBook();
  book.revocation(pickle);
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'allow', 'a blob that was not asked for');
  book.revocation(model, 'elsewhere');
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'allow', 'another namespace');
  const everywhere = soundBook();
  everywhere.revocation(model, systemNamespace);
  assert.equal(
    decideCase({ evidence: everywhere.entries }).verdict,
    'deny',
    'the system namespace speaks for all',
  );
  book.add('https://weighbridge.dev/evidence/revocation/v1', [model], {});
  assert.equal(
    decideCase({ evidence: book.entries }).verdict,
    'deny',
    'bad news that cannot be read is bad news',
  );
});

test('the same artifact observed with other bytes is an integrity failure', () => {
  const book = soundBook();
  book.observed({
    files: [
      { path: 'config.json', sizeBytes: 1, sha256: 'f'.repeat(64), gitOid: '', lfs: false, present: true },
    ],
  });
  assert.deepEqual(rulesWith(decideCase({ evidence: book.entries }), 'deny'), [
    'integrity.observed-mismatch',
  ]);
});

test('a provisional snapshot may be pulled from and not promoted', () => {
  const book = soundBook();
  book.observed({ provisional: true });
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'allow');
  for (const action of ['promote', 'deploy'] as const) {
    const decision = decideCase({ evidence: book.entries, question: { action, files: null } });
    assert.deepEqual(rulesWith(decision, 'deny'), ['integrity.provisional']);
  }
});

test('evidence of other namespaces and about other artifacts is ignored', () => {
  const book = new EvidenceBook();
  for (const entry of soundBook().entries) {
    const hexes = entry.statement.subject.map(({ digest }) => `sha256:${digest.sha256}` as never);
    book.add(entry.statement.predicateType, hexes, { ...(entry.statement.predicate as object) }, 'elsewhere');
    book.add(entry.statement.predicateType, [digestNamed('another artifact')], {
      ...(entry.statement.predicate as object),
    });
  }
  const decision = decideCase({ evidence: book.entries });
  assert.equal(decision.verdict, 'deny');
  assert.deepEqual(decision.evidenceUsed, []);
});

test('unknown files, another subject and malformed evidence are denied', () => {
  const unknown = decideCase({ evidence: soundBook().entries, question: { files: ['nothing.bin'] } });
  assert.ok(rulesWith(unknown, 'deny').includes('evaluation.unknown-file'));
  const other = decideCase({ evidence: soundBook().entries, question: { artifact: digestNamed('x') } });
  assert.ok(rulesWith(other, 'deny').includes('evaluation.subject'));
  const book = soundBook();
  book.add('https://weighbridge.dev/evidence/scan/v1', [model], { verdict: 'clean' });
  assert.deepEqual(rulesWith(decideCase({ evidence: book.entries }), 'deny'), [
    'evaluation.evidence-malformed',
  ]);
  book.scan(model);
  assert.equal(decideCase({ evidence: book.entries }).verdict, 'allow', 'a readable one came later');
});

test('no policy that applies is a deny', () => {
  const policy = compilePolicySet(defaultSources.filter(({ name }) => name === 'production'));
  const decision = decideCase({ evidence: soundBook().entries, policy });
  assert.deepEqual(rulesWith(decision, 'deny'), ['evaluation.no-policy']);
});

test('what people wrote wrongly denies with the error as its reason', () => {
  const good = defaultSources.find(({ name }) => name === 'development')?.text ?? '';
  const breakages: readonly (readonly [string, string, RegExp])[] = [
    [good.replace('file.scan.exists\n', 'file.scna.exists\n'), 'development.scanned', /did you mean `scan`/],
    [
      good.replace('require: file.scan.exists\n', "require: 'file.path'\n"),
      'development.scanned',
      /gives a string/,
    ],
    [
      good.replace('require: file.scan.exists\n', "require: 'file.scan.exists &&'\n"),
      'development.scanned',
      /could not be evaluated/,
    ],
    [
      good.replace('require: file.scan.exists\n', 'require: \'file.scan.formats[7] == ""\'\n'),
      'development.scanned',
      /out of bounds/,
    ],
    [
      good.replace('require: file.scan.exists\n', "require: 'now() > 1'\n"),
      'development.scanned',
      /cannot be applied|unknown function|needs an argument/,
    ],
    [good.replace('effect: deny', 'efect: deny'), 'evaluation.policy-invalid', /did you mean `effect`/],
    [good.replace('effect: deny', 'effect: dany'), 'evaluation.policy-invalid', /did you mean `deny`/],
    [`${good}\n  - [`, 'evaluation.policy-invalid', /./],
    ['', 'evaluation.policy-invalid', /mapping/],
  ];
  for (const [text, rule, message] of breakages) {
    assert.notEqual(text, good);
    const policy = compilePolicySet([{ name: 'development', text }]);
    assert.equal(policy.problems.length, message.source.includes('bounds') ? 0 : 1);
    const decision = decideCase({ evidence: soundBook().entries, policy });
    assert.deepEqual(rulesWith(decision, 'deny'), [rule]);
    assert.match(decision.reasons[0]?.message ?? '', message);
    assert.equal(decodePolicySet(policy.canonical).digest, policy.digest);
    const again = decideCase({ evidence: soundBook().entries, policy: decodePolicySet(policy.canonical) });
    assert.equal(encodeJcsText(again), encodeJcsText(decision));
  }
});

test('a broken document denies what it says it is about, and everything if it does not say', () => {
  const good = defaultSources.find(({ name }) => name === 'production')?.text ?? '';
  const broken = (text: string) =>
    compilePolicySet([...defaultSources.slice(0, 2), { name: 'production', text }]);
  const spared = decideCase({
    evidence: soundBook().entries,
    policy: broken(good.replace('rules:', 'rulez:')),
  });
  assert.equal(spared.verdict, 'allow');
  const all = decideCase({ evidence: soundBook().entries, policy: broken('{') });
  assert.deepEqual(rulesWith(all, 'deny'), ['evaluation.policy-invalid']);
  const doubled = compilePolicySet([
    ...defaultSources,
    { name: 'again', text: defaultSources[0]?.text ?? '' },
  ]);
  assert.equal(doubled.problems.length, 1);
  assert.equal(decideCase({ evidence: soundBook().entries, policy: doubled }).verdict, 'deny');
});

test('white space, comments and order do not change the policy digest; one word does', () => {
  const rewritten = defaultSources
    .map(({ name, text }) => ({ name, text: `# a comment\n${text.replaceAll('\n\n', '\n\n\n')}` }))
    .toReversed();
  assert.equal(compilePolicySet(rewritten).digest, defaultPolicies.digest);
  const changed = defaultSources.map(({ name, text }) => ({ name, text: text.replace('"720h"', '"721h"') }));
  assert.notEqual(compilePolicySet(changed).digest, defaultPolicies.digest);
});

const waivable = { files: ['model.safetensors'] } as const;

test('a waiver by two people turns the deny into a warning that shows the waiver', () => {
  const book = soundBook();
  book.scan(model, { completeness: 'inconclusive', incompleteReasons: ['too large'] });
  const waiver = book.waiver('development.scan-complete');
  const decision = decideCase({ evidence: book.entries, question: waivable });
  assert.equal(decision.verdict, 'warn');
  assert.match(decision.reasons[0]?.message ?? '', /waived by 2 people until/);
  assert.ok(decision.reasons[0]?.evidence.includes(waiver));
  assert.ok(decision.evidenceUsed.includes(waiver));
  assert.equal(decision.validUntil, after(10));
  assert.equal(decideCase({ evidence: book.entries, question: waivable, at: after(10) }).verdict, 'deny');
  assert.equal(decideCase({ evidence: book.entries, question: waivable, at: after(9.5) }).verdict, 'warn');
});

test('waivers that do not count', () => {
  const hours = (count: number): string => after(count / 24);
  const cases: readonly (readonly [string, Parameters<EvidenceBook['waiver']>[1], boolean])[] = [
    ['one person', { people: ['person-1'] }, false],
    ['one person twice', { people: ['person-1', 'person-1 '] }, false],
    ['nobody', { people: [] }, false],
    ['break-glass by one for 4 hours', { people: ['person-1'], breakGlass: true, expiresAt: hours(4) }, true],
    ['break-glass for longer', { people: ['person-1'], breakGlass: true, expiresAt: hours(4.001) }, false],
    ['break-glass by nobody', { people: [], breakGlass: true, expiresAt: hours(4) }, false],
    ['91 days', { expiresAt: after(91) }, false],
    ['ends before it begins', { expiresAt: after(-1) }, false],
    ['not begun', { waivedAt: after(1), expiresAt: after(2) }, false],
    ['another rule', { rule: 'development.scanned' }, false],
    ['another environment', { environments: ['production'] }, false],
    ['another namespace', { namespace: 'elsewhere' }, false],
    ['no expiry', { expiresAt: null as never }, false],
  ];
  for (const [name, more, counts] of cases) {
    const book = soundBook();
    book.scan(model, { completeness: 'inconclusive' });
    book.waiver('development.scan-complete', more);
    const decision = decideCase({ evidence: book.entries, question: waivable });
    assert.equal(decision.verdict, counts ? 'warn' : 'deny', name);
  }
  for (const [root, digest, verdict] of [
    [subject.roots.weights, model, 'warn'],
    [subject.roots.weights, config, 'deny'],
    [subject.roots.all, config, 'warn'],
  ] as const) {
    const book = soundBook();
    book.scan(digest, { completeness: 'inconclusive' });
    book.waiver('development.scan-complete', {}, root);
    assert.equal(decideCase({ evidence: book.entries, question: waivable }).verdict, verdict);
  }
});

test('integrity rules and evaluation errors cannot be waived', () => {
  const book = soundBook();
  book.scan(model, { verdict: 'malicious' });
  book.waiver('development.not-malicious');
  book.waiver('development.not-suspicious');
  assert.deepEqual(rulesWith(decideCase({ evidence: book.entries }), 'deny'), ['development.not-malicious']);
  const text = defaultSources[0]?.text.replace('require: file.scan.exists\n', "require: 'nothing'\n") ?? '';
  const policy = compilePolicySet([{ name: 'development', text }]);
  const waived = soundBook();
  waived.waiver('development.scanned');
  assert.deepEqual(rulesWith(decideCase({ evidence: waived.entries, policy }), 'deny'), [
    'development.scanned',
  ]);
});

test('a thousand failing files give a bounded decision that still counts them all', () => {
  const files = Array.from({ length: 1000 }, (_, index) =>
    file(`shard-${1000 + index}.safetensors`, 'weights'),
  );
  const decision = decideCase({
    evidence: soundBook().entries,
    subject: { files },
    question: { files: null },
  });
  const unscanned = decision.reasons.filter(({ rule }) => rule === 'development.scanned');
  assert.equal(unscanned.length, 21);
  assert.match(unscanned.at(-1)?.message ?? '', /980 more files/);
});

test('an instant that is none is a fault', () => {
  for (const wrong of [
    '',
    'now',
    '2026-03-01',
    '2026-02-30T00:00:00Z',
    '2026-03-01T00:00:00.5Z',
    '2026-03-01T00:00:00+01:00',
  ])
    assert.throws(() => decideCase({ evidence: [], at: wrong }), { code: 'request.invalid' });
});

const anyEvidence = fc
  .array(
    fc.record({
      kind: fc.constantFrom('scan', 'observed', 'bom', 'approval', 'waiver'),
      digest: fc.constantFrom(...subject.files.map(({ digest }) => digest), subject.artifact),
      verdict: fc.constantFrom('clean' as const, 'suspicious' as const, 'malicious' as const),
      completeness: fc.constantFrom('complete' as const, 'inconclusive' as const),
      person: fc.constantFrom('person-1', 'person-2', 'person-3'),
      rule: fc.constantFrom('scan-complete', 'not-suspicious', 'bom-exists', 'approved'),
      environment: fc.constantFrom('development' as const, 'staging' as const, 'production' as const),
    }),
    { maxLength: 25 },
  )
  .map((entries) => {
    const book = soundBook();
    for (const { kind, digest, verdict, completeness, person, rule, environment } of entries) {
      if (kind === 'scan') book.scan(digest, { verdict, completeness });
      else if (kind === 'observed') book.observed();
      else if (kind === 'bom') book.bom();
      else if (kind === 'approval') book.approval(person);
      else book.waiver(`${environment}.${rule}`);
    }
    return book;
  });
const anyQuestion = fc.record({
  environment: fc.constantFrom('development' as const, 'staging' as const, 'production' as const),
  files: fc.constantFrom(
    null,
    ['model.safetensors'],
    ['README.md'],
    ['config.json', 'pytorch_model.bin'],
    [],
  ),
  action: fc.constantFrom('pull' as const, 'promote' as const, 'load' as const),
});
const anySubject = fc.record({ tier: fc.constantFrom('low' as const, 'medium' as const, 'high' as const) });
const rank = { allow: 0, warn: 1, deny: 2 };

test('bad news never helps: one more revocation or malicious scan never gives a better verdict', () => {
  let allowed = 0;
  fc.assert(
    fc.property(anyEvidence, anyQuestion, anySubject, fc.boolean(), (book, question, tierSubject, revoke) => {
      const before = decideCase({ evidence: book.entries, question, subject: tierSubject });
      if (before.verdict !== 'deny') allowed++;
      if (revoke) book.revocation(subject.artifact);
      else book.scan(config, { verdict: 'malicious' });
      const next = decideCase({ evidence: book.entries, question, subject: tierSubject });
      assert.ok(rank[next.verdict] >= rank[before.verdict]);
      assert.equal(next.verdict, 'deny');
    }),
    { numRuns: 150 },
  );
  assert.ok(allowed > 5, 'the property was tried on decisions that were not denied before');
});

test('the order in which evidence is passed and repetition do not matter; deciding twice gives the same bytes', () => {
  fc.assert(
    fc.property(anyEvidence, anyQuestion, fc.infiniteStream(fc.nat()), (book, question, keys) => {
      const first = encodeJcsText(decideCase({ evidence: book.entries, question }));
      assert.equal(encodeJcsText(decideCase({ evidence: book.entries, question })), first);
      const shuffled = [...book.entries, ...book.entries]
        .map((entry) => ({ entry, key: keys.next().value ?? 0 }))
        .toSorted((a, b) => a.key - b.key)
        .map(({ entry }) => entry);
      assert.equal(encodeJcsText(decideCase({ evidence: shuffled, question })), first);
    }),
    { numRuns: 100 },
  );
});

test('evidenceUsed is all that a decision needs: with nothing else it comes out the same', () => {
  fc.assert(
    fc.property(
      anyEvidence,
      anyQuestion,
      anySubject,
      fc.integer({ min: 0, max: 3 }),
      (book, question, tier, more) => {
        if (more === 1) book.revocation(subject.artifact);
        if (more === 2) book.observed({ provisional: true });
        if (more === 3) {
          book.observed({ provisional: true });
          book.observed();
          book.waiver('development.scan-complete', { waivedAt: after(1), expiresAt: after(2) });
        }
        const decision = decideCase({ evidence: book.entries, question, subject: tier });
        const used = book.entries.filter(({ envelopeDigest }) =>
          decision.evidenceUsed.includes(envelopeDigest),
        );
        const again = decideCase({ evidence: used, question, subject: tier });
        assert.equal(encodeJcsText(again), encodeJcsText(decision));
      },
    ),
    { numRuns: 200 },
  );
});

test('whatever a predicate holds, decide answers and does not throw', () => {
  const types = ['scan', 'observed', 'approval', 'waiver', 'revocation'].map(
    (name) => `https://weighbridge.dev/evidence/${name}/v1`,
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...types, 'https://cyclonedx.org/bom'),
      fc.dictionary(
        fc.constantFrom(
          'scope',
          'results',
          'producer',
          'files',
          'namespace',
          'root',
          'people',
          'components',
          'bomFormat',
        ),
        fc.jsonValue(),
      ),
      (type, predicate) => {
        const book = soundBook();
        book.add(type, [subject.artifact, model, config, digestNamed('loading root')], predicate);
        const decision = decideCase({ evidence: book.entries, question: { environment: 'production' } });
        assert.ok(['allow', 'warn', 'deny'].includes(decision.verdict));
        encodeJcsText(decision);
      },
    ),
    { numRuns: 300 },
  );
});

test('until validUntil nothing changes, and at validUntil it may', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 1, max: 100 }),
      (scanDaysAgo, expiryDays) => {
        const book = soundBook();
        for (const { digest } of subject.files) book.scan(digest, { scannedAt: after(-scanDaysAgo) });
        book.approval('person-1', { expiresAt: after(expiryDays) });
        book.approval('person-2');
        const given = {
          evidence: book.entries,
          question: { environment: 'production' as const },
          subject: { tier: 'high' as const },
        };
        const decision = decideCase(given);
        assert.notEqual(decision.validUntil, null);
        const turnMs = Date.parse(decision.validUntil ?? '');
        const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
        const just = decideCase({ ...given, at: iso(turnMs - 1000) });
        assert.deepEqual(just.reasons, decision.reasons);
        assert.equal(just.validUntil, decision.validUntil);
        const turned = decideCase({ ...given, at: decision.validUntil ?? '' });
        if (decision.verdict === 'allow') assert.equal(turned.verdict, 'deny');
      },
    ),
    { numRuns: 60 },
  );
});
