import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isErrno, Fault } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { printable } from '#lib/printable.ts';
import { callServer, dataOption, member } from './connection.ts';
import { environmentChoices, oneOfChoices, outputFormat, outputOption, print } from './command.ts';
import type { Command, CommandContext, CommandInput, ExitCode } from './command.ts';
import { openProgressLine } from './progress-line.ts';
import { uploadTree } from './upload.ts';

const pollMs = 400;

/** `weighbridge intake`: brings what is not pulled through the same quarantine, from wherever it comes. */
export const intake: Command = {
  name: 'intake',
  summary: 'take an artifact into quarantine from a hub, a URL, S3, git, an OCI registry or this machine',
  usage: 'SOURCE… | upload PATH',
  options: [
    { name: 'as', value: 'ORG/NAME', summary: 'repository name under which clients pull it' },
    { name: 'type', value: 'models|datasets', summary: 'type of that repository; models by default' },
    { name: 'reference', value: 'NAME', summary: 'what the new commit is called; main by default' },
    { name: 'environment', value: 'NAME', summary: 'for which the answer is given; that of the namespace' },
    { name: 'include', value: 'GLOB', summary: 'hf:// only: the files that are wanted' },
    { name: 'sha256', value: 'DIGEST', summary: 'one https:// file: what its bytes must be' },
    { name: 'endpoint', value: 'URL', summary: 's3:// only: where the bucket is, when not at AWS' },
    { name: 'region', value: 'NAME', summary: 's3:// only: us-east-1 by default' },
    { name: 'no-wait', summary: 'print the id of the intake and leave it to the server' },
    { name: 'wait', summary: 'wait for the verdict; the default' },
    outputOption,
    dataOption,
  ],
  run: async (input, context) => {
    const format = outputFormat(input);
    if (input.flags.has('wait') && input.flags.has('no-wait'))
      throw new Fault('command.usage', '`--wait` and `--no-wait` exclude each other');
    const local = localPath(input.positionals, context.directory);
    const id = local === undefined ? await order(input, context) : await upload(input, context, local);
    if (input.flags.has('no-wait')) {
      await print(context.stdout, format === 'json' ? `${JSON.stringify({ id })}\n` : `${id}\n`);
      return 0;
    }
    const answer = await follow(input, context, id);
    await print(context.stdout, format === 'json' ? `${JSON.stringify(answer)}\n` : describe(answer));
    return exitOf(answer);
  },
};

/** `file:/path`, `file:///path` and `upload PATH` mean a file or folder of the machine that the command runs on. */
function localPath(words: readonly string[], directory: string): string | undefined {
  const [first, second, ...rest] = words;
  if (first === undefined) {
    throw new Fault('command.usage', 'no source is named', {
      hint: 'for example `weighbridge intake https://host/model.safetensors --as org/name`',
    });
  }
  if (first === 'upload') {
    if (second === undefined || rest.length > 0)
      throw new Fault('command.usage', 'one file or folder is uploaded as one artifact');
    return resolve(directory, second);
  }
  if (!first.startsWith('file:')) return undefined;
  if (second !== undefined) throw new Fault('command.usage', 'one file or folder is one artifact');
  if (!first.startsWith('file://')) return resolve(directory, first.slice('file:'.length));
  try {
    return fileURLToPath(first);
  } catch (cause) {
    throw new Fault('command.usage', `\`${printable(first)}\` is not a local file`, { cause });
  }
}

async function order(input: CommandInput, context: CommandContext, source?: string): Promise<string> {
  const { flags, positionals } = input;
  const environment = flags.get('environment');
  const type = flags.get('type');
  const text = (name: string): Readonly<Record<string, string>> => {
    const value = flags.get(name);
    return value === undefined ? {} : { [name]: value };
  };
  const body = {
    source: source ?? (positionals.length === 1 ? positionals[0] : positionals),
    ...text('as'),
    ...text('reference'),
    ...text('include'),
    ...text('sha256'),
    ...text('endpoint'),
    ...text('region'),
    ...(type === undefined ? {} : { type: oneOfChoices('type', type, ['models', 'datasets']) }),
    ...(environment === undefined
      ? {}
      : { environment: oneOfChoices('environment', environment, environmentChoices) }),
  };
  const answer = await callServer(input, context, { method: 'POST', path: '/wb/v1/intakes', body });
  const id = member(parseJson(answer), 'id');
  if (typeof id !== 'string') throw new Fault('internal.unexpected', 'the server named no intake');
  return id;
}

async function upload(input: CommandInput, context: CommandContext, path: string): Promise<string> {
  if (!input.flags.has('as')) {
    throw new Fault('command.usage', 'an upload needs a name', { hint: 'add `--as org/name`' });
  }
  await stat(path).catch((cause: unknown) => {
    const why = isErrno(cause) && cause.code === 'ENOENT' ? 'is not there' : 'cannot be read';
    throw new Fault('file.unreadable', `\`${printable(path)}\` ${why}`, { cause });
  });
  const line = openProgressLine(context.stderr);
  try {
    return await uploadTree({ input, context, path, line, order: () => order(input, context, 'upload') });
  } finally {
    await line.close();
  }
}

/** Asks until the intake has ended. What is shown meanwhile goes to standard error, and only to a terminal. */
async function follow(input: CommandInput, context: CommandContext, id: string): Promise<unknown> {
  const line = openProgressLine(context.stderr);
  const left = (): void => {
    context.stderr.write(
      `\nthe server goes on with intake ${id}; GET /wb/v1/intakes/${id} tells how it stands\n`,
    );
    process.exit(1);
  };
  process.once('SIGINT', left);
  try {
    for (;;) {
      const path = `/wb/v1/intakes/${id}`;
      const answer = parseJson(await callServer(input, context, { method: 'GET', path }));
      const state = member(answer, 'state');
      if (state === 'done' || state === 'failed') return answer;
      const progress = member(answer, 'progress');
      const [bytes, total] = [member(progress, 'bytes'), member(progress, 'totalBytes')];
      line.show({
        what: state === 'running' ? 'taking in' : String(state),
        done: typeof bytes === 'number' ? bytes : 0,
        total: typeof total === 'number' ? total : undefined,
      });
      await pause(pollMs);
    }
  } finally {
    process.off('SIGINT', left);
    await line.close();
  }
}

function describe(answer: unknown): string {
  const repository = member(member(answer, 'repository'), 'id');
  const name = `${printable(String(repository))}@${String(member(answer, 'commit')).slice(0, 12)}`;
  const fault = member(answer, 'fault');
  if (fault !== null) {
    const hint = member(fault, 'hint');
    const words = `failed: ${printable(String(member(fault, 'message')))} (${String(member(fault, 'code'))})\n`;
    return typeof hint === 'string' ? `${words}hint: ${printable(hint)}\n` : words;
  }
  const outcome = member(answer, 'outcome');
  const lines = [
    `${name} ${String(member(answer, 'artifact'))}`,
    `scan      ${String(member(outcome, 'scan'))}, ${String(member(outcome, 'completeness'))}, ${String(member(outcome, 'findings'))} findings`,
    `decision  ${String(member(outcome, 'verdict'))} for ${String(member(answer, 'environment'))}`,
    '',
    String(member(outcome, 'explanation')),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

/** Found means found: a scan that is not clean is 2 also where a policy lets it pass. */
function exitOf(answer: unknown): ExitCode {
  const outcome = member(answer, 'outcome');
  const fault = member(answer, 'fault');
  if (typeof outcome !== 'object' || outcome === null)
    return member(fault, 'code') === 'upstream.lied' || member(fault, 'code') === 'source.forbidden' ? 2 : 1;
  if (member(outcome, 'verdict') === 'deny') return 2;
  const scan = member(outcome, 'scan');
  if (scan === 'malicious' || scan === 'suspicious') return 2;
  return scan === 'clean' && member(outcome, 'completeness') === 'complete' ? 0 : 1;
}
