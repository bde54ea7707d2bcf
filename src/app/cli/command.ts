import type { Readable, Writable } from 'node:stream';
import { Fault } from '#lib/fault.ts';
import { nearest } from '#lib/nearest.ts';

/** What a command sees of the process. Passed in, so that commands are tested without one. */
export interface CommandContext {
  readonly stdin: Readable;
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
}

export interface CommandOption {
  readonly name: string;
  /** What the value is called in the help text; absent for a switch. */
  readonly value?: string;
  /** The value may be left out; `--name=value` gives it, and alone it is `true`. */
  readonly optional?: true;
  readonly summary: string;
}

/** 0 allowed or clean, 2 denied or found, 1 inconclusive or could not run (DESIGN §4). */
export type ExitCode = 0 | 1 | 2;

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** e.g. `PATH…`; empty where there are no arguments. */
  readonly usage: string;
  readonly options: readonly CommandOption[];
  run(input: CommandInput, context: CommandContext): Promise<ExitCode>;
}

export interface CommandInput {
  readonly positionals: readonly string[];
  readonly flags: ReadonlyMap<string, string>;
}

/** `--name value`, `--name=value`, switches, `--` ends options. Fault `command.usage` with the nearest known option. */
export function parseArguments(command: Command, words: readonly string[]): CommandInput {
  const positionals: string[] = [];
  const flags = new Map<string, string>();
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (word === '--') {
      positionals.push(...words.slice(index + 1));
      break;
    }
    if (!word.startsWith('--')) {
      positionals.push(word);
      continue;
    }
    const equals = word.indexOf('=');
    const name = word.slice(2, equals === -1 ? undefined : equals);
    const option = command.options.find((candidate) => candidate.name === name);
    if (option === undefined) throw unknownOption(command, name);
    if (flags.has(name)) throw new Fault('command.usage', `\`--${name}\` is given twice`);
    if (option.optional === true && equals === -1) {
      flags.set(name, 'true');
      continue;
    }
    if (option.value === undefined) {
      if (equals !== -1) throw new Fault('command.usage', `\`--${name}\` takes no value`);
      flags.set(name, 'true');
      continue;
    }
    const value = equals === -1 ? words[++index] : word.slice(equals + 1);
    if (value === undefined) throw new Fault('command.usage', `\`--${name}\` needs a value: ${option.value}`);
    flags.set(name, value);
  }
  const [stray] = positionals;
  if (command.usage === '' && stray !== undefined)
    throw new Fault('command.usage', `\`weighbridge ${command.name}\` takes no argument \`${stray}\``);
  return { positionals, flags };
}

function unknownOption(command: Command, name: string): Fault {
  const near = nearest(
    name,
    command.options.map((option) => option.name),
  );
  return new Fault('command.usage', `\`weighbridge ${command.name}\` has no option \`--${name}\``, {
    hint:
      near === undefined
        ? `\`weighbridge ${command.name} --help\` lists them`
        : `did you mean \`--${near}\`?`,
  });
}

export function helpOf(command: Command): string {
  const rows = [...command.options, { name: 'help', summary: 'this text' }].map((option) => {
    const value = 'value' in option ? option.value : undefined;
    const optional = 'optional' in option;
    const left = `--${option.name}${value === undefined ? '' : optional ? `[=${value}]` : ` ${value}`}`;
    return `  ${left.padEnd(30)} ${option.summary}`;
  });
  const usage = [`weighbridge ${command.name}`, command.usage, '[options]']
    .filter((part) => part !== '')
    .join(' ');
  return `${command.summary}\n\nusage: ${usage}\n\n${rows.join('\n')}\n`;
}

/** Resolves when the chunk is handed to the operating system, so that piped output is never cut by an exit. */
export async function print(stream: Writable, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

export const outputOption: CommandOption = {
  name: 'output',
  value: 'text|json',
  summary: 'how to print the answer; text by default',
};

export function outputFormat(input: CommandInput, formats: readonly string[] = ['text', 'json']): string {
  const format = input.flags.get('output') ?? 'text';
  if (!formats.includes(format)) {
    throw new Fault('command.usage', `\`${format}\` is not an output format`, {
      hint: `one of ${formats.join(', ')}`,
    });
  }
  return format;
}

/** The value of an option that has a closed set of them. Fault `command.usage` with the nearest one. */
export function oneOfChoices<const T extends string>(name: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  const near = nearest(value, choices);
  const message = `\`--${name}\` is one of ${choices.join(', ')}, not \`${value}\``;
  throw new Fault('command.usage', message, near === undefined ? {} : { hint: `did you mean \`${near}\`?` });
}

export const environmentChoices = ['development', 'staging', 'production'] as const;
