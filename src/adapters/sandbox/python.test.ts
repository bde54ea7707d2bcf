import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { Fault } from '#lib/fault.ts';
import { describePython } from './python.ts';
import { createRunner } from './runner.ts';

const folder = mkdtempSync(join(tmpdir(), 'weighbridge-python-'));
after(() => rmSync(folder, { recursive: true }));

/** A program that answers as an interpreter in these directories does. */
function interpreter(roots: readonly string[]): string {
  const path = join(folder, 'python');
  const answer = JSON.stringify({ executable: path, version: '3.13.0', roots });
  writeFileSync(path, `#!/bin/sh\ncat <<'END'\n${answer}\nEND\n`, { mode: 0o755 });
  return path;
}

const refused = (words: RegExp) => (error: unknown) =>
  error instanceof Fault && error.code === 'sandbox.unavailable' && words.test(error.message);

test('only the outermost directories, and nothing that is shown anyway', async () => {
  const inner = join(folder, 'lib', 'python');
  mkdirSync(inner, { recursive: true });
  const { roots } = await describePython(interpreter([folder, inner, '/usr', '/usr/lib', '/nonexistent']));
  assert.deepEqual(roots, [folder]);
});

test('an interpreter whose directory may hold anything is refused', async () => {
  for (const wide of ['/', '/home', '/etc', '/tmp', '/var'])
    await assert.rejects(describePython(interpreter([wide])), refused(/which may hold anything/), wide);
});

test('what does not start or answers otherwise is refused', async () => {
  await assert.rejects(describePython(join(folder, 'gone')), refused(/does not start/));
  await assert.rejects(describePython('/bin/false'), refused(/does not start/));
  writeFileSync(join(folder, 'python'), '#!/bin/sh\necho "[]"\n', { mode: 0o755 });
  await assert.rejects(describePython(join(folder, 'python')), refused(/does not answer/));
});

test('a data directory inside of the interpreter is never shown: nothing starts', async () => {
  for (const hidden of [folder, join(folder, 'data'), '/usr/local/weighbridge']) {
    const programs = { strace: '/bin/false', bubblewrap: '/bin/false', hidden: [hidden] };
    const run = createRunner('bubblewrap', programs).run({
      python: interpreter([folder]),
      files: [],
      loader: '/dev/null',
      plan: '{}',
      limits: { wallSeconds: 1, cpuSeconds: 1, memoryMB: 1, tasks: 1, scratchMB: 1, traceMB: 1 },
      signal: new AbortController().signal,
      observe: () => true,
    });
    await assert.rejects(run, refused(/would hold/), hidden);
  }
});
