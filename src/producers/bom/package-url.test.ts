import assert from 'node:assert/strict';
import { test } from 'node:test';
import { huggingFacePurl, isRepositoryId } from './package-url.ts';

test('package URLs of the type huggingface', () => {
  const rows: readonly (readonly [string, string])[] = [
    [
      huggingFacePurl('distilbert-base-uncased', { commit: '043235D6088ECD3DD5FB5CA3592B6913FD516027' }),
      'pkg:huggingface/distilbert-base-uncased@043235d6088ecd3dd5fb5ca3592b6913fd516027',
    ],
    [huggingFacePurl('Org/Model.v1_x'), 'pkg:huggingface/Org/Model.v1_x'],
    [huggingFacePurl('org/data', { type: 'dataset' }), 'pkg:huggingface/org/data?type=dataset'],
    [huggingFacePurl('a b/c?d@e#f%'), 'pkg:huggingface/a%20b/c%3Fd%40e%23f%25'],
  ];
  for (const [made, expected] of rows) assert.equal(made, expected);
});

test('what a hub could call a repository', () => {
  for (const id of ['bert', 'org/name', 'Org-1/name.v2_x']) assert.ok(isRepositoryId(id));
  for (const id of ['', '/etc', 'a/b/c', '../x', 'a/..', 'a/b..c', 'https://x', 'a b', 'a/b?c', '.git']) {
    assert.ok(!isRepositoryId(id), id);
  }
});
