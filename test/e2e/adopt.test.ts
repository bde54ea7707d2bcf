import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  appendFile,
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { adoptionReportSchema, type AdoptionReport } from '#app/routes/adoption-report.ts';
import { Check } from 'typebox/value';
import { missing } from '../support/foreign.ts';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { gguf, safetensors, tensor } from '../support/model-bytes.ts';
import { called, named, pickle, text } from '../support/pickle-assembler.ts';
import { openPythonHub, pythonIn } from '../support/python-hub.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import { cleanEnvironment, removeFolder, root, runProgram, runWeighbridge } from '../support/server.ts';

const python = pythonIn('venv');
const skip = missing('huggingface_hub in .cache/venv', python !== undefined);

const weights = (seed: number): Uint8Array =>
  safetensors({ w: tensor(0, 16, 'F32', [2, 2]), [`layer.${seed}`]: tensor(16, 32, 'F32', [2, 2]) }, 32);
const evil = pickle(called(named('posix', 'system'), text('touch /tmp/owned')));
const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-adopt-'));
  t.after(() => removeFolder(folder));
  return folder;
}

/** Writes files below a folder; the time between that and the run is what the state file asks for. */
async function write(folder: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
}

/** Everything that anybody could see of a tree: names, links, sizes and all three times. */
async function traces(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder, { recursive: true, encoding: 'buffer' })).map((name) =>
    name.toString('latin1'),
  );
  const rows = await Promise.all(
    ['', ...names].map(async (name) => {
      const path = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')]);
      const found = await lstat(path, { bigint: true });
      const target = found.isSymbolicLink() ? await readlink(path) : '';
      return [name, target, found.size, found.mode, found.atimeNs, found.mtimeNs, found.ctimeNs].join(' ');
    }),
  );
  return rows.sort();
}

interface Ran {
  readonly code: number | null;
  readonly report: AdoptionReport;
  readonly stderr: string;
}

async function adopt(directory: string, ...words: readonly string[]): Promise<Ran> {
  const { code, stdout, stderr } = await runWeighbridge(['adopt', ...words, '--output', 'json'], {
    directory,
  });
  const report: unknown = JSON.parse(stdout === '' ? 'null' : stdout);
  assert.ok(Check(adoptionReportSchema, report), `${stdout.slice(0, 2_000)}${stderr}`);
  return { code, report, stderr };
}

const risksOf = (report: AdoptionReport, kind: string, name?: string) =>
  report.risks.filter(
    (risk) =>
      risk.kind === kind &&
      (name === undefined || (risk.model !== null && report.models[risk.model]?.name === name)),
  );
const modelOf = (report: AdoptionReport, name: string) => {
  const found = report.models.find((model) => model.name === name);
  assert.ok(found, `no model ${name} among ${report.models.map((model) => model.name).join(', ')}`);
  return found;
};

test(
  'a cache written by the real hub client: origin proved by upstream, an altered blob, a planted file, a pickle that runs a command, a partial download, a moved branch; nothing is touched',
  { skip },
  async (t) => {
    assert.ok(python);
    const folder = await folderFor(t);
    await using hub = await openLoopbackHub();
    await hub.commit('acme/encoder', {
      'config.json': '{"model_type":"bert"}',
      'model.safetensors': weights(1),
      'onnx/notes.txt': 'words\n',
    });
    await hub.commit('acme/tampered', {
      'config.json': '{"model_type":"t5"}',
      'model.safetensors': weights(2),
    });
    await hub.commit('stranger/evil', {
      'config.json': '{"model_type":"gpt2"}',
      'pytorch_model.bin': evil,
      'model.safetensors': weights(3),
    });
    await hub.commit('datasets/acme/letters', { 'data.jsonl': '{"a":1}\n' });
    await using client = await openPythonHub(python, hub.url.origin, { HF_HUB_DISABLE_XET: '1' });
    for (const repo_id of ['acme/encoder', 'acme/tampered', 'stranger/evil']) {
      const { error, message } = await client.call('snapshot', { repo_id });
      assert.equal(error, undefined, message ?? '');
    }
    await client.call('snapshot', { repo_id: 'acme/letters', repo_type: 'dataset' });
    const local = join(folder, 'local');
    await client.call('snapshot', { repo_id: 'acme/encoder', local_dir: local });
    await hub.commit('acme/encoder', { 'config.json': '{"model_type":"bert","new":1}' });

    const cache = join(client.home, 'hub');
    const blob = join(cache, 'models--acme--tampered', 'blobs', sha256(weights(2)));
    await writeFile(blob, lastByte(await readFile(blob), 7));
    const [snapshot] = await readdir(join(cache, 'models--stranger--evil', 'snapshots'));
    const planted = join(cache, 'models--stranger--evil', 'snapshots', snapshot ?? '', 'modeling_evil.py');
    await writeFile(planted, 'import os\n');
    await writeFile(join(cache, 'models--acme--encoder', 'blobs', 'abc.incomplete'), 'half');
    await writeFile(join(cache, 'models--acme--encoder', 'blobs', 'f'.repeat(64)), 'nobody links here');

    const copies = join(folder, 'copies');
    await write(copies, {
      'whole/config.json': '{"model_type":"bert"}',
      'whole/model.safetensors': weights(1),
      'changed/config.json': '{"model_type":"bert","auto_map":{}}',
      'changed/model.safetensors': weights(1),
      'own/model.safetensors': weights(77),
    });
    const before = [await traces(client.home), await traces(local)];
    const ran = await adopt(folder, client.home, local, copies, '--upstream', hub.url.href);
    assert.deepEqual([await traces(client.home), await traces(local)], before);
    const { report } = ran;
    assert.equal(ran.code, 2);
    assert.equal(report.complete, true, report.incompleteReasons.join());
    assert.equal(ran.stderr, '', 'nothing but the answer where no terminal is');

    const encoder = report.models.find(
      ({ layout, name }) => layout === 'hub-cache' && name === 'acme/encoder',
    );
    assert.equal(encoder?.origin.state, 'proved');
    assert.equal(encoder.verdict, 'clean');
    assert.deepEqual(encoder.source?.references, ['main']);
    const { stdout } = await runWeighbridge(['digest', local], { directory: folder });
    assert.equal(encoder.artifact, stdout.trim(), 'the artifact is named as everywhere');
    assert.equal(risksOf(report, 'moved-reference', 'acme/encoder').length, 1);

    assert.equal(modelOf(report, 'acme/tampered').origin.state, 'contradicted');
    const altered = risksOf(report, 'altered');
    assert.deepEqual(
      altered.map(({ severity, paths }) => [severity, paths]),
      [['critical', ['model.safetensors']]],
    );
    assert.equal(modelOf(report, 'stranger/evil').verdict, 'malicious');
    assert.match(risksOf(report, 'malicious', 'stranger/evil')[0]?.message ?? '', /posix\.system/);
    assert.deepEqual(risksOf(report, 'pickle-beside-safetensors')[0]?.paths, ['pytorch_model.bin']);
    assert.deepEqual(
      risksOf(report, 'unlisted').map(({ severity, paths }) => [severity, paths]),
      [['high', ['modeling_evil.py']]],
    );
    assert.equal(risksOf(report, 'partial').length, 1);
    assert.equal(risksOf(report, 'unreferenced').length, 1);
    assert.equal(modelOf(report, 'acme/letters').source?.type, 'datasets');

    const download = report.models.find(({ layout }) => layout === 'hub-folder');
    assert.equal(download?.origin.state, 'proved', 'the cache told which repository has these LFS ids');
    assert.equal(modelOf(report, 'whole').origin.state, 'proved');
    assert.match(modelOf(report, 'whole').origin.detail, /hf:\/\/models\/acme\/encoder@/);
    assert.equal(modelOf(report, 'changed').origin.state, 'unknown');
    assert.match(modelOf(report, 'changed').origin.detail, /its weights are those of .*other files are not/);
    assert.equal(modelOf(report, 'own').origin.state, 'unknown');
    assert.doesNotMatch(modelOf(report, 'own').origin.detail, /weights/);
    assert.equal(download.fileCount, 3, 'what the client keeps for itself is no part of the model');

    // Trees of commits are in the state: only `main` is asked for again.
    hub.forgetRequests();
    await adopt(folder, client.home, local, '--upstream', hub.url.href);
    assert.deepEqual(
      hub.seen.filter(({ url }) => url.includes('/tree/')),
      [],
    );
    hub.forgetRequests();
    const offline = await adopt(folder, client.home, '--offline', '--state', 'other.state');
    assert.deepEqual(hub.seen, []);
    assert.equal(modelOf(offline.report, 'acme/encoder').origin.state, 'claimed');
    const alone = await adopt(folder, local, '--offline', '--state', 'third.state');
    assert.equal(alone.report.models[0]?.origin.state, 'claimed');
    assert.equal(risksOf(offline.report, 'altered').length, 1, 'the name of the blob tells without upstream');
  },
);

test('upstream that is away proves nothing and stops nothing; a private repository stays claimed', async (t) => {
  const folder = await folderFor(t);
  const commit = 'a'.repeat(40);
  const bytes = weights(1);
  const repository = join(folder, 'cache', 'models--acme--private');
  await write(repository, { [`blobs/${sha256(bytes)}`]: bytes, 'refs/main': commit });
  await mkdir(join(repository, 'snapshots', commit), { recursive: true });
  await symlink(`../../blobs/${sha256(bytes)}`, join(repository, 'snapshots', commit, 'model.safetensors'));
  await using hub = await openLoopbackHub();
  const unknown = await adopt(folder, 'cache', '--upstream', hub.url.href);
  assert.equal(unknown.code, 0);
  assert.match(
    modelOf(unknown.report, 'acme/private').origin.detail,
    /no such repository or commit, or it is private/,
  );
  await hub.close();
  const away = await adopt(folder, 'cache', '--upstream', hub.url.href, '--state', 'second.state');
  assert.equal(modelOf(away.report, 'acme/private').origin.state, 'claimed');
  assert.equal(away.code, 0);
});

test('links that lead out of a cache are findings and are never followed', async (t) => {
  const folder = await folderFor(t);
  const secret = join(folder, 'secret.safetensors');
  const bytes = weights(9);
  await writeFile(secret, bytes);
  const commit = 'b'.repeat(40);
  const repository = join(folder, 'cache', 'models--acme--linked');
  const good = weights(4);
  await write(repository, {
    [`blobs/${sha256(good)}`]: good,
    [`snapshots/${commit}/config.json`]: '{"model_type":"bert"}',
    'refs/main': commit,
  });
  const snapshot = join(repository, 'snapshots', commit);
  const links: Readonly<Record<string, string>> = {
    'good.safetensors': `../../blobs/${sha256(good)}`,
    'absolute.safetensors': secret,
    'climbing.safetensors': '../../../../secret.safetensors',
    'through.safetensors': `../../blobs/../../../secret.safetensors`,
    'sideways.safetensors': `../../../models--other--model/blobs/${sha256(bytes)}`,
    'folder-link': '../../blobs',
    'device.bin': '/dev/zero',
  };
  for (const [name, target] of Object.entries(links)) await symlink(target, join(snapshot, name));
  await symlink(secret, join(repository, 'blobs', sha256(bytes)));
  await symlink(`../../blobs/${sha256(bytes)}`, join(snapshot, 'by-blob.safetensors'));
  await symlink(folder, join(repository, 'snapshots', 'c'.repeat(40)));
  const old = new Date('2020-01-01T00:00:00Z');
  await utimes(secret, old, old);
  // Whoever opened this to read would wait for ever.
  assert.equal((await runProgram('mkfifo', [join(snapshot, 'pipe.bin')])).code, 0);
  const { code, report } = await adopt(folder, 'cache', '--offline');
  assert.equal(code, 2);
  const model = modelOf(report, 'acme/linked');
  assert.deepEqual(
    model.files.map(({ path }) => path),
    ['config.json', 'good.safetensors'],
  );
  const outside = risksOf(report, 'outside-link').flatMap(({ paths }) =>
    paths.map((path) => path.split('/').at(-1)),
  );
  for (const name of Object.keys(links))
    assert.equal(outside.includes(name), name !== 'good.safetensors', name);
  assert.ok(outside.includes('pipe.bin'));
  assert.ok(outside.includes(sha256(bytes)), 'a link in the place of a blob');
  assert.ok(!JSON.stringify(report.models).includes(sha256(bytes)), 'what lies outside was not read');
  assert.equal((await lstat(secret)).atimeMs, old.getTime());
});

test('an Ollama store, folders, a folder of single files, a hub code folder: each model by what lies there', async (t) => {
  const folder = await folderFor(t);
  const model = gguf();
  const layer = (kind: string, bytes: Uint8Array | string) => ({
    mediaType: `application/vnd.ollama.image.${kind}`,
    digest: `sha256:${sha256(bytes)}`,
    size: bytes.length,
  });
  const config = '{"model_format":"gguf"}';
  const template = '{{ .Prompt }}';
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: {
      mediaType: 'application/vnd.docker.container.image.v1+json',
      digest: `sha256:${sha256(config)}`,
    },
    layers: [layer('model', model), layer('template', template), layer('license', 'gone')],
  });
  await write(join(folder, 'all'), {
    'ollama/manifests/registry.ollama.ai/library/tiny/latest': manifest,
    'ollama/manifests/registry.ollama.ai/library/tiny/broken': '{',
    [`ollama/blobs/sha256-${sha256(model)}`]: model,
    [`ollama/blobs/sha256-${sha256(config)}`]: config,
    [`ollama/blobs/sha256-${sha256(template)}`]: `${template}!`,
    [`ollama/blobs/sha256-${'0'.repeat(64)}-partial-0`]: 'half',
    'team/org/pipeline/model_index.json': '{"_class_name":"StableDiffusionPipeline"}',
    'team/org/pipeline/unet/model.safetensors': weights(1),
    'torch/hub/checkpoints/a.pth': evil,
    'torch/hub/checkpoints/b.safetensors': weights(2),
    'torch/hub/vision_main/hubconf.py': 'x = 1\n',
    'work/config.json': '{"port":8080}',
    'work/notes.txt': 'no model here',
    'work/nameless': Buffer.concat([gguf(), Buffer.alloc(100_000)]),
    'copies/one/model.safetensors': Buffer.concat([weights(5), Buffer.alloc(2 ** 20)]),
    'copies/two/model.safetensors': Buffer.concat([weights(5), Buffer.alloc(2 ** 20)]),
  });
  await chmod(join(folder, 'all', 'team', 'org', 'pipeline', 'unet', 'model.safetensors'), 0o666);
  const { report, code } = await adopt(folder, 'all', '--offline');
  assert.equal(code, 2);
  assert.deepEqual(
    report.models.map(({ name, layout, fileCount }) => [name, layout, fileCount]),
    [
      ['copies/one', 'folder', 1],
      ['copies/two', 'folder', 1],
      ['library/tiny:latest', 'ollama', 3],
      ['org/pipeline', 'folder', 2],
      ['hub/checkpoints', 'folder', 2],
      ['hub/vision_main', 'folder', 1],
      ['work', 'folder', 3],
    ],
  );
  assert.deepEqual(
    modelOf(report, 'library/tiny:latest').files.map(({ path }) => path),
    ['config.json', 'model-1.gguf', 'template-2.txt'],
  );
  assert.deepEqual(
    risksOf(report, 'altered').flatMap(({ paths }) => paths),
    ['template-2.txt'],
  );
  assert.equal(risksOf(report, 'partial').length, 2, 'a part of a blob and a layer that is gone');
  assert.ok(risksOf(report, 'unread').some(({ message }) => message === 'this is not a manifest'));
  assert.equal(report.complete, false);
  assert.equal(risksOf(report, 'malicious', 'hub/checkpoints').length, 1);
  assert.equal(risksOf(report, 'world-writable', 'org/pipeline').length, 1);
  assert.equal(report.totals.duplicateBytes, weights(5).length + 2 ** 20);
  assert.equal(risksOf(report, 'duplicate')[0]?.count, 2);
});

test('a run that is killed goes on where it was: only what was not done is read again', async (t) => {
  const folder = await folderFor(t);
  const files = 800;
  for (let index = 0; index < files; index++) {
    const data = Buffer.from(weights(index));
    await write(join(folder, 'models'), { [`m${index % 7}/part-${index}.safetensors`]: data });
  }
  // Younger files are read again: the clock of a file system ticks coarsely.
  await pause(2_100);
  const child = spawn(process.execPath, [join(root, 'bin', 'weighbridge'), 'adopt', 'models', '--offline'], {
    cwd: folder,
    env: { ...cleanEnvironment(), WEIGHBRIDGE_PARENT_PID: String(process.pid) },
    stdio: 'ignore',
    detached: true,
  });
  const state = join(folder, 'weighbridge-adopt.state');
  const done = async (): Promise<number> =>
    existsSync(state)
      ? (await readFile(state, 'utf8')).split('\n').filter((line) => line.startsWith('{"file"')).length
      : 0;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  while ((await done()) < 100 && child.exitCode === null) await pause(5);
  assert.equal(child.exitCode, null, 'it was still running');
  assert.ok(child.pid);
  process.kill(-child.pid, 'SIGKILL');
  await exited;
  const kept = await done();
  assert.ok(kept >= 100 && kept < files, `${kept} of ${files} were done`);
  // A power failure leaves half a line at worst.
  await appendFile(state, '{"file":"1:2:3:4:5","sha256":"00');
  const resumed = await adopt(folder, 'models', '--offline');
  assert.deepEqual([resumed.report.work.filesKnown, resumed.report.work.filesHashed], [kept, files - kept]);
  assert.equal(resumed.report.totals.files, files);
  const again = await adopt(folder, 'models', '--offline');
  assert.equal(again.report.work.filesHashed, 0);
  assert.equal(again.report.work.blobsScanned, 0);
  assert.deepEqual({ ...again.report, at: '', work: '' }, { ...resumed.report, at: '', work: '' });
  // The same size and the same time of change by the file's own word: the kernel's time says otherwise.
  const touched = join(folder, 'models', 'm0', 'part-0.safetensors');
  const { atime, mtime } = await lstat(touched);
  await writeFile(touched, lastByte(weights(0), 9));
  await utimes(touched, atime, mtime);
  assert.equal((await adopt(folder, 'models', '--offline')).report.work.filesHashed, 1);
});

test('an interrupt ends the run cleanly, keeps what is done and says what to type', async (t) => {
  const folder = await folderFor(t);
  await mkdir(join(folder, 'it is', 'big'), { recursive: true });
  // A sparse file of 64 GB takes longer than anybody waits.
  await writeFile(join(folder, 'it is', 'big', 'model.bin'), randomBytes(64));
  await truncate(join(folder, 'it is', 'big', 'model.bin'), 64e9);
  const child = spawn(process.execPath, [join(root, 'bin', 'weighbridge'), 'adopt', 'it is', '--offline'], {
    cwd: folder,
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  while (!existsSync(join(folder, 'weighbridge-adopt.state')) && child.exitCode === null) await pause(20);
  await pause(300);
  child.kill('SIGINT');
  assert.equal(await exited, 1);
  assert.match(stderr, /stopped; what is done is kept/);
  assert.match(stderr, /hint: go on with `weighbridge adopt 'it is' --state .* --offline`$/m);
});

test('ten thousand small files are adopted in bounded memory', async (t) => {
  const folder = await folderFor(t);
  const one = Buffer.from(weights(1));
  await write(join(folder, 'models', 'm'), { 'config.json': '{"model_type":"bert"}' });
  for (let shelf = 0; shelf < 100; shelf++) {
    await mkdir(join(folder, 'models', 'm', `s${shelf}`));
    await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        writeFile(
          join(folder, 'models', 'm', `s${shelf}`, `${index}.safetensors`),
          one.with(one.length - 1, index),
        ),
      ),
    );
  }
  const words = [
    'adopt',
    join(folder, 'models'),
    '--offline',
    '--output',
    'json',
    '--state',
    join(folder, 'state'),
  ];
  const script = `
    import { main } from '#app/main.ts';
    process.exitCode = await main(${JSON.stringify(words)}, { stdin: process.stdin, stdout: process.stdout,
      stderr: process.stderr, environment: {}, directory: process.cwd() });
    process.stderr.write(String(process.resourceUsage().maxRSS));`;
  const { code, stdout, stderr } = await runProgram(process.execPath, [
    '--input-type=module',
    '--eval',
    script,
  ]);
  assert.equal(code, 0, stderr.slice(0, 2_000));
  const report: unknown = JSON.parse(stdout);
  assert.ok(Check(adoptionReportSchema, report));
  assert.equal(report.totals.files, 10_001);
  assert.equal(report.work.blobsScanned, 101, 'each content is scanned once');
  const kilobytes = Number(stderr);
  assert.ok(kilobytes > 0 && kilobytes < 700_000, `${kilobytes} kB`);
});

test('what is read is never written to, and what is no state file is left alone', async (t) => {
  const folder = await folderFor(t);
  await write(folder, { 'models/a/model.safetensors': weights(1), 'letter.txt': 'dear state' });
  const run = (...words: readonly string[]) =>
    runWeighbridge(['adopt', ...words, '--offline'], { directory: folder });
  const before = await traces(join(folder, 'models'));
  for (const words of [
    ['.'],
    ['models', '--state', 'models/a/state'],
    ['models', '--report', 'models/report.html'],
  ]) {
    const { code, stderr } = await run(...words);
    assert.equal(code, 1);
    assert.match(stderr, /where nothing is written[^]*hint: name a file elsewhere/);
  }
  assert.deepEqual(await traces(join(folder, 'models')), before);
  await symlink(join(folder, 'letter.txt'), join(folder, 'link'));
  for (const name of ['letter.txt', 'link']) {
    const { code, stderr } = await run('models', '--state', name);
    assert.equal(code, 1);
    assert.match(stderr, /is not a state file[^]*left as it is/);
  }
  assert.equal(await readFile(join(folder, 'letter.txt'), 'utf8'), 'dear state');
  const nowhere = await run('absent');
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.stderr, /absent/);
  const inside = await run('models', 'models/a');
  assert.match(inside.stderr, /lies inside/);
});

test('names that would act in a terminal or a browser are shown, not obeyed', async (t) => {
  const folder = await folderFor(t);
  const hostile = [
    '<script>alert(1)<!--.safetensors',
    '"><img src=x onerror=alert(2)>.safetensors',
    'nef\u202esrosnetefas.safetensors',
    '\u001b[2J\u001b]0;owned\u0007.safetensors',
    'line\nbreak.safetensors',
  ];
  for (const [index, name] of hostile.entries()) {
    await mkdir(join(folder, 'models', `m${index}`), { recursive: true });
    await writeFile(join(folder, 'models', `m${index}`, name), weights(index));
  }
  const latin = Buffer.concat([
    Buffer.from(`${join(folder, 'models', 'm0')}/caf`),
    Buffer.from([0xe9]),
    Buffer.from('.bin'),
  ]);
  await writeFile(latin, evil);
  const { code, stdout } = await runWeighbridge(['adopt', 'models', '--offline', '--report', 'r.html'], {
    directory: folder,
  });
  assert.equal(code, 2, 'deceptive names are findings');
  assert.doesNotMatch(stdout, /[\u202a-\u202e\u001b\u0007]/);
  assert.match(stdout, /the name is not UTF-8/);
  assert.match(stdout, /\\u\{1b\}\[2J/);
  const page = await readFile(join(folder, 'r.html'), 'utf8');
  assert.doesNotMatch(page, /[\u202a-\u202e\u0000-\u0008\u000b-\u001f]/);
  assert.doesNotMatch(page, /<script|<img/i);
  assert.match(page, /&lt;script&gt;alert\(1\)/);
  assert.doesNotMatch(page, /\b(?:src|href)="(?!#m)/);
});

test('a server keeps reports as evidence without paths, lists them, and shows them to its own people only', async (t) => {
  const folder = await folderFor(t);
  const secretName = 'project-zebra';
  const commit = 'd'.repeat(40);
  await write(folder, {
    [`models/${secretName}/pytorch_model.bin`]: evil,
    [`models/${secretName}/<img src=x onerror=alert(1)>.safetensors`]: weights(1),
    [`cache/models--acme--encoder/snapshots/${commit}/model.safetensors`]: weights(2),
    'cache/models--acme--encoder/refs/main': commit,
  });
  await using house = await openWholeHouse();
  const words = ['adopt', 'models', 'cache', '--offline', '--output', 'json'];
  const local = await runWeighbridge([...words, '--server', '--data', house.server.data], {
    directory: folder,
  });
  assert.equal(local.code, 2, local.stderr);
  const id = /kept by the server as adoption (sha256:[0-9a-f]{64})/.exec(local.stderr)?.[1];
  assert.ok(id, local.stderr);
  await pause(1_100);
  const environment = { WEIGHBRIDGE_ADMIN_TOKEN: house.server.token };
  const remote = await runWeighbridge([...words, '--server-url', house.server.console], {
    directory: folder,
    environment,
  });
  assert.match(remote.stderr, /kept by the server as adoption/);
  const stranger = await runWeighbridge([...words, '--server-url', house.server.console], {
    directory: folder,
    environment: { WEIGHBRIDGE_ADMIN_TOKEN: 'not-the-token-of-anybody' },
  });
  assert.equal(stranger.code, 1);
  assert.match(stranger.stderr, /request\.unauthenticated/);
  const plain = await runWeighbridge([...words, '--server-url', 'http://192.0.2.1:7081'], {
    directory: folder,
    environment,
  });
  assert.match(plain.stderr, /https address/);

  const list = (await house.call('GET', '/wb/v1/adoptions')).body as {
    readonly items: readonly {
      readonly id: string;
      readonly logIndex: number;
      readonly risks: { readonly critical: number };
    }[];
  };
  assert.equal(list.items.length, 2);
  assert.equal(list.items[1]?.id, id);
  assert.equal(list.items[1]?.risks.critical, 1);
  const older = (await house.call('GET', `/wb/v1/adoptions?before=${list.items[0]?.logIndex}`))
    .body as typeof list;
  assert.deepEqual(
    older.items.map((item) => item.id),
    [id],
  );

  // The same report again is the same adoption.
  const report: unknown = JSON.parse(local.stdout);
  const again = await house.call('POST', '/wb/v1/adoptions', report);
  assert.equal((again.body as { readonly id: string }).id, id);
  assert.equal(((await house.call('GET', '/wb/v1/adoptions')).body as typeof list).items.length, 2);

  const shown = (await house.call('GET', `/wb/v1/adoptions/${id}`)).body as {
    readonly report: AdoptionReport;
  };
  assert.equal(shown.report.models.length, 2);
  assert.ok(Check(adoptionReportSchema, shown.report));
  const headers = { authorization: `Bearer ${house.server.token}` };
  const file = await fetch(`${house.server.console}/wb/v1/adoptions/${id}/report.json`, { headers });
  assert.deepEqual(await file.json(), report);
  const page = await fetch(`${house.server.console}/wb/v1/adoptions/${id}/report.html`, { headers });
  assert.match(
    page.headers.get('content-security-policy') ?? '',
    /default-src 'none'; style-src 'sha256-[^;]*;.*sandbox$/,
  );
  assert.match(page.headers.get('content-disposition') ?? '', /^attachment/);
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  const html = await page.text();
  assert.doesNotMatch(html, /<img|<script/i);
  assert.match(html, /&lt;img src=x/);

  // Among everything that the server stores, only the reports say where files lie or what a directory is called.
  const telling: string[] = [];
  let statements = 0;
  for (const entry of await readdir(join(house.server.data, 'blobs'), {
    recursive: true,
    withFileTypes: true,
  })) {
    if (!entry.isFile()) continue;
    const bytes = await readFile(join(entry.parentPath, entry.name), 'latin1');
    const payload = /"payload":"([^"]+)"/.exec(bytes)?.[1];
    const said = payload === undefined ? bytes : Buffer.from(payload, 'base64').toString();
    if (said.includes('evidence/adoption/v1')) statements += 1;
    if (said.includes(secretName) || said.includes(folder)) telling.push(`sha256:${entry.name}`);
  }
  assert.ok(statements >= 2, 'the statements were among what was read');
  assert.deepEqual(telling.sort(), list.items.map((item) => item.id).sort());

  const bad = async (change: (copy: AdoptionReport & Record<string, unknown>) => unknown): Promise<number> =>
    (await house.call('POST', '/wb/v1/adoptions', change(structuredClone(report) as never))).status;
  const [first] = (report as AdoptionReport).risks;
  assert.ok(first);
  assert.equal(await bad((copy) => ({ ...copy, html: '<script>' })), 400);
  assert.equal(await bad((copy) => ({ ...copy, version: 2 })), 400);
  assert.equal(await bad((copy) => ({ ...copy, risks: [{ ...first, model: 9 }] })), 400);
  assert.equal(await bad((copy) => ({ ...copy, risks: [{ ...first, message: 'a\u0000b' }] })), 400);
  assert.equal(await bad((copy) => ({ ...copy, roots: ['x'.repeat(5_000)] })), 400);
  const much = { ...(report as AdoptionReport), incompleteReasons: ['x'.repeat(33 * 2 ** 20)] };
  assert.equal((await house.call('POST', '/wb/v1/adoptions', much)).status, 413);
  const nobody = await fetch(`${house.server.console}/wb/v1/adoptions/${id}`);
  assert.equal(nobody.status, 401);
  assert.equal((await house.call('GET', `/wb/v1/adoptions/sha256:${'0'.repeat(64)}`)).status, 404);
  assert.equal((await runWeighbridge(['doctor', '--data', house.server.data])).code, 0);
});

/** The same bytes but for the last one. */
function lastByte(bytes: Uint8Array, value: number): Uint8Array {
  return bytes.with(bytes.length - 1, value);
}
