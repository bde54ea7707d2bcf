import { writeFile } from 'node:fs/promises';
import { Fault } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { findArtifact } from './artifact-argument.ts';
import { callServer, dataOption, member } from './connection.ts';
import { environmentChoices, oneOfChoices, outputFormat, outputOption, print } from './command.ts';
import type { Command, CommandContext, CommandInput, CommandOption, ExitCode } from './command.ts';

const questionOptions: readonly CommandOption[] = [
  { name: 'action', value: 'VERB', summary: 'pull, promote, deploy, load or serve; pull by default' },
  {
    name: 'environment',
    value: 'NAME',
    summary: 'development, staging or production; production by default',
  },
  {
    name: 'file',
    value: 'PATH[,PATH]',
    summary: 'only these files and what steers loading; all files by default',
  },
];

/** `weighbridge decide`: asks the running server, or re-checks a recorded decision with no network. */
export const decide: Command = {
  name: 'decide',
  summary: 'ask for a decision, export it, or re-check an exported one offline',
  usage: 'ARTIFACT | --offline BUNDLE.tar',
  options: [
    ...questionOptions,
    {
      name: 'export',
      value: 'FILE',
      summary: 'write the decision with all its evidence and proofs to FILE (tar)',
    },
    {
      name: 'offline',
      value: 'FILE',
      summary: 're-check an exported decision; needs no server, network or data directory',
    },
    {
      name: 'trust',
      value: 'DIGEST',
      summary: 'with --offline: the trust-root fingerprint that must be the one in the file',
    },
    outputOption,
    dataOption,
  ],
  run: async (input, context) => {
    const offline = input.flags.get('offline');
    if (offline !== undefined) {
      // Loaded here: asking a server needs no policy engine.
      const { recheckOffline } = await import('./offline.ts');
      return recheckOffline(offline, input, context);
    }
    const destination = input.flags.get('export');
    const body = await questionBody(input, context);
    if (destination === undefined) return answer(input, context, body);
    const bytes = await callServer(input, context, { method: 'POST', path: '/wb/v1/decisions/bundle', body });
    await writeFile(destination, bytes).catch((cause: unknown) => {
      throw new Fault('file.unreadable', `cannot write \`${destination}\``, { cause });
    });
    await print(context.stderr, `wrote ${bytes.length} bytes to ${destination}\n`);
    return 0;
  },
};

/** `weighbridge explain`: the same question, answered in words. */
export const explain: Command = {
  name: 'explain',
  summary: 'say in words why an artifact is allowed or denied and what would change it',
  usage: 'ARTIFACT',
  options: [...questionOptions, outputOption, dataOption],
  run: async (input, context) => answer(input, context, await questionBody(input, context)),
};

async function questionBody(input: CommandInput, context: CommandContext): Promise<unknown> {
  const files = input.flags.get('file');
  return {
    artifact: (await findArtifact(input, context, 'newest')).artifact,
    action: oneOfChoices('action', input.flags.get('action') ?? 'pull', [
      'pull',
      'promote',
      'deploy',
      'load',
      'serve',
    ]),
    environment: oneOfChoices(
      'environment',
      input.flags.get('environment') ?? 'production',
      environmentChoices,
    ),
    files: files === undefined ? null : files.split(',').sort(),
  };
}

async function answer(input: CommandInput, context: CommandContext, body: unknown): Promise<ExitCode> {
  const format = outputFormat(input);
  const answered = parseJson(
    await callServer(input, context, { method: 'POST', path: '/wb/v1/decisions', body }),
  );
  const decision = member(answered, 'decision');
  await print(
    context.stdout,
    format === 'json' ? `${JSON.stringify(decision)}\n` : `${String(member(answered, 'explanation'))}\n`,
  );
  return member(decision, 'verdict') === 'deny' ? 2 : 0;
}
