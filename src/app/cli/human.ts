import { Fault } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { findArtifact } from './artifact-argument.ts';
import { callServer, dataOption, member } from './connection.ts';
import { environmentChoices, oneOfChoices, outputFormat, outputOption, print } from './command.ts';
import type { Command, CommandContext, CommandInput, CommandOption, ExitCode } from './command.ts';

const reasonOption: CommandOption = {
  name: 'reason',
  value: 'TEXT',
  summary: 'why; it becomes signed evidence (required)',
};

/** `weighbridge approve`: a person's approval becomes evidence that binds one root of the artifact. */
export const approve: Command = {
  name: 'approve',
  summary: 'approve an artifact for environments, with a reason',
  usage: 'ARTIFACT',
  options: [
    reasonOption,
    {
      name: 'root',
      value: 'all|loading|weights',
      summary: 'which files the approval binds; `loading` by default',
    },
    {
      name: 'environment',
      value: 'NAME[,NAME]',
      summary: 'development, staging, production; production by default',
    },
    { name: 'expires', value: 'INSTANT', summary: 'RFC 3339 instant after which it no longer counts' },
    outputOption,
    dataOption,
  ],
  run: async (input, context) => {
    const body = {
      reason: requireReason(input),
      root: oneOfChoices('root', input.flags.get('root') ?? 'loading', ['all', 'loading', 'weights']),
      environments: (input.flags.get('environment') ?? 'production')
        .split(',')
        .map((name) => oneOfChoices('environment', name, environmentChoices)),
      expiresAt: input.flags.get('expires') ?? null,
    };
    return decideByHand(input, context, { verb: 'approve', body });
  },
};

/** `weighbridge deny`: revokes an artifact. Negative evidence has no bypass. */
export const deny: Command = {
  name: 'deny',
  summary: 'revoke an artifact everywhere in the namespace, with a reason',
  usage: 'ARTIFACT',
  options: [reasonOption, outputOption, dataOption],
  run: async (input, context) =>
    decideByHand(input, context, { verb: 'deny', body: { reason: requireReason(input) } }),
};

function requireReason(input: CommandInput): string {
  const reason = input.flags.get('reason');
  if (reason === undefined) {
    throw new Fault('command.usage', 'a human decision needs a reason', { hint: 'add `--reason "why"`' });
  }
  if (reason.trim().length < 3) {
    throw new Fault('command.usage', 'the reason is too short to mean anything later', {
      hint: 'say it in 3 characters or more',
    });
  }
  return reason;
}

async function decideByHand(
  input: CommandInput,
  context: CommandContext,
  call: { readonly verb: 'approve' | 'deny'; readonly body: unknown },
): Promise<ExitCode> {
  const format = outputFormat(input);
  const { artifact, label } = await findArtifact(input, context, 'exact');
  const path = `/wb/v1/artifacts/${artifact}/${call.verb}`;
  const answer = parseJson(await callServer(input, context, { method: 'POST', path, body: call.body }));
  const past = call.verb === 'approve' ? 'approved' : 'revoked';
  const text = `${past} ${label} (${artifact}), log entry ${String(member(answer, 'logIndex'))}\n`;
  await print(context.stdout, format === 'json' ? `${JSON.stringify(answer)}\n` : text);
  return 0;
}
