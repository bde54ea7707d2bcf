import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#lib/fault.ts';
import { matchesGlob, parseIntake } from './request.ts';
import type { IntakeBody } from './request.ts';

const nameOf = (body: IntakeBody): string => parseIntake(body).repository.id;
const refused = (body: IntakeBody): void => {
  assert.throws(
    () => parseIntake(body),
    (error: unknown) => error instanceof Fault && /^(?:request|digest|path)\.invalid$/.test(error.code),
    JSON.stringify(body),
  );
};

test('a name that nobody chose has the host in front', () => {
  for (const [source, name] of [
    ['https://files.example/models/a.safetensors?x=1', 'files.example/a'],
    ['https://evil.example/meta-llama/Llama-3.bin', 'evil.example/Llama-3'],
    ['git+https://evil.example/meta-llama/Llama-3.git@main', 'evil.example/meta-llama-Llama-3'],
    ['oci://registry.example:5000/team/model:v1', 'registry.example/team-model'],
    ['s3://vendor-bucket/deliveries/july/', 'vendor-bucket/july'],
    ['https://files.example/--..--%2e', 'files.example/2e'],
  ] as const)
    assert.equal(nameOf({ source }), name, source);
});

test('what people see has no query', () => {
  const { shown } = parseIntake({ source: 'https://files.example/a.bin?X-Amz-Signature=secret#part' });
  assert.equal(shown, 'https://files.example/a.bin');
});

test('references of git are taken apart from names that hold an at sign', () => {
  const { task } = parseIntake({ source: 'git+https://host.example/a@b/repo.git@feature/x' });
  assert.ok(task.kind === 'foreign' && task.request.kind === 'git');
  assert.equal(task.request.url.href, 'https://host.example/a@b/repo.git');
  assert.equal(task.request.revision, 'feature/x');
});

test('sources that are none, and options that say nothing about them', () => {
  for (const source of [
    '',
    'upload',
    'file:/etc/passwd',
    'https://host.example/folder/',
    'https://u:p@host.example/x',
    'https://host.example/a b',
    'https:\\\\host.example\\x',
    's3://UPPER/x',
    's3://bucket/../other',
    'oci://host.example/UPPER:v1',
    'oci://host.example/x@sha256:00',
    'oci://host.example/../x',
    'git+https://host.example/',
    'git+https://host.example/x.git@--upload-pack=id',
    'git+ssh://host.example/x.git',
    'hf://name',
    'hf://a/b@..',
    ['https://host.example/a', 's3://bucket/x'],
  ])
    refused({ source });
  const source = 'https://host.example/a.bin';
  for (const more of [
    { region: 'eu-west-1' },
    { endpoint: 'https://host.example' },
    { include: '*' },
    { sha256: 'x' },
    { as: 'name' },
    { reference: 'HEAD' },
  ])
    refused({ source, ...more });
  refused({ source: 'hf://a/b', as: 'c/d' });
  refused({ source: 's3://bucket/x', endpoint: 'https://host.example/path' });
});

test('globs, in linear time', () => {
  assert.ok(matchesGlob('*.safetensors', 'a/b.safetensors'));
  assert.ok(matchesGlob('model-0000?-of-*.bin', 'model-00001-of-2.bin'));
  assert.ok(!matchesGlob('*.bin', 'a.bin.txt'));
  assert.ok(!matchesGlob(`${'*a'.repeat(500)}b`, 'a'.repeat(5_000)));
});
