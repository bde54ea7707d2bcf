import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDigest } from '#artifact/digest.ts';
import { Fault, faults } from '#lib/fault.ts';
import type { FaultCode } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { callServer, dataOption, member } from './connection.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command, CommandContext, CommandInput, ExitCode } from './command.ts';

/**
 * `weighbridge sandbox`: really loads and calls a model, isolated, and says what it did. A local path needs no server; for
 * a digest the running server does it, and what was seen becomes evidence.
 */
export const sandbox: Command = {
  name: 'sandbox',
  summary: 'load and call a model in an isolated process, and say what it did',
  usage: 'PATH|DIGEST',
  options: [
    {
      name: 'python',
      value: 'PROGRAM',
      summary: 'interpreter that has the libraries; `python3` by default (PATH only)',
    },
    {
      name: 'timeout',
      value: 'SECONDS',
      summary: 'after which the run is stopped; 300 by default (PATH only)',
    },
    { name: 'trust-remote-code', summary: 'let libraries run code that the model brings along (PATH only)' },
    outputOption,
    dataOption,
  ],
  run: async (input, context) => {
    const format = outputFormat(input);
    const [what, ...more] = input.positionals;
    if (what === undefined || more.length > 0)
      throw new Fault('command.usage', 'name one file, directory or artifact', {
        hint: 'an artifact of the server is named by its digest, `sha256:…`',
      });
    return isDigest(what) ? onServer(what, input, context) : onThisMachine(what, input, { context, format });
  },
};

async function onThisMachine(
  path: string,
  input: CommandInput,
  { context, format }: { readonly context: CommandContext; readonly format: string },
): Promise<ExitCode> {
  // Loaded here: no other command needs it.
  const { openSandboxRunner } = await import('#adapters/sandbox/open-runner.ts');
  const { exitOfSandbox, renderSandbox, sandboxTree } = await import('#producers/sandbox/sandbox-tree.ts');
  const { sandboxLimits } = await import('#producers/sandbox/exercise.ts');
  const wallSeconds = secondsOf(input.flags.get('timeout'), sandboxLimits.wallSeconds);
  const report = await sandboxTree(path, {
    runner: await openSandboxRunner(),
    python: pythonCommand(input.flags.get('python') ?? 'python3', context.directory),
    limits: { ...sandboxLimits, wallSeconds },
    trustRemoteCode: input.flags.has('trust-remote-code'),
    signal: new AbortController().signal,
  });
  await print(context.stdout, format === 'json' ? `${JSON.stringify(report)}\n` : renderSandbox(report));
  if (report.steps.some(({ outcome }) => outcome === 'unavailable'))
    await print(context.stderr, 'hint: `--python` names an interpreter that has the libraries\n');
  return exitOfSandbox(report);
}

const pollMs = 500;
const exits: Readonly<Record<string, ExitCode>> = { quiet: 0, acted: 2 };

/** Orders a run and waits for its end. A run that failed is the Fault that the server saw. */
async function onServer(artifact: string, input: CommandInput, context: CommandContext): Promise<ExitCode> {
  const path = `/wb/v1/artifacts/${artifact}/sandbox`;
  let answer = parseJson(await callServer(input, context, { method: 'POST', path }));
  while (['waiting', 'running'].includes(text(answer, 'state'))) {
    await sleep(pollMs);
    answer = parseJson(await callServer(input, context, { method: 'GET', path }));
  }
  const fault = member(answer, 'fault');
  if (typeof fault === 'object' && fault !== null) throw faultOf(fault);
  const finding = member(answer, 'finding');
  const outcome = text(finding, 'outcome');
  const lines = ['reasons', 'acts'].flatMap((name) => {
    const words = member(finding, name);
    return Array.isArray(words) ? words.map((word) => `  ${String(word)}\n`) : [];
  });
  const json = outputFormat(input) === 'json';
  const said = `${outcome}: ${artifact}, log entry ${String(member(finding, 'logIndex'))}\n${lines.join('')}`;
  await print(context.stdout, json ? `${JSON.stringify(answer)}\n` : said);
  return exits[outcome] ?? 1;
}

function text(value: unknown, name: string): string {
  const found = member(value, name);
  return typeof found === 'string' ? found : '';
}

function faultOf(fault: object): Fault {
  const code = Object.keys(faults).find((one): one is FaultCode => one === member(fault, 'code'));
  const hint = text(fault, 'hint');
  return new Fault(code ?? 'internal.unexpected', text(fault, 'message'), hint === '' ? {} : { hint });
}

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
