import { writeFile } from 'node:fs/promises';
import { parseJson } from '#lib/json.ts';
import { Fault } from '#lib/fault.ts';
import { findArtifact } from './artifact-argument.ts';
import { callServer, dataOption, member } from './connection.ts';
import { environmentChoices, oneOfChoices, outputFormat, outputOption, print } from './command.ts';
import type { Command } from './command.ts';

/** `weighbridge promote`: asks the promote gate; after an allow the release key signs. */
export const promote: Command = {
  name: 'promote',
  summary: 'promote an artifact into an environment; the release key signs it after an allow',
  usage: 'ARTIFACT',
  options: [
    {
      name: 'environment',
      value: 'NAME',
      summary: 'development, staging or production; production by default',
    },
    { name: 'signature', value: 'FILE', summary: 'write the OpenSSF Model Signing bundle to FILE' },
    outputOption,
    dataOption,
  ],
  run: async (input, context) => {
    const format = outputFormat(input);
    const { artifact, label } = await findArtifact(input, context, 'exact');
    const body = {
      environment: oneOfChoices(
        'environment',
        input.flags.get('environment') ?? 'production',
        environmentChoices,
      ),
    };
    const path = `/wb/v1/artifacts/${artifact}/promote`;
    const answer = parseJson(await callServer(input, context, { method: 'POST', path, body }));
    const bundle = member(answer, 'bundle');
    const destination = input.flags.get('signature');
    if (typeof bundle === 'string' && destination !== undefined) {
      await writeFile(destination, bundle).catch((cause: unknown) => {
        throw new Fault('file.unreadable', `cannot write \`${destination}\``, { cause });
      });
    }
    const decision = member(answer, 'decision');
    const reasons = member(decision, 'reasons');
    const text = Array.isArray(reasons)
      ? reasons
          .map(
            (reason) =>
              `  ${String(member(reason, 'effect')).padEnd(5)} ${String(member(reason, 'rule'))}: ${String(member(reason, 'message'))}`,
          )
          .join('\n')
      : '';
    const verdict = String(member(decision, 'verdict'));
    const line =
      typeof bundle === 'string'
        ? `signed ${label} (${artifact}) with the release key`
        : `not promoted: ${label}: ${verdict}`;
    await print(context.stdout, format === 'json' ? `${JSON.stringify(answer)}\n` : `${line}\n${text}\n`);
    return typeof bundle === 'string' ? 0 : 2;
  },
};
