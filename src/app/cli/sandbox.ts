import { resolve } from 'node:path';
import { Fault } from '#lib/fault.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command } from './command.ts';

/** `weighbridge sandbox`: really loads and calls a local model, isolated, and says what it did; needs no server. */
export const sandbox: Command = {
  name: 'sandbox',
  summary: 'load and call a model in an isolated process, and say what it did',
  usage: 'PATH',
  options: [
    {
      name: 'python',
      value: 'PROGRAM',
      summary: 'interpreter that has the libraries; `python3` by default',
    },
    { name: 'timeout', value: 'SECONDS', summary: 'after which the run is stopped; 300 by default' },
    { name: 'trust-remote-code', summary: 'let libraries run code that the model brings along' },
    outputOption,
  ],
  run: async (input, context) => {
    const format = outputFormat(input);
    const [path, ...more] = input.positionals;
    if (path === undefined || more.length > 0) throw new Fault('command.usage', 'name one file or directory');
    // Loaded here: no other command needs it.
    const { openSandboxRunner } = await import('#adapters/sandbox/open-runner.ts');
    const { exitOfSandbox, renderSandbox, sandboxTree } = await import('#producers/sandbox/sandbox-tree.ts');
    const { sandboxLimits } = await import('#producers/sandbox/exercise.ts');
    const report = await sandboxTree(path, {
      runner: await openSandboxRunner(),
      python: pythonCommand(input.flags.get('python') ?? 'python3', context.directory),
      limits: {
        ...sandboxLimits,
        wallSeconds: secondsOf(input.flags.get('timeout'), sandboxLimits.wallSeconds),
      },
      trustRemoteCode: input.flags.has('trust-remote-code'),
      signal: new AbortController().signal,
    });
    await print(context.stdout, format === 'json' ? `${JSON.stringify(report)}\n` : renderSandbox(report));
    return exitOfSandbox(report);
  },
};

/** A name is looked up on the path, as a shell does; everything with a slash is a file. */
function pythonCommand(text: string, directory: string): string {
  return text.includes('/') ? resolve(directory, text) : text;
}

function secondsOf(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const seconds = Number(text);
  if (!/^\d{1,5}$/.test(text) || seconds === 0)
    throw new Fault('command.usage', `\`--timeout\` is a number of seconds, not \`${text}\``);
  return seconds;
}
