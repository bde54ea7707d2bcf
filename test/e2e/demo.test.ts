import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeTensor, writeCheckpointWithCommand, writeSafetensors } from '#app/demo/files.ts';
import { find, missing } from '../support/foreign.ts';
import { pythonIn } from '../support/python-hub.ts';
import { removeFolder, runProgram, runWeighbridge } from '../support/server.ts';

test('the tour shows every step with its evidence, leaves nothing behind and ends with 0', async () => {
  const { code, stdout, stderr } = await runWeighbridge(['serve', '--demo']);
  assert.equal(code, 0, stdout + stderr);
  // In a fresh checkout the launcher says that it builds the console; the server itself has nothing to complain about.
  assert.equal(stderr.replace(/^weighbridge: building .*\n/, ''), '');
  assert.doesNotMatch(stdout, /\u001b/, 'plain where it is no terminal');
  const [opening = '', clean = '', command = '', upstream = '', disk = ''] = stdout.split(/^\d {2}/m);
  const data = /data\s+(\S+)/.exec(opening)?.[1] ?? '';
  assert.ok(data.startsWith(tmpdir()) && !existsSync(join(data, '..')), `${data} is left`);

  assert.match(clean, /decision\s+allow, sha256:[0-9a-f]{16}…, log entry \d+/);
  assert.match(clean, /log entry\s+\d+ {2}sha256:\S+ {2}observed at its source/);
  assert.match(clean, /`model\.safetensors`: clean/);
  assert.equal(clean.match(/the bytes that were published/g)?.length, 3);

  assert.match(command, /answer\s+403 {2}GatedRepo/);
  assert.match(command.replaceAll(/\s+/g, ' '), /\[development\.not-malicious\].*posix\.system/);
  assert.match(command, /decision\s+deny/);
  assert.match(command, /was not made: the command ran nowhere/);

  assert.match(upstream, /answer\s+403 {2}GatedRepo/);
  assert.match(
    upstream,
    /log entry \d+ {2}incident `wrong-digest` of hf:\/\/models\/demo\/altered-model@[0-9a-f]{40}/,
  );
  assert.match(upstream, /nothing was kept under either name/);

  assert.match(disk, /altered\s+on\s+disk/);
  assert.match(disk, /in the log, entry \d+: model\.safetensors is (sha256:[0-9a-f]{64})/);
  assert.doesNotMatch(stdout, /NOT AS EXPECTED/);
  assert.match(stdout, /^4 of 4 steps went as expected, in [\d.]+ s$/m);
});

test('with a data directory of one’s own it can be taken again, and what was stored stays', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'weighbridge-own-'));
  t.after(() => removeFolder(data));
  for (let round = 0; round < 2; round++) {
    const { code, stdout } = await runWeighbridge(['serve', '--demo=once', '--data', data]);
    assert.equal(code, 0, stdout);
  }
  assert.ok(existsSync(join(data, 'blobs')));
});

test('what the tour does not know is a usage error', async () => {
  for (const words of [['--demo=twice'], ['--demo', '--upstream=http://127.0.0.1:1']]) {
    const { code, stderr } = await runWeighbridge(['serve', ...words]);
    assert.equal(code, 1);
    assert.match(stderr, /command\.usage/);
  }
});

const python3 = find('python3');
test(
  'the bad pickle of the tour is a real one: unpickled by CPython, it runs its command',
  { skip: missing('python3', python3 !== undefined) },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'weighbridge-tour-pickle-'));
    t.after(() => removeFolder(folder));
    const mark = join(folder, 'mark');
    const path = join(folder, 'pytorch_model.bin');
    await writeFile(path, writeCheckpointWithCommand([makeTensor('w', [2, 3], 1)], `touch '${mark}'`));
    const script =
      'import pickle, sys, zipfile\n' +
      'with zipfile.ZipFile(sys.argv[1]) as archive:\n' +
      '    assert archive.testzip() is None\n' +
      '    unpickler = pickle.Unpickler(archive.open("archive/data.pkl"))\n' +
      '    unpickler.persistent_load = lambda reference: reference\n' +
      '    try:\n' +
      '        unpickler.load()\n' +
      '    except ModuleNotFoundError as error:\n' +
      '        assert error.name == "torch", error\n';
    const { status, stderr } = spawnSync(python3 ?? '', ['-c', script, path], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.ok(existsSync(mark));
  },
);

/** `npm start -- --demo` on a terminal of its own, ended by Ctrl-C once it says so. */
const onTerminal = `
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp('npm', ['npm', 'start', '--silent', '--', '--demo'])
seen = b''
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    before, seen = seen, seen + part
    if b'Ctrl-C ends it' in seen and b'Ctrl-C ends it' not in before:
        os.write(terminal, b'\\x03')
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`;

test(
  'on a terminal the server stays up, says where, and Ctrl-C ends it and removes everything',
  { skip: missing('python3', python3 !== undefined) },
  async () => {
    const { code, stdout } = await runProgram(python3 ?? '', ['-c', onTerminal]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /console\s+http:\/\/127\.0\.0\.1:\d+\/console\//);
    assert.match(stdout, /administrator token {2}hf_\w{20,}/);
    assert.ok(stdout.includes('\u001b[32mas expected'), 'in colour');
    const data = /data\s+(\/\S+)/.exec(stdout)?.[1] ?? '';
    assert.ok(data.startsWith(tmpdir()) && !existsSync(join(data, '..')), `${data} is left`);
  },
);

const python = pythonIn('venv');
const loads =
  python !== undefined && spawnSync(python, ['-c', 'import torch, safetensors.torch']).status === 0;
test(
  'the files of the tour are what torch and safetensors read: the same tensors in both',
  { skip: missing('torch and safetensors in .cache/venv', loads) },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'weighbridge-tour-files-'));
    t.after(() => removeFolder(folder));
    const tensors = [makeTensor('a', [4, 8], 1), makeTensor('b', [3, 5], 2)];
    await writeFile(join(folder, 'm.safetensors'), writeSafetensors(tensors));
    await writeFile(join(folder, 'm.bin'), writeCheckpointWithCommand(tensors, 'true'));
    const script =
      'import torch, sys\n' +
      'from safetensors.torch import load_file\n' +
      'left = load_file(sys.argv[1] + "/m.safetensors")\n' +
      'right = torch.load(sys.argv[1] + "/m.bin", weights_only=False)\n' +
      'assert sorted(left) == ["a", "b"] and left["a"].shape == (4, 8)\n' +
      'assert all(torch.equal(left[name], right[name]) for name in left)\n';
    const { status, stderr } = spawnSync(python ?? '', ['-c', script, folder], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  },
);
