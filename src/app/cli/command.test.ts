import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { Fault } from '#lib/fault.ts';
import { main } from '../main.ts';
import { version } from '../version.ts';
import { parseArguments } from './command.ts';
import type { Command } from './command.ts';
import { commands } from './commands.ts';

const command: Command = {
  name: 'try',
  summary: 'x',
  usage: 'PATH…',
  options: [
    { name: 'output', value: 'FORMAT', summary: 'x' },
    { name: 'quiet', summary: 'x' },
  ],
  run: async () => 0,
};
const parse = (...words: readonly string[]) => {
  const { positionals, flags } = parseArguments(command, words);
  return [positionals, Object.fromEntries(flags)];
};
const refused = (words: readonly string[], message: RegExp): void =>
  assert.throws(
    () => parse(...words),
    (error) =>
      error instanceof Fault &&
      error.code === 'command.usage' &&
      message.test(`${error.message} ${error.hint}`),
  );

test('options take values behind a space or an equals sign, switches take none, `--` ends them', () => {
  assert.deepEqual(parse('a', '--output', 'json', '--quiet', 'b'), [
    ['a', 'b'],
    { output: 'json', quiet: 'true' },
  ]);
  assert.deepEqual(parse('--output=a=b'), [[], { output: 'a=b' }]);
  assert.deepEqual(parse('--output='), [[], { output: '' }]);
  assert.deepEqual(parse('--output', '--quiet'), [[], { output: '--quiet' }]);
  assert.deepEqual(parse('--', '--output', '--'), [['--output', '--'], {}]);
});

test('what is not understood is refused with the nearest option', () => {
  refused(['--outptu', 'json'], /--outptu.*--output/);
  refused(['--zzzzzzzz'], /--help/);
  refused(['--output'], /needs a value/);
  refused(['--quiet=yes'], /takes no value/);
  refused(['--quiet', '--quiet'], /twice/);
  refused(['--__proto__'], /no option/);
});

function run(...words: readonly string[]) {
  const written = { stdout: '', stderr: '' };
  const sink = (name: 'stdout' | 'stderr') =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        written[name] += chunk.toString();
        done();
      },
    });
  const context = {
    stdin: Readable.from([]),
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    environment: {},
    directory: '/nonexistent',
  };
  return main(words, context).then((code) => ({ code, ...written }));
}

test('help and version are printed; every command tells its options', async () => {
  assert.deepEqual(await run('--version'), { code: 0, stdout: `weighbridge ${version()}\n`, stderr: '' });
  assert.match(version(), /^\d+\.\d+\.\d+/);
  assert.equal((await run('-V')).stdout, (await run('--version')).stdout);
  assert.equal((await run('-h')).stdout, (await run('help')).stdout);
  assert.equal((await run('scan', '-h')).stdout, (await run('help', 'scan')).stdout);
  assert.match((await run('help', 'serve')).stdout, /--hold-wait VALUE .*; 8 by default$/m);
  assert.match((await run('help', 'serve')).stdout, /--listen VALUE .*; 127\.0\.0\.1:7080 by default$/m);
  const overview = await run('help');
  assert.equal(overview.code, 0);
  assert.equal((await run()).code, 1);
  for (const { name, options } of commands) {
    assert.match(overview.stdout, new RegExp(`^ {2}${name} `, 'm'));
    for (const words of [
      ['help', name],
      [name, '--help'],
    ]) {
      const { code, stdout } = await run(...words);
      assert.equal(code, 0);
      for (const option of options) assert.match(stdout, new RegExp(`--${option.name}\\b`));
    }
  }
});

test('failures are one line with code and hint, or one JSON document', async () => {
  const unknown = await run('sacn');
  assert.equal(unknown.code, 1);
  assert.equal(
    unknown.stderr,
    'error: there is no command `sacn` (command.unknown)\nhint: did you mean `weighbridge scan`?\n',
  );
  for (const words of [
    ['log', '--output', 'json'],
    ['log', '--output=json'],
  ]) {
    const { code, stdout } = await run(...words);
    assert.equal(code, 1);
    assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, 'server.unreachable');
  }
});

test('every command that takes no argument it knows refuses bad output formats before it does anything', async () => {
  for (const name of ['log', 'doctor', 'reindex']) {
    const { code, stderr } = await run(name, '--output', 'xml');
    assert.equal(code, 1);
    assert.match(stderr, /command\.usage/);
  }
});

test('a mistyped path says what was meant', async () => {
  const absent = await run('adopt', '/there/is/no/such/folder');
  assert.deepEqual([absent.code, /is not there \(file\.unreadable\)/.test(absent.stderr)], [1, true]);
  assert.match(
    (await run('scan', 'org/name')).stderr,
    /^hint: a repository of the hub is `hf:\/\/org\/name`$/m,
  );
  const away = await run('scan', 'hf://org/name', '--upstream', 'http://127.0.0.1:9');
  assert.deepEqual([away.code, /^hint: upstream is `http:\/\/127\.0\.0\.1:9`/m.test(away.stderr)], [1, true]);
});
