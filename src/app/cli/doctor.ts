import { parseJson } from '#lib/json.ts';
import { callServer, dataOption, member } from './connection.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command } from './command.ts';

const marks: Readonly<Record<string, string>> = { pass: 'ok  ', warn: 'warn', fail: 'FAIL' };

/** `weighbridge doctor`: proves the running server's log and names what is wrong. */
export const doctor: Command = {
  name: 'doctor',
  summary: 'examine the running server: log, blobs, policies, clock, disk',
  usage: '',
  options: [outputOption, dataOption],
  run: async (input, context) => {
    const format = outputFormat(input);
    const answer = parseJson(await callServer(input, context, { method: 'GET', path: '/wb/v1/doctor' }));
    const healthy = member(answer, 'healthy') === true;
    if (format === 'json') {
      await print(context.stdout, `${JSON.stringify(answer)}\n`);
    } else {
      const checks = member(answer, 'checks');
      for (const check of Array.isArray(checks) ? checks : []) {
        const state = String(member(check, 'state'));
        await print(
          context.stdout,
          `${marks[state] ?? state}  ${String(member(check, 'name')).padEnd(10)} ${String(member(check, 'message'))}\n`,
        );
      }
    }
    return healthy ? 0 : 2;
  },
};
