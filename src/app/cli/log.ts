import { parseJson } from '#lib/json.ts';
import { callServer, dataOption, member } from './connection.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command } from './command.ts';

/** `weighbridge log`: the newest checkpoint and what verifies it. */
export const log: Command = {
  name: 'log',
  summary: 'show the checkpoint of the transparency log and the keys that verify it',
  usage: '',
  options: [outputOption, dataOption],
  run: async (input, context) => {
    const format = outputFormat(input);
    const head = parseJson(await callServer(input, context, { method: 'GET', path: '/wb/v1/log/head' }));
    if (format === 'json') {
      await print(context.stdout, `${JSON.stringify(head)}\n`);
      return 0;
    }
    const witness =
      member(head, 'selfAsserted') === true ? 'self-asserted: no outside witness has signed it' : 'witnessed';
    const lines = [
      `entries            ${String(member(head, 'size'))}`,
      `root hash          ${String(member(head, 'rootHash'))}`,
      `verifier key       ${String(member(head, 'verifierKey'))}`,
      `trust fingerprint  ${String(member(head, 'trustFingerprint'))}`,
      `witnesses          ${witness}`,
      '',
      String(member(head, 'checkpoint')),
    ];
    await print(context.stdout, lines.join('\n'));
    return 0;
  },
};
