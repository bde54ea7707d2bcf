import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memorySource } from '#artifact/formats/reading.ts';
import { readFileSync } from 'node:fs';
import { flatFaiss, sqliteBytes } from '../../../test/support/store-bytes.ts';
import { scanArtifact } from './scan-artifact.ts';
import { scanBlob } from './scan-blob.ts';

const trees = readFileSync(new URL('../../../test/vectors/embedding-stores/trees.ann', import.meta.url));

async function scan(files: Readonly<Record<string, Uint8Array>>) {
  const listed = await Promise.all(
    Object.entries(files).map(async ([path, bytes]) => {
      const source = memorySource(bytes);
      return { path, sizeBytes: bytes.length, formats: (await scanBlob(source)).formats, source };
    }),
  );
  return scanArtifact(listed);
}

test('an Annoy index is named by its path and never complete', async () => {
  const judged = await scan({ 'trees.ann': trees });
  assert.equal(judged.completeness, 'inconclusive');
  assert.match(judged.incompleteReasons.join(), /`trees\.ann` is named as an Annoy index/);
});

test('a store under its own name is no mismatch, under another one it is', async () => {
  const rulesOf = async (files: Readonly<Record<string, Uint8Array>>): Promise<readonly string[]> =>
    (await scan(files)).findings.map(({ ruleId }) => ruleId);
  const index = flatFaiss(2, 3);
  assert.deepEqual(await rulesOf({ 'index.faiss': index, 'index.bin': index }), []);
  assert.deepEqual(await rulesOf({ 'chroma.sqlite3': sqliteBytes('CREATE TABLE a (b)') }), []);
  assert.deepEqual(await rulesOf({ 'model.safetensors': index }), ['PATH-FORMAT-MISMATCH']);
  assert.deepEqual(await rulesOf({ 'index.faiss': sqliteBytes('CREATE TABLE a (b)') }), [
    'PATH-FORMAT-MISMATCH',
  ]);
});

test('a pickle beside a FAISS index is what LangChain runs', async () => {
  const pickle = Uint8Array.from([0x80, 4, 0x4e, 0x2e]);
  const judged = await scan({
    'a/index.faiss': flatFaiss(2, 3),
    'a/index.pkl': pickle,
    'b/index.pkl': pickle,
  });
  assert.deepEqual(
    judged.findings.map(({ ruleId, location }) => [ruleId, location.path]),
    [['STORE-LANGCHAIN-PICKLE', 'a/index.pkl']],
  );
  assert.equal(judged.verdict, 'suspicious');
});

test('a whole FAISS index is clean; whatever holds rows that are not read is not', async () => {
  const whole = await scanBlob(memorySource(flatFaiss(4, 3)));
  assert.deepEqual([whole.verdict, whole.completeness], ['clean', 'complete']);
  const database = await scanBlob(memorySource(sqliteBytes('CREATE TABLE a (b)')));
  assert.deepEqual([database.verdict, database.completeness], ['clean', 'inconclusive']);
});
