import { isDigest } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { callServer, member } from './connection.ts';
import type { CommandContext, CommandInput } from './command.ts';

/** `sha256:…`, or what the inventory finds uniquely: a repository id, a digest's beginning, `org/name@commit`. */
export async function findArtifact(input: CommandInput, context: CommandContext): Promise<Digest> {
  const [text, ...more] = input.positionals;
  if (text === undefined)
    throw new Fault('command.usage', 'no artifact is named', { hint: 'give its digest or `org/name`' });
  if (more.length > 0) throw new Fault('command.usage', `\`${more[0]}\` is one argument too many`);
  if (isDigest(text)) return text;
  const path = `/wb/v1/artifacts?limit=3&search=${encodeURIComponent(text)}`;
  const listed = member(parseJson(await callServer(input, context, { method: 'GET', path })), 'items');
  const found = Array.isArray(listed)
    ? listed.map((row: unknown) => member(row, 'artifact')).filter(isDigest)
    : [];
  const [only, second] = found;
  if (only === undefined) {
    throw new Fault('resource.unknown', `no artifact matches \`${text}\``, {
      hint: 'pull it through Weighbridge first',
    });
  }
  if (second !== undefined) {
    throw new Fault('command.usage', `more than one artifact matches \`${text}\``, {
      hint: `name one digest, for example \`${only}\``,
    });
  }
  return only;
}
