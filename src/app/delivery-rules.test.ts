import assert from 'node:assert/strict';
import test from 'node:test';
import { Fault } from '#lib/fault.ts';
import { deliveryOf, matchesGlob, needsApproval, parseDeliveryRules } from './delivery-rules.ts';

const globs: readonly (readonly [glob: string, text: string, expected: boolean])[] = [
  ['*', '', true],
  ['*', 'acme/model', true],
  ['acme/*', 'acme/model', true],
  ['acme/*', 'acme/', true],
  ['acme/*', 'acme', false],
  ['acme/*', 'notacme/model', false],
  ['*/model', 'acme/model', true],
  ['*/model', 'acme/model-2', false],
  ['a?c/*', 'abc/x', true],
  ['a?c/*', 'ac/x', false],
  ['*-gguf*q4*', 'acme/x-gguf-q8-q4', true],
  ['*ab', 'aab', true],
  ['a*b*c', 'abcbd', false],
  ['acme.x/*', 'acmeyx/m', false],
  ['', '', true],
  ['', 'a', false],
];

test('globs', () => {
  for (const [glob, text, expected] of globs)
    assert.equal(matchesGlob(glob, text), expected, `${glob} ${text}`);
});

test('a glob of many stars against a long text ends', () => {
  assert.equal(matchesGlob(`${'*a'.repeat(100)}b`, 'a'.repeat(10_000)), false);
});

const rules = parseDeliveryRules(`
rules:
  - repositories: ['open/*']
    formats: [safetensors]
    mode: tail
  - repositories: ['acme/secret-*', 'vendor/*']
    mode: approve
  - repositories: ['acme/*']
    type: datasets
    mode: hold
  - repositories: ['acme/*']
    formats: [safetensors, gguf]
    mode: tail
  - repositories: ['*']
    namespace: team-*
    mode: approve
  - repositories: ['open/*']
    formats: [gguf, pickle]
    mode: hold
`);

const cases: readonly {
  readonly id: string;
  readonly format: string;
  readonly expected: string;
  readonly type?: 'models' | 'datasets';
  readonly namespace?: string;
}[] = [
  { id: 'nobody/x', format: 'safetensors', expected: 'tail' },
  { id: 'nobody/x', format: 'npy', expected: 'tail' },
  { id: 'nobody/x', format: 'pickle', expected: 'hold' },
  { id: 'nobody/x', format: 'zip', expected: 'hold' },
  { id: 'nobody/x', format: 'unknown', expected: 'hold' },
  { id: 'nobody/x', format: 'safetensors2', expected: 'hold' },
  { id: 'nobody/x', format: '', expected: 'hold' },
  { id: 'open/x', format: 'safetensors', expected: 'tail everyone' },
  { id: 'open/x', format: 'gguf', expected: 'hold everyone' },
  { id: 'open/x', format: 'pickle', expected: 'hold everyone' },
  { id: 'open/x', format: 'zip', expected: 'hold' },
  { id: 'acme/x', format: 'gguf', expected: 'tail everyone' },
  { id: 'Acme/X', format: 'gguf', expected: 'tail everyone' },
  { id: 'acme/x', format: 'gguf', type: 'datasets', expected: 'hold everyone' },
  { id: 'acme/secret-1', format: 'gguf', expected: 'approve everyone' },
  { id: 'ACME/Secret-1', format: 'gguf', expected: 'approve everyone' },
  { id: 'vendor/x', format: 'unknown', expected: 'approve everyone' },
  { id: 'nobody/x', format: 'safetensors', namespace: 'team-a', expected: 'approve everyone' },
  // A rule about formats that stands before an `approve` does not open what needs approval.
  { id: 'open/x', format: 'safetensors', namespace: 'team-a', expected: 'approve everyone' },
  // A rule about everything that stands before it does.
  { id: 'acme/x', format: 'gguf', type: 'datasets', namespace: 'team-a', expected: 'hold everyone' },
];

test('the first rule that matches says how a file is delivered; else the defaults of its format', () => {
  for (const { id, format, expected, type, namespace } of cases) {
    const delivered = {
      repository: { type: type ?? 'models', id },
      namespace: namespace ?? 'default',
    } as const;
    const { mode, everyClient } = deliveryOf(rules, delivered, format);
    assert.equal(`${mode}${everyClient ? ' everyone' : ''}`, expected, `${id} ${format} ${namespace ?? ''}`);
    assert.equal(needsApproval(rules, delivered), mode === 'approve', id);
  }
});

const broken: readonly (readonly [text: string, words: RegExp])[] = [
  ['', /the file must be a mapping/],
  ['rules', /the file must be a mapping/],
  ['{}', /needs a list in `rules`/],
  ['rule: []', /unknown member `rule`; did you mean `rules`/],
  ['rules: [', /not YAML/],
  ['rules: []\nrules: []', /not YAML/],
  ['rules: !!js/function x', /not YAML/],
  ['a: &a []\nrules: *a', /unknown member|not YAML/],
  ['rules: [1]', /rule 1 must be a mapping/],
  ['rules: [{mode: hold}]', /rule 1: `repositories`/],
  ['rules: [{repositories: [], mode: hold}]', /at least one/],
  ['rules: [{repositories: "acme/*", mode: hold}]', /must be a list/],
  ["rules: [{repositories: ['a b'], mode: hold}]", /`a b`/],
  ["rules: [{repositories: ['*']}]", /`mode` must be one of tail, hold, approve/],
  ["rules: [{repositories: ['*'], mode: aprove}]", /did you mean `approve`/],
  ["rules: [{repositories: ['*'], mode: hold, type: model}]", /did you mean `models`/],
  ["rules: [{repositories: ['*'], mode: hold, format: [gguf]}]", /did you mean `formats`/],
  ["rules: [{repositories: ['*'], mode: hold, namespace: 'a/b'}]", /`namespace`/],
  ["rules: [{repositories: ['*'], mode: hold, acceptRisk: true}]", /unknown member `acceptRisk`/],
  ["rules: [{repositories: ['*'], mode: tail}]", /`tail` needs `formats`/],
  ["rules: [{repositories: ['*'], mode: approve, formats: [pickle]}]", /whole artifacts/],
  [`rules: [${"{repositories: ['*'], mode: hold},".repeat(1001)}]`, /more than 1000 rules/],
  [`rules: []\n#${'x'.repeat(1 << 20)}`, /bytes/],
];

test('what is not exactly a rule is refused in words', () => {
  for (const [text, words] of broken) {
    assert.throws(
      () => parseDeliveryRules(text),
      (error) => error instanceof Fault && error.code === 'config.invalid' && words.test(error.message),
      text.slice(0, 100),
    );
  }
});

test('nothing whose beginning can run may be set to stream', () => {
  for (const format of [
    'pickle',
    'zip',
    'zip-pytorch',
    'tar',
    'python',
    'template',
    'unknown',
    'safetensor',
  ]) {
    assert.throws(
      () => parseDeliveryRules(`rules: [{repositories: ['*'], mode: tail, formats: [gguf, ${format}]}]`),
      (error) => error instanceof Fault && error.message.includes(`\`${format}\` may not stream`),
    );
  }
});
