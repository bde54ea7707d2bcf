import { faults, isErrno, toFault } from '#lib/fault.ts';
import { nearest } from '#lib/nearest.ts';
import { Fault } from '#lib/fault.ts';
import { helpOf, parseArguments, print } from './cli/command.ts';
import type { Command, CommandContext, ExitCode } from './cli/command.ts';
import { commands } from './cli/commands.ts';
import { version } from './version.ts';

/** Runs one command line. Never throws: a failure is printed with its hint and becomes the exit code of its row. */
export async function main(words: readonly string[], context: CommandContext): Promise<ExitCode> {
  try {
    return await dispatch(words, context);
  } catch (error) {
    if (isErrno(error) && error.code === 'EPIPE') return 0;
    const fault = toFault(error);
    const json = words.some(
      (word, index) => word === '--output=json' || (word === 'json' && words[index - 1] === '--output'),
    );
    if (json) await print(context.stdout, `${JSON.stringify({ error: fault })}\n`);
    await print(context.stderr, describeFault(fault));
    return faults[fault.code].exit;
  }
}

async function dispatch(words: readonly string[], context: CommandContext): Promise<ExitCode> {
  const [name, ...rest] = words;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const [topic] = rest;
    await print(context.stdout, topic === undefined ? overview() : helpOf(commandNamed(topic)));
    return name === undefined ? 1 : 0;
  }
  if (name === '--version' || name === '-V' || name === 'version') {
    await print(context.stdout, `weighbridge ${version()}\n`);
    return 0;
  }
  const command = commandNamed(name);
  if (rest.includes('--help') || rest[0] === '-h') {
    await print(context.stdout, helpOf(command));
    return 0;
  }
  return command.run(parseArguments(command, rest), context);
}

/** Fault `command.unknown` with the nearest known name. */
function commandNamed(name: string): Command {
  const command = commands.find((candidate) => candidate.name === name);
  if (command !== undefined) return command;
  const near = nearest(name, [...commands.map((candidate) => candidate.name), 'help', 'version']);
  throw new Fault('command.unknown', `there is no command \`${name}\``, {
    hint:
      near === undefined ? '`weighbridge help` lists all commands' : `did you mean \`weighbridge ${near}\`?`,
  });
}

function overview(): string {
  const rows = commands.map((command) => `  ${command.name.padEnd(10)} ${command.summary}`);
  return `Weighbridge: nothing rolls onto the road until it has been weighed, stamped and logged.\n\nusage: weighbridge COMMAND [options]\n\n${rows.join('\n')}\n\n\`weighbridge help COMMAND\` tells more about one.\n`;
}

function describeFault(fault: Fault): string {
  const hint = fault.hint === undefined ? '' : `hint: ${fault.hint}\n`;
  const cause =
    fault.code === 'internal.unexpected' && fault.cause instanceof Error
      ? `${fault.cause.stack ?? ''}\n`
      : '';
  return `error: ${fault.message} (${fault.code})\n${hint}${cause}`;
}

if (import.meta.main) {
  const code = await main(process.argv.slice(2), {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    directory: process.cwd(),
  });
  process.exitCode = code;
}
