import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { faults } from '#lib/fault.ts';
import { stalePages } from '../tools/reference-pages.ts';
import { root, runProgram } from './support/server.ts';

test('configuration.md and command-line.md say what the source says', () => {
  assert.deepEqual(stalePages(), [], 'run `node tools/reference-pages.ts`');
});

test('openapi.json and the console client are what the routes say', async () => {
  const said = await runProgram(process.execPath, [join(root, 'tools', 'generate-client.ts'), '--check']);
  assert.equal(said.code, 0, `${said.stdout}${said.stderr}`);
});

const page = readFileSync(join(root, 'docs', 'reference', 'faults.md'), 'utf8');

test('faults.md has exactly one anchor per code, in the order of the table', () => {
  const anchors = [...page.matchAll(/^<a id="([a-z.-]+)"><\/a>$/gm)].map((match) => match[1]);
  assert.deepEqual(anchors, Object.keys(faults));
});

for (const [code, row] of Object.entries(faults)) {
  test(`faults.md about ${code}: status, exit and retry as in the table; meaning, who and how in words`, () => {
    const begin = page.indexOf(`<a id="${code}"></a>`);
    const next = page.indexOf('<a id=', begin + 1);
    const section = page.slice(begin, next === -1 ? undefined : next);
    assert.ok(section.includes(`### \`${code}\`\n`));
    const again = 'fatal' in row ? 'the process stops' : row.retryable ? 'may work later' : 'will fail again';
    assert.ok(
      section.includes(`HTTP ${row.status} · exit ${row.exit} · ${again}\n`),
      `HTTP ${row.status} · exit ${row.exit} · ${again}`,
    );
    const paragraphs = section.split('\n\n').map((text) => text.trim());
    const who = paragraphs.find((text) => /^\*Who and how:\* \S.{20,}/s.test(text));
    assert.ok(who, 'no “Who and how”');
    assert.ok(
      paragraphs.some(
        (text) =>
          text.length > 40 && !text.startsWith('*') && !text.startsWith('<') && !text.startsWith('HTTP'),
      ),
      'no meaning',
    );
  });
}
