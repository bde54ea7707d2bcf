import { Fault } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { printable } from '#lib/printable.ts';
import { callServer, dataOption, member } from './connection.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command, CommandContext, CommandInput, CommandOption, ExitCode } from './command.ts';

const environmentOption: CommandOption = {
  name: 'environment',
  value: 'NAME',
  summary: 'development, staging or production',
};

/** `weighbridge namespace`: what tenants there are, and the environment of their pulls. */
export const namespace: Command = {
  name: 'namespace',
  summary: 'list namespaces, or set one up with its default environment',
  usage: 'list | set NAME',
  options: [environmentOption, outputOption, dataOption],
  run: async (input, context) => {
    const [verb, name, ...more] = input.positionals;
    if (more.length > 0) throw new Fault('command.usage', `\`${more[0]}\` is one argument too many`);
    if (verb === 'set' && name !== undefined) {
      const body = { namespace: name, environment: required(input, 'environment') };
      const answer = await call(input, context, { method: 'POST', path: '/wb/v1/namespaces', body });
      return show(input, context, answer, () => `${name}  ${body.environment}`);
    }
    if (verb !== 'list' || name !== undefined) throw usage('namespace', 'list` or `set NAME');
    const answer = await call(input, context, { method: 'GET', path: '/wb/v1/namespaces' });
    return show(input, context, answer, () => rowsOf(answer, ['namespace', 'environment']));
  },
};

/** `weighbridge token`: tokens of clients, each of one namespace. The secret is shown once. */
export const token: Command = {
  name: 'token',
  summary: 'make, list and revoke the tokens of clients of a namespace',
  usage: 'create | list | revoke TOKEN-ID',
  options: [
    { name: 'namespace', value: 'NAME', summary: 'the namespace it belongs to (required)' },
    { name: 'name', value: 'TEXT', summary: 'what it is for, e.g. `ci of team blue` (required to create)' },
    {
      ...environmentOption,
      summary: 'environment of everything asked with it; the one of the namespace by default',
    },
    { name: 'expires', value: 'INSTANT', summary: 'RFC 3339 instant after which it no longer works' },
    outputOption,
    dataOption,
  ],
  run: async (input, context) => {
    const [verb, id, ...more] = input.positionals;
    if (more.length > 0) throw new Fault('command.usage', `\`${more[0]}\` is one argument too many`);
    if (verb === 'create' && id === undefined) return createToken(input, context);
    const owner = required(input, 'namespace');
    if (verb === 'revoke' && id !== undefined) {
      const body = { namespace: owner, id };
      const answer = await call(input, context, { method: 'POST', path: '/wb/v1/tokens/revoke', body });
      return show(input, context, answer, () => `revoked ${id}`);
    }
    if (verb !== 'list' || id !== undefined) throw usage('token', 'create`, `list` or `revoke TOKEN-ID');
    const path = `/wb/v1/tokens?namespace=${encodeURIComponent(owner)}`;
    const answer = await call(input, context, { method: 'GET', path });
    return show(input, context, answer, () =>
      rowsOf(answer, ['id', 'role', 'environment', 'expiresAt', 'revokedAt', 'name']),
    );
  },
};

async function createToken(input: CommandInput, context: CommandContext): Promise<ExitCode> {
  const body = {
    namespace: required(input, 'namespace'),
    name: required(input, 'name'),
    environment: input.flags.get('environment') ?? null,
    expiresAt: input.flags.get('expires') ?? null,
  };
  const answer = await call(input, context, { method: 'POST', path: '/wb/v1/tokens', body });
  // The token alone on standard output, so that it can be piped to where it is kept; the rest is for people.
  if (outputFormat(input) === 'text')
    await print(context.stderr, `token ${String(member(answer, 'id'))}, shown once:\n`);
  return show(input, context, answer, () => String(member(answer, 'token')));
}

async function call(
  input: CommandInput,
  context: CommandContext,
  request: Parameters<typeof callServer>[2],
): Promise<unknown> {
  outputFormat(input);
  return parseJson(await callServer(input, context, request));
}

async function show(
  input: CommandInput,
  context: CommandContext,
  answer: unknown,
  text: () => string,
): Promise<ExitCode> {
  await print(context.stdout, `${outputFormat(input) === 'json' ? JSON.stringify(answer) : text()}\n`);
  return 0;
}

function rowsOf(answer: unknown, columns: readonly string[]): string {
  const items = member(answer, 'items');
  const rows: readonly unknown[] = Array.isArray(items) ? items : [];
  return rows.map((row) => columns.map((column) => cellOf(member(row, column))).join('  ')).join('\n');
}

function cellOf(value: unknown): string {
  return typeof value === 'string' ? printable(value) : '-';
}

function required(input: CommandInput, name: string): string {
  const text = input.flags.get(name);
  if (text !== undefined && text !== '') return text;
  throw new Fault('command.usage', `\`--${name}\` is missing`);
}

function usage(name: string, verbs: string): Fault {
  return new Fault('command.usage', `\`weighbridge ${name}\` needs \`${verbs}\``, {
    hint: `\`weighbridge ${name} --help\` tells more`,
  });
}
