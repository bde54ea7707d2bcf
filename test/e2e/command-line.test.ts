import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { configKeys, environmentName } from '#app/config.ts';
import { safetensors, tensor } from '../support/model-bytes.ts';
import { openLoopbackHub } from '../support/hub/hub.ts';
import { removeFolder, runProgram, runWeighbridge, startTestServer } from '../support/server.ts';
import type { CommandResult, TestServer } from '../support/server.ts';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

/** The command line as a newcomer meets it: typos, missing things, wrong things, and then the real thing. */
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'command-line-'));
});
after(() => removeFolder(folder));

const run = (
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<CommandResult> => runWeighbridge(words, { directory: folder, environment, timeoutMs: 60_000 });

/** `serve` that would disturb nobody, should it start although it must not. */
const harmless = [
  'serve',
  '--listen=127.0.0.1:0',
  '--console-listen=127.0.0.1:0',
  '--upstream=http://127.0.0.1:9',
];

/** Colours and cursor movements have no place in a pipe. */
function demandPlain(said: CommandResult): void {
  assert.ok(!said.stdout.includes('\x1b') && !said.stderr.includes('\x1b'), JSON.stringify(said));
  assert.ok(!/^ {4}at /m.test(said.stderr), `a stack: ${said.stderr}`);
}

async function fails(words: readonly string[], exit: number, ...patterns: readonly RegExp[]): Promise<void> {
  const said = await run(words);
  assert.equal(said.code, exit, JSON.stringify(said));
  demandPlain(said);
  assert.equal(said.stdout, '');
  for (const pattern of patterns) assert.match(said.stderr, pattern);
}

const verbs = [
  'serve',
  'scan',
  'digest',
  'decide',
  'explain',
  'approve',
  'deny',
  'promote',
  'log',
  'doctor',
  'reindex',
];

describe('help', () => {
  test('without arguments it says what there is, and that nothing was done', async () => {
    const said = await run([]);
    assert.equal(said.code, 1);
    demandPlain(said);
    for (const verb of verbs) assert.match(said.stdout, new RegExp(`^  ${verb} +\\S`, 'm'));
  });

  test('help, --help and help VERB', async () => {
    for (const words of [['help'], ['--help']])
      assert.deepEqual([(await run(words)).code, (await run(words)).stderr], [0, '']);
    const scan = await run(['help', 'scan']);
    assert.equal(scan.code, 0);
    assert.match(scan.stdout, /usage: weighbridge scan PATH…/);
    assert.equal((await run(['scan', '--help'])).stdout, scan.stdout);
    const serve = await run(['help', 'serve']);
    for (const name of Object.keys(configKeys)) assert.match(serve.stdout, new RegExp(`--${name} VALUE`));
    assert.match((await run(['--version'])).stdout, /^weighbridge \d+\.\d+\.\d+\n$/);
  });

  test('help about what does not exist is a usage error', async () => {
    await fails(
      ['help', 'scna'],
      1,
      /no command `scna` \(command\.unknown\)/,
      /hint: did you mean `weighbridge scan`\?/,
    );
  });
});

describe('mistakes', () => {
  const rows: readonly (readonly [readonly string[], number, ...RegExp[]])[] = [
    [['scna'], 1, /no command `scna` \(command\.unknown\)/, /hint: did you mean `weighbridge scan`\?/],
    [['xyzzy-nothing'], 1, /command\.unknown/, /hint: `weighbridge help` lists all commands/],
    [['scan'], 1, /nothing to scan \(command\.usage\)/, /hint: name files, directories or/],
    [['scan', '--outptu', 'json', '.'], 1, /no option `--outptu`/, /did you mean `--output`\?/],
    [['scan', '--output'], 1, /`--output` needs a value/],
    [['scan', '--output', 'xml', '.'], 1, /`xml` is not an output format/, /hint: one of text, json/],
    [['scan', '--output', 'text', '--output', 'text', '.'], 1, /given twice/],
    [['scan', 'not-there'], 1, /not-there`/, /file\.unreadable/],
    [['digest'], 1, /name one directory or file/],
    [['digest', 'not-there'], 1, /file\.unreadable/],
    [['digest', '--follow-links=yes', '.'], 1, /takes no value/],
    [['decide'], 1, /no artifact is named/],
    [['approve', 'org/m'], 1, /needs a reason/, /hint: add `--reason/],
    [['deny', 'org/m', '--reason', ' '], 1, /the reason is too short/],
    [['decide', '--offline', 'not-there.tar'], 1, /cannot read `not-there\.tar`/],
    [['decide', '--offline', 'not-there.tar', '--environment', 'staging'], 1, /no meaning with `--offline`/],
    [['decide', '--offline', 'not-there.tar', '--trust', 'x'], 1, /digest\.invalid/],
    [[...harmless, 'now'], 1, /`now`/, /command\.usage/],
    [['doctor', 'now'], 1, /`now`/, /command\.usage/],
    [['log', 'now'], 1, /`now`/, /command\.usage/],
    [['reindex', 'now'], 1, /`now`/, /command\.usage/],
  ];
  for (const [words, exit, ...patterns] of rows) {
    test(words.join(' '), () => fails(words, exit, ...patterns));
  }
});

describe('scan and digest need no server', () => {
  const pickle = 'cos\nsystem\n(S"id"\ntR.';

  test('a clean directory is 0, in words and in JSON', async () => {
    const clean = join(folder, 'clean');
    await mkdir(clean);
    await writeFile(join(clean, 'config.json'), '{"model_type":"bert"}');
    await writeFile(join(clean, 'model.safetensors'), safetensors({ w: tensor(0, 16) }, 16));
    const text = await run(['scan', 'clean']);
    assert.deepEqual([text.code, text.stderr], [0, '']);
    demandPlain(text);
    const json = await run(['scan', 'clean', '--output', 'json']);
    assert.equal(json.code, 0);
    const report = JSON.parse(json.stdout) as {
      verdict: string;
      completeness: string;
      files: readonly unknown[];
    };
    assert.deepEqual([report.verdict, report.completeness, report.files.length], ['clean', 'complete', 2]);
  });

  test('a malicious pickle is 2 and names what it would call', async () => {
    await writeFile(join(folder, 'evil.pkl'), pickle);
    const text = await run(['scan', 'evil.pkl']);
    assert.equal(text.code, 2);
    demandPlain(text);
    assert.match(text.stdout, /os\.system/);
    const json = await run(['scan', 'clean', 'evil.pkl', '--output=json']);
    assert.equal(json.code, 2);
    assert.equal((JSON.parse(json.stdout) as { verdict: string }).verdict, 'malicious');
  });

  test('a name that would drive the terminal is written harmlessly', async () => {
    await mkdir(join(folder, 'names'));
    await writeFile(join(folder, 'names', 'a\x1b[31m\u202egnp.pkl'), pickle);
    const said = await run(['scan', 'names']);
    assert.equal(said.code, 2);
    demandPlain(said);
    assert.ok(!said.stdout.includes('\u202e'));
  });

  test('an empty directory and an unreadable file are inconclusive: 1, never clean', async () => {
    await mkdir(join(folder, 'empty'));
    assert.equal((await run(['scan', 'empty'])).code, 1);
    await mkdir(join(folder, 'locked'));
    await writeFile(join(folder, 'locked', 'model.bin'), pickle);
    await chmod(join(folder, 'locked', 'model.bin'), 0o000);
    const said = await run(['scan', 'locked']);
    // Root may read everything, and then it is found out.
    assert.equal(said.code, process.getuid?.() === 0 ? 2 : 1);
  });
});

test('a pipe and a link out of the directory are neither followed nor clean', async () => {
  const odd = join(folder, 'odd');
  await mkdir(odd);
  await symlink('/etc/passwd', join(odd, 'config.json'));
  assert.equal((await run(['scan', 'odd'])).code, 1);
  await fails(['digest', 'odd'], 1, /file\.link/, /hint: copy the file into its place/);
  await rm(join(odd, 'config.json'));
  assert.equal((await runProgram('mkfifo', [join(odd, 'model.bin')])).code, 0);
  assert.equal((await run(['scan', 'odd'])).code, 1);
  await fails(['digest', 'odd'], 1, /file\.special/);
});

describe('without a server', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const calls: readonly (readonly string[])[] = [
    ['decide', digest],
    ['decide', 'org/m'],
    ['explain', digest],
    ['approve', digest, '--reason', 'it is fine'],
    ['deny', digest, '--reason', 'it is not'],
    ['promote', digest],
    ['log'],
    ['doctor'],
  ];
  for (const words of calls) {
    test(`${words[0]} says that none is running and how to start one`, async () => {
      await fails(
        words,
        1,
        /no server is running on/,
        /server\.unreachable/,
        /hint: start it with `weighbridge serve`/,
      );
      const json = await run([...words, '--output', 'json']);
      const { error } = JSON.parse(json.stdout) as { error: { code: string; documentation: string } };
      assert.deepEqual(
        [error.code, error.documentation],
        ['server.unreachable', 'docs/reference/faults.md#server.unreachable'],
      );
    });
  }
});

describe('configuration', () => {
  test('an unknown key is named in every source, with the nearest known one', async () => {
    await fails([...harmless, '--lisen', '1'], 1, /no option `--lisen`/, /did you mean `--listen`\?/);
    const variable = await run(harmless, { WEIGHBRIDGE_LISEN: '1' });
    assert.equal(variable.code, 1);
    assert.match(variable.stderr, /unknown variable `WEIGHBRIDGE_LISEN`/);
    assert.match(variable.stderr, /did you mean `WEIGHBRIDGE_LISTEN`\?/);
    await writeFile(join(folder, 'typo.yaml'), 'lisen: 127.0.0.1:1\n');
    await fails([...harmless, '--config', 'typo.yaml'], 1, /unknown key `lisen`/, /did you mean `listen`\?/);
  });

  test('a file that is not there, not YAML, not keys', async () => {
    await fails(
      [...harmless, '--config', 'absent.yaml'],
      1,
      /cannot read configuration file `\S*absent\.yaml`/,
    );
    await writeFile(join(folder, 'broken.yaml'), 'a: [\n');
    await fails([...harmless, '--config', 'broken.yaml'], 1, /is not YAML/);
    await writeFile(join(folder, 'list.yaml'), '- listen\n');
    await fails([...harmless, '--config', 'list.yaml'], 1, /is not a list of keys|must be/);
    await writeFile(join(folder, 'nested.yaml'), 'listen: {host: a}\n');
    await fails(
      [...harmless, '--config', 'nested.yaml'],
      1,
      /`listen` in `\S*nested\.yaml` must be one value/,
    );
  });

  /** A value that each key refuses; the refusal names the source, so it also shows which source won. */
  const refused: Readonly<Partial<Record<keyof typeof configKeys, string>>> = {
    listen: 'nowhere',
    'console-listen': '127.0.0.1:99999',
    'public-url': 'ftp://x',
    'console-url': 'x',
    upstream: 'https://user:secret@hub.example',
    'admin-token': 'short',
    database: 'mysql://x',
    'database-owner': 'x',
    environment: 'mars',
    tier: 'huge',
    origin: 'a b',
    'hold-wait': '0',
    'reference-ttl': '-1',
    'absent-ttl': '3601',
    'upstream-concurrency': '0',
    'upstream-timeout': '0',
    'upstream-wait': '0',
    'intake-concurrency': '65',
    'intake-hosts': 'a b',
    'intake-limit': '0',
    sandbox: 'sometimes',
    'interim-responses': 'maybe',
    'accel-prefix': 'protected',
    'accel-from': 'localhost',
    'log-level': 'loud',
  };
  /** Keys that take any text: which source won is shown below by what they do. */
  const anyText = new Set([
    'data',
    'blobs',
    'policies',
    'delivery',
    'upstream-token',
    'intake-credentials',
    'sandbox-python',
  ]);

  test('every key is either refused below or takes any text', () => {
    for (const name of Object.keys(configKeys)) assert.ok(name in refused !== anyText.has(name), name);
  });

  for (const [name, value] of Object.entries(refused)) {
    test(`\`${name}\` as a flag, a variable and a line of the file, in this order`, async () => {
      const file = join(folder, `${name}.yaml`);
      await writeFile(file, `${name}: ${JSON.stringify(value)}\n`);
      const variable = environmentName(name);
      const byFile = await run(['serve', '--config', file]);
      const byVariable = await run(['serve', '--config', file], { [variable]: value });
      const byFlag = await run(['serve', '--config', file, `--${name}`, value], { [variable]: value });
      for (const [said, source] of [
        [byFile, `\`${name}\` in`],
        [byVariable, `${variable}:`],
        [byFlag, `--${name}:`],
      ] as const) {
        assert.equal(said.code, 1, said.stderr);
        assert.ok(said.stderr.startsWith(`error: ${source}`), said.stderr);
        assert.match(said.stderr, /config\.invalid/);
        assert.ok(!said.stderr.includes('secret'), 'a credential is not repeated');
        demandPlain(said);
      }
    });
  }

  test('`data` too: the directory that is used is the one of the strongest source', async () => {
    const [byFile, byVariable, byFlag] = ['file', 'variable', 'flag'].map((name) =>
      join(folder, `data-${name}`),
    );
    assert.ok(byFile && byVariable && byFlag);
    const file = join(folder, 'data.yaml');
    await writeFile(file, `data: ${byFile}\n`);
    const asked = async (words: readonly string[], environment: Readonly<Record<string, string>>) =>
      (await run(['doctor', ...words], { WEIGHBRIDGE_CONFIG: file, ...environment })).stderr;
    assert.ok((await asked([], {})).includes(byFile));
    assert.ok((await asked([], { WEIGHBRIDGE_DATA: byVariable })).includes(byVariable));
    assert.ok((await asked(['--data', byFlag], { WEIGHBRIDGE_DATA: byVariable })).includes(byFlag));
  });
});

describe('with a server', () => {
  let house: WholeHouse;
  const shared: string[] = [];

  before(async () => {
    house = await openWholeHouse();
    shared.push('--data', house.server.data);
    await house.hub.commit('org/clean', {
      'config.json': '{"model_type":"bert"}',
      'model.safetensors': safetensors({ w: tensor(0, 16) }, 16),
    });
    for (const path of ['config.json', 'model.safetensors']) {
      const answer = await fetch(`${house.server.clients}/org/clean/resolve/main/${path}`);
      assert.equal(answer.status, 200);
      await answer.arrayBuffer();
    }
  });
  after(() => house[Symbol.asyncDispose]());

  test('digest gives the digest that the server shows for the same files', async () => {
    const { body } = await house.call('GET', '/wb/v1/artifacts?search=org%2Fclean');
    const [row] = (body as { items: readonly { artifact: string }[] }).items;
    const said = await run(['digest', 'clean']);
    assert.equal(said.code, 0);
    assert.equal(said.stdout, `${row?.artifact}\n`);
    const json = JSON.parse((await run(['digest', 'clean', '--output', 'json'])).stdout) as {
      artifact: string;
      roots: { all: string };
    };
    assert.deepEqual([json.artifact, json.roots.all], [row?.artifact, row?.artifact]);
    await writeFile(join(folder, 'clean', 'config.json'), '{"model_type":"bart"}');
    assert.notEqual((await run(['digest', 'clean'])).stdout, said.stdout);
  });

  test('a second server on the same data directory, and reindex, are refused', async () => {
    const words = ['serve', ...shared, '--listen', '127.0.0.1:0', '--console-listen', '127.0.0.1:0'];
    await fails(words, 1, /another server is running/, /directory\.in-use/, /hint: stop it first/);
    await fails(['reindex', ...shared], 1, /directory\.in-use/);
  });

  test('a port that somebody else has is a configuration fault', async () => {
    const port = new URL(house.server.clients).port;
    const data = join(folder, 'port');
    await fails(
      [
        'serve',
        '--data',
        data,
        '--listen',
        `127.0.0.1:${port}`,
        '--console-listen',
        '127.0.0.1:0',
        '--log-level',
        'fatal',
      ],
      1,
      /cannot listen: listen EADDRINUSE/,
      /config\.invalid/,
      /hint: choose other addresses/,
    );
  });

  test('explain, approve, log and doctor speak through the socket', async () => {
    const denied = await run(['explain', 'org/clean', ...shared]);
    assert.equal(denied.code, 2);
    assert.match(denied.stdout, /approved/);
    demandPlain(denied);
    const approved = await run([
      'approve',
      'org/clean',
      '--reason',
      'it was reviewed',
      '--output',
      'json',
      ...shared,
    ]);
    assert.equal(approved.code, 0, approved.stderr);
    assert.equal(typeof (JSON.parse(approved.stdout) as { logIndex: unknown }).logIndex, 'number');
    const allowed = await run(['explain', 'org/clean', ...shared]);
    assert.equal(allowed.code, 0, allowed.stdout);
    const log = await run(['log', ...shared]);
    assert.equal(log.code, 0);
    assert.ok(log.stdout.includes(house.server.fingerprint));
    assert.match(log.stdout, /self-asserted/);
    const doctor = await run(['doctor', ...shared]);
    assert.equal(doctor.code, 0, doctor.stdout);
    assert.match(doctor.stdout, /^ok {4}log /m);
    const json = JSON.parse((await run(['doctor', '--output', 'json', ...shared])).stdout) as {
      healthy: boolean;
    };
    assert.equal(json.healthy, true);
    for (const said of [approved, allowed, log, doctor]) demandPlain(said);
  });

  test('deny revokes at once, and a mistyped artifact is not guessed', async () => {
    assert.equal((await run(['deny', 'org/clean', '--reason', 'it was found to leak', ...shared])).code, 0);
    const said = await run(['decide', 'org/clean', '--environment', 'development', ...shared]);
    assert.equal(said.code, 2);
    assert.match(said.stdout, /integrity\.revoked/);
    await fails(
      ['decide', 'org/cleen', ...shared],
      1,
      /there is no artifact `org\/cleen` here/,
      /resource\.unknown/,
    );
    await fails(['decide', 'org/clean', 'org/m', ...shared], 1, /one argument too many/);
    await fails(
      ['decide', 'org/clean', '--environment', 'mars', ...shared],
      1,
      /is one of development, staging, production/,
    );
    await fails(
      ['approve', 'org/clean', '--reason', 'too late', '--expires', '2001-01-01T00:00:00Z', ...shared],
      1,
      /expired already/,
    );
  });

  test('the administrator token is nowhere at rest (control: its digest is)', async () => {
    const { token, data } = house.server;
    let digestSeen = false;
    const sha256 = Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token)));
    for (const entry of await readdir(data, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const bytes = await readFile(join(entry.parentPath, entry.name));
      assert.ok(!bytes.includes(token), `${entry.parentPath}/${entry.name} holds the token`);
      digestSeen ||= bytes.includes(sha256) || bytes.includes(sha256.toString('hex'));
    }
    assert.ok(digestSeen);
    assert.ok(!house.server.output().includes(token), 'a configured token is not printed');
  });

  test('answers of /wb/v1 need the token', async () => {
    const answer = await fetch(`${house.server.console}/wb/v1/artifacts`);
    assert.equal(answer.status, 401);
    assert.match(await answer.text(), /request\.unauthenticated/);
  });
});

test('on an address that others can reach, pulling needs a token; the file, the variables and the flags all count', async () => {
  const port = await freePort();
  const hub = await openLoopbackHub();
  const commit = await hub.commit('org/m', { 'config.json': '{}' });
  const data = join(folder, 'open');
  await mkdir(data);
  const [weak, strong] = [join(folder, 'policies-of-file'), join(folder, 'policies-of-variable')];
  await writeFile(
    join(data, 'config.yaml'),
    `policies: ${weak}\nupstream-token: hf_tokenOfTheFile\nenvironment: staging\n`,
  );
  const server: TestServer = await startTestServer({
    upstream: hub.url,
    data,
    listen: `0.0.0.0:${port}`,
    environment: { WEIGHBRIDGE_POLICIES: strong, WEIGHBRIDGE_ENVIRONMENT: 'production' },
    flags: ['--environment', 'development'],
  });
  try {
    assert.match(server.output(), /policies +\S+policies-of-variable\n/);
    assert.deepEqual(
      [weak, strong].map((path) => existsSync(path)),
      [false, true],
    );
    const file = `http://127.0.0.1:${port}/org/m/resolve/main/config.json`;
    const pull = (authorization?: string): Promise<Response> =>
      fetch(file, { headers: authorization === undefined ? {} : { authorization } });
    const refused = await pull();
    assert.equal(refused.status, 401);
    assert.equal(refused.headers.get('x-error-code'), 'request.unauthenticated');
    assert.equal((await pull('Bearer hf_somebodyElses')).status, 401);
    assert.equal(hub.seen.length, 0, 'upstream is not asked for strangers');
    const known = await pull(`Bearer ${server.token}`);
    assert.deepEqual([known.status, known.headers.get('x-repo-commit')], [200, commit]);
    assert.deepEqual(
      new Set(hub.seen.filter((seen) => seen.server === 'hub').map(({ headers }) => headers.authorization)),
      new Set(['Bearer hf_tokenOfTheFile']),
    );
    const whoami = await fetch(`${server.console}/wb/v1/whoami`, {
      headers: { authorization: `Bearer ${server.token}` },
    });
    assert.equal(((await whoami.json()) as { environment: string }).environment, 'development');
  } finally {
    await server.stop();
    await hub.close();
  }
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
