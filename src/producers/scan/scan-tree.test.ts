import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { exitOfScan, renderScan, scanFile, scanTree } from './scan-tree.ts';
import { openScanner } from './scanner.ts';

const folder = mkdtempSync(join(tmpdir(), 'weighbridge-scan-'));
const scanner = openScanner({ workers: 2 });
after(async () => {
  await scanner.close();
  rmSync(folder, { recursive: true });
});

function plant(name: string, files: Readonly<Record<string, string>>): string {
  const root = join(folder, name);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

test('a directory is an artifact: findings stand at their files', async () => {
  const root = plant('hooks', { 'config.json': '{"auto_map":{"A":"m.C"}}', 'm.py': '', 'README.md': '# x' });
  const report = await scanTree(scanner, [root]);
  assert.deepEqual(
    report.files.map(({ path, format, verdict, findings }) => [path, format, verdict, findings[0]?.ruleId]),
    [
      [join(root, 'README.md'), 'text', 'clean', undefined],
      [join(root, 'config.json'), 'json', 'suspicious', 'CFG-AUTO-MAP'],
      [join(root, 'm.py'), 'empty', 'suspicious', 'CODE-REFERENCED'],
    ],
  );
  assert.equal(exitOfScan(report), 2);
  assert.deepEqual(await scanTree(scanner, [root]), report);
});

test('what people call by common names is clean', async () => {
  const root = plant('harmless', {
    'train.json': '{"a":1}\n{"a":2}\n',
    'README.md': '[link](x) (lp0\nS"x"\n',
    LICENSE: 'Permission is hereby granted',
    'merges.txt': '#version: 0.2\ni n\nt h\n',
    'vocab.txt': 'cat\ndog\nbird\n.\n',
    'phrases.txt': 'cat food\ndog food\n',
    'empty.txt': '',
    'modules.json': '[{"type":"sentence_transformers.models.Pooling"}]',
  });
  const report = await scanTree(scanner, [root]);
  assert.deepEqual([report.verdict, report.completeness], ['clean', 'complete'], renderScan(report));
  assert.deepEqual(
    report.files.flatMap(({ findings }) => findings),
    [],
  );
});

test('a pickle is found under any name and whatever else its bytes are', async () => {
  const root = plant('pickles', {
    'config.json': "cos\nsystem\n(S'id'\ntR.",
    'README.md': 'cos\nsystem\n.',
    'model.safetensors': "(S'id'\nios\nsystem\n.",
    'broken.txt': "cos\nsystem\n(S'id'\ntR\u0000",
    'words.txt': 'cos\nsystem\n.\n# words\n',
  });
  const report = await scanTree(scanner, [root]);
  for (const { path, verdict, format } of report.files) {
    assert.equal(verdict, 'malicious', path);
    assert.match(format, /pickle/);
  }
});

test('an import of a module of the artifact counts whatever follows STOP, and text is no pickle by its name', async () => {
  const root = plant('imports', { 'words.txt': 'cevil_payload\nX\n.\n# words\n', 'model.pkl': 'words' });
  const rules = (await scanTree(scanner, [root])).files.map(({ findings }) => findings[0]?.ruleId);
  assert.deepEqual(rules, ['PATH-FORMAT-MISMATCH', 'PKL-IMPORT-UNREVIEWED']);
});

test('clean, unknown and nothing', async () => {
  const clean = await scanFile(scanner, join(plant('clean', { 'a.txt': 'x' }), 'a.txt'));
  assert.deepEqual([clean.verdict, clean.completeness, exitOfScan(clean)], ['clean', 'complete', 0]);
  const unknown = await scanTree(scanner, [plant('unknown', { 'model.onnx': '\u0008\u0001\u0012\u0003' })]);
  assert.deepEqual(
    [unknown.verdict, unknown.completeness, exitOfScan(unknown)],
    ['clean', 'inconclusive', 1],
  );
  mkdirSync(join(folder, 'nothing'));
  assert.equal(exitOfScan(await scanTree(scanner, [join(folder, 'nothing')])), 1);
  await assert.rejects(scanTree(scanner, [join(folder, 'missing')]), { code: 'file.unreadable' });
});

test('a link, a FIFO or a bad name does not blind the scanner to the rest', async () => {
  const root = plant('mixed', { 'evil.bin': "cos\nsystem\n(S'id'\ntR.", 'fine.txt': 'x' });
  symlinkSync('/etc/passwd', join(root, 'link.txt'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  writeFileSync(join(root, 'line\nbreak'), 'x');
  const report = await scanTree(scanner, [root]);
  assert.equal(report.verdict, 'malicious');
  assert.equal(report.completeness, 'inconclusive');
  const states = Object.fromEntries(
    report.files.map((file) => [file.path.slice(root.length + 1), file.completeness]),
  );
  assert.deepEqual(states, {
    'evil.bin': 'complete',
    'fine.txt': 'complete',
    'line\nbreak': 'inconclusive',
    'link.txt': 'inconclusive',
    pipe: 'inconclusive',
  });
});

test('the text of a report is safe to show in a terminal', async () => {
  const root = plant('shown', {
    'a\u202Egpj.json': '{"a\u001b[2J":1,"a\u001b[2J":2}',
    'config.json': '{"auto_map":"\\u001b]0;x.y"}',
  });
  const text = renderScan(await scanTree(scanner, [root]));
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  assert.match(text, /high CFG-AUTO-MAP: would import `\\u\{1b\}\]0;x\.y`/);
  assert.match(text, /\n2 files: suspicious, complete\n$/);
});
